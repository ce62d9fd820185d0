#!/bin/bash
# Fuzzes one format after another, from the committed inputs and those that FOLDER keeps between runs. What breaks a
# reader is left in FOLDER/FORMAT.crash-*, and makes this fail.
# usage: run.sh PROGRAM FOLDER SECONDS FORMAT...
set -u
program=$1 folder=$2 seconds=$3
shift 3
here=$(dirname "$0")
status=0
TMPDIR=$(mktemp -d) && export TMPDIR || exit 1
trap 'rm -rf "$TMPDIR"' EXIT
# A file may promise what no memory holds: then there is none.
export ASAN_OPTIONS=suppressions=$here/libraries.txt:allocator_may_return_null=1:max_allocation_size_mb=1024:quarantine_size_mb=8:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=suppressions=$here/leaks.txt:print_suppressions=0
for format in "$@"; do
    mkdir -p "$folder/corpus/$format"
    IAU_FUZZ_FORMAT=$format "$program" -max_total_time="$seconds" -max_len=65536 -len_control=0 -timeout=20 -rss_limit_mb=4096 -malloc_limit_mb=1000000 \
        -print_final_stats=1 -artifact_prefix="$folder/$format." "$folder/corpus/$format" "$here/corpus/$format" \
        >"$folder/$format.log" 2>&1 || status=1
    awk -v format="$format" '/number_of_executed_units/ { runs = $2 } /^#.* cov: / { cov = $4 }
        /ERROR: |runtime error:|broken invariant|Test unit written/ { found = found "\n    " $0 }
        END { printf "%-9s %9d runs, coverage %d%s\n", format, runs, cov, found }' "$folder/$format.log"
done
exit $status
