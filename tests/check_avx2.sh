#!/bin/bash
# The kernels and what rests on them as built for AVX2, where vectors have 8 lanes instead of the 16 of AVX-512:
# the same tests pass, and the compiler has nothing to say.
set -u
cd "$(dirname "$0")/.." || exit 1
local_tests="conv winograd dense pool act softmax gather norm exactsum nn product residual torch_wide torch_layers"
rank_tests="sweep sweep_product squares groups torch train iau"
flag=-march=x86-64-v3
read -ra mpirun <<<"${MPIRUN:-mpirun -q --bind-to none --oversubscribe}"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1
passed=0 failed=0 skipped=0

finish() {
    echo "avx2 passed=$passed failed=$failed skipped=$skipped"
    [ "$failed" -eq 0 ]
    exit
}

skip() {
    skipped=1
    echo "SKIP avx2: kernels of 8 lanes: $1"
    finish
}

[ "$(uname -m)" = x86_64 ] || skip "an x86-64 CPU"
for feature in avx2 bmi2 f16c fma movbe; do
    grep -qw "$feature" /proc/cpuinfo || skip "a CPU with $feature"
done
case ${COMPILE:-} in
*"$flag"*) skip "the whole build is one" ;;
*-fsanitize*) skip "a build without sanitizers" ;;
esac

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# What `make check` was told about its own build must not reach this one.
build() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CFLAGS make --no-print-directory -j2 BUILD="$scratch/build" \
        ARCH=x86-64-v3 OPT=-O2 "$@" >"$scratch/made" 2>&1
}

programs=()
for name in $local_tests $rank_tests; do
    programs+=("$scratch/build/tests/test_$name")
done
if ! build "${programs[@]}"; then
    tail -n 40 "$scratch/made"
    failed=1
    finish
fi
grep -q -- "$flag" "$scratch/build/flags" || skip "CFLAGS that follow ARCH"
if grep -A 5 'warning:' "$scratch/made"; then
    failed=$((failed + 1))
else
    passed=$((passed + 1))
fi

# run NAME RANKS: one program; its own count, or one failure where it gives none.
run() {
    local p="" f="" s=""
    timeout -k 10 120 "${mpirun[@]}" -n "$2" "$scratch/build/tests/test_$1" >"$scratch/said" 2>&1 </dev/null
    local status=$?
    read -r p f s < <(sed -n 's/^.* passed=\([0-9]*\) failed=\([0-9]*\) skipped=\([0-9]*\)$/\1 \2 \3/p' \
        "$scratch/said" | tail -n 1)
    [ -n "$p" ] || p=0 f=1 s=0
    [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    grep '^SKIP ' "$scratch/said"
    if [ "$f" -gt 0 ]; then
        echo "FAIL avx2: $1 on $2, exit status $status:"
        sed 's/^/    /' "$scratch/said"
    fi
}

for name in $local_tests; do
    run "$name" 1
done
for name in $rank_tests; do
    run "$name" 2
done
finish
