#!/bin/bash
# The layers of the program: an arrow app -> audit -> ... -> core allows includes to its right, never to its left;
# every outside library has one door; every public header compiles alone.
set -u
cd "$(dirname "$0")/.." || exit 1
COMPILE=${COMPILE:-cc -std=gnu11 -Iinclude}
passed=0 failed=0 skipped=0

# The layers each layer may include, besides itself.
declare -A allowed=(
    [core]=""
    [par]="core"
    [io]="par core"
    [data]="io par core"
    [kernel]="core"
    [nn]="kernel core"
    [sweep]="nn kernel data io par core"
    [eval]="sweep nn kernel data io par core"
    [train]="eval sweep nn kernel data io par core"
    [unlearn]="train eval sweep nn kernel data io par core"
    [audit]="unlearn train eval sweep nn kernel data io par core"
    [app]="audit unlearn train eval sweep nn kernel data io par core"
)

# verdict NAME FINDINGS: one check, passed when there are no findings.
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL layers: %s\n%s\n' "$1" "$2"
    fi
}

# door NAME PATTERN ALLOWED-FILES...: lines that match outside the files allowed, given as patterns.
door() {
    local name=$1 pattern=$2 findings
    shift 2
    findings=$(grep -rnE --include='*.[ch]' "$pattern" src include |
        grep -vE "^($(IFS='|' && echo "$*")):")
    verdict "$name" "$findings"
}

for layer in "${!allowed[@]}"; do
    # shellcheck disable=SC2086 # a list of words
    own=$(printf '%s|' "$layer" ${allowed[$layer]})
    findings=$(grep -rnE '^ *# *include +"' "src/$layer" "include/$layer" 2>/dev/null |
        grep -vE ":[0-9]+: *# *include +\"((${own%|})/[a-z0-9_]+|[a-z0-9_]+)\.h\"")
    verdict "src/$layer includes only $layer ${allowed[$layer]}" "$findings"
done

unknown=""
for dir in src/*/ include/*/; do
    [ -n "${allowed[$(basename "$dir")]+known}" ] || unknown+="$dir is no layer"$'\n'
done
verdict "every folder is a layer" "$unknown"

door "MPI only in par" '<mpi\.h>|\bMPI_[A-Z][a-z]' 'include/par/[a-z0-9_]+\.h' 'src/par/[a-z0-9_]+\.c'
door "HDF5 only in io/h5" '<hdf5(_hl)?\.h>' '(src|include)/io/h5[a-z0-9_]*\.[ch]'
door "BLAS only in kernel/gemm" '<(cblas|openblas_config)\.h>|\bcblas_' 'src/kernel/gemm\.c'
door "libyaml only in app/config" '<yaml\.h>' 'src/app/config[a-z0-9_]*\.c'
door "OpenMP only in sweep" '<omp\.h>|# *pragma +omp|_Pragma *\("omp' 'src/sweep/[a-z0-9_]+\.c'
door "libcrypto only in core/digest" '<openssl/' 'src/core/digest\.c'
door "Random123 only in core/rng" '<Random123/' 'src/core/rng\.c'
door "zlib only in data and io/mat" '<zlib\.h>' 'src/data/[a-z0-9_]+\.c' 'src/io/mat\.c'
door "libmatio only in io/mat" '<matio\.h>|\bMat_[A-Z]' 'src/io/mat\.c'
door "libzip only in io/archive" '<zip\.h>|\bzip_[a-z_]+\(' 'src/io/archive\.c'
door "exit only in main, and in a child process" '(^|[^_a-z])(exit|_exit|_Exit|quick_exit)\(' 'src/app/main\.c' \
    'src/io/h5_probe\.c'

for header in include/*/*.h; do
    verdict "$header compiles alone" \
        "$($COMPILE -Werror -fsyntax-only -x c "$header" 2>&1 || echo "$header: exit status $?")"
done

echo "layers passed=$passed failed=$failed skipped=$skipped"
[ "$failed" -eq 0 ]
