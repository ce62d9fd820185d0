# shellcheck shell=bash
# Sourced by the scripts that use the program as people do. Makes a scratch folder, works in it, and offers checks:
# `verdict`, `fails`, `works`; `launch N COMMAND...` runs a command on N ranks; `finish NAME` ends the script.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
IAU=$(realpath "${BUILD:-build}")/iau
COMPILE=${COMPILE:-cc -std=gnu11}
read -ra mpirun <<<"${MPIRUN:-mpirun -q --bind-to none --oversubscribe}"
passed=0 failed=0 skipped=0
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1
# Hundreds of starts: Open MPI starts no daemon where there is no launcher, and does not look for networks.
export OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_pml=${OMPI_MCA_pml:-ob1} OMPI_MCA_osc=${OMPI_MCA_osc:-^ucx}
unset OPENBLAS_CORETYPE IAU_FAIL_ALLOC
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

scratch=$(mktemp -d) || exit 1
end() {
    local running
    running=$(jobs -p)
    [ -z "$running" ] || echo "$running" | xargs kill -KILL 2>/dev/null
    rm -rf "$scratch"
}
trap end EXIT
cd "$scratch" || exit 1

launch() {
    local n=$1
    shift
    timeout 300 "${mpirun[@]}" -n "$n" "$@" </dev/null
}

# wait_for COMMAND...: until it succeeds; a minute at most.
wait_for() {
    local tries=600
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# One of the processes that a launcher has started.
child_of() {
    grep -lE "^PPid:[[:space:]]+$1\$" /proc/[0-9]*/status 2>/dev/null | tail -n 1 | tr -dc 0-9
}

# verdict NAME STATUS [FILE]: one check; shows FILE, or what the last command said, where it failed.
verdict() {
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL $1"
    tail -n 40 "${3:-$scratch/said}" 2>/dev/null | sed 's/^/    /'
    return 1
}

skip() {
    skipped=$((skipped + 1))
    echo "SKIP $1"
}

# fails STATUS PATTERN COMMAND...: it ends with STATUS, and says why in exactly one line, which matches PATTERN.
fails() {
    local status=$1 pattern=$2 got
    shift 2
    "$@" >"$scratch/output" 2>"$scratch/said" </dev/null
    got=$?
    [ "$got" -eq "$status" ] && [ "$(wc -l <"$scratch/said")" -eq 1 ] &&
        grep -qE -- "^iau: error: (rank [0-9]+: )?$pattern" "$scratch/said"
    verdict "exit status $status and '$pattern' from: $*; got $got" $?
}

# works PATTERN COMMAND...: exit status 0, nothing on stderr, and a line that matches PATTERN on stdout.
works() {
    local pattern=$1 got
    shift
    "$@" >"$scratch/output" 2>"$scratch/said" </dev/null
    got=$?
    [ "$got" -eq 0 ] && [ ! -s "$scratch/said" ] && grep -qE -- "$pattern" "$scratch/output"
    verdict "'$pattern' from: $*; got $got" $? <(cat "$scratch/output" "$scratch/said")
}

# make_data FOLDER N_TRAIN N_TEST [SEED [SIDE]]: a small learnable data set in MNIST's format.
make_data() {
    mkdir -p "$1"
    # shellcheck disable=SC2086 # the compiler is a command with arguments
    [ -x make_idx ] || $COMPILE "$ROOT/tests/make_idx.c" -o make_idx || exit 1
    ./make_idx "$@"
}

# Digests of all models of a folder's results, and of the results themselves.
digests() {
    "$IAU" inspect "$1/results.h5" | grep -E '^  (/methods/[^/]*/model_digest|/digest) = '
}

# Digests of all files of an audit, and of what it found.
audit_digests() {
    local file
    for file in "$1"/audit/*.h5 "$1"/results.h5; do
        echo "${file#"$1"/} $("$IAU" inspect --digest "$file")"
    done
}

finish() {
    echo "$1 passed=$passed failed=$failed skipped=$skipped"
    [ "$failed" -eq 0 ]
}
