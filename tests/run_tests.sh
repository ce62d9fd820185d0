#!/bin/bash
# Runs test programs (each on every rank count of $NP) and test scripts under a time limit, shows what failed and
# what was skipped, and ends with one total: "N passed, N failed, N skipped". `make check` calls it.
set -u
NP=${NP:-1 2 3}
MPIRUN=${MPIRUN:-mpirun -q --bind-to none --oversubscribe}
TEST_TIMEOUT=${TEST_TIMEOUT:-120}
SCRIPT_TIMEOUT=$((4 * TEST_TIMEOUT))
# One thread a rank unless a test asks for more, and waiting threads sleep: ranks and threads outnumber cores here.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export BUILD=${BUILD:-build} MPIRUN PYTHON=${PYTHON:-/usr/bin/python3} COMPILE=${COMPILE:-cc}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export IAU_TEST_DIR=$scratch
output=$scratch/output
skips=$scratch/skips
passed=0 failed=0 skipped=0

# run_one LABEL SECONDS COMMAND...: one program, its summary line added to the totals. A program that ends badly
# or without a summary counts as one failure, whatever it printed before.
run_one() {
    local label=$1 limit=$2 status p=0 f=0 s=0 start=$EPOCHREALTIME seconds
    shift 2
    timeout -k 10 "$limit" "$@" >"$output" 2>&1 </dev/null
    status=$?
    seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    read -r p f s < <(sed -n 's/^.* passed=\([0-9]*\) failed=\([0-9]*\) skipped=\([0-9]*\)$/\1 \2 \3/p' \
        "$output" | tail -n 1)
    local why=""
    if [ -z "${p:-}" ]; then
        p=0 f=1 s=0 why="no summary, exit status $status"
    elif [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1 why="exit status $status"
    fi
    [ "$status" -eq 124 ] || [ "$status" -eq 137 ] && why="no end within $limit s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    grep '^SKIP ' "$output" | sed "s|\$| ($label)|" >>"$skips"
    if [ "$f" -gt 0 ]; then
        echo "FAILED $label: ${why:-$f of $((p + f)) tests}, $seconds s. Its output:"
        sed 's/^/    /' "$output"
    else
        printf 'ok     %-32s %3d passed, %d skipped, %5s s\n' "$label" "$p" "$s" "$seconds"
    fi
}

for item in "$@"; do
    name=$(basename "$item" .sh)
    case $item in
    *.sh) run_one "$name" "$SCRIPT_TIMEOUT" bash "$item" ;;
    *)
        for n in $NP; do
            # shellcheck disable=SC2086 # the launcher is a command with arguments
            run_one "$name on $n" "$TEST_TIMEOUT" $MPIRUN -n "$n" "$item"
        done
        ;;
    esac
done

[ ! -s "$skips" ] || sort "$skips"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
