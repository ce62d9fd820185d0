#!/bin/bash
# The inputs that fuzzing has kept, through the readers once more: tests/fuzz/corpus/FORMAT.
set -u
cd "$(dirname "$0")/.." || exit 1
replay=${BUILD:-build}/tests/fuzz/replay
passed=0 failed=0
for folder in tests/fuzz/corpus/*/; do
    format=$(basename "$folder")
    if said=$("$replay" "$format" "$folder"* 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s: exit status of the replay\n%s\n' "$format" "$said"
    fi
done
[ "$(find tests/fuzz/corpus -mindepth 1 -maxdepth 1 -type d | wc -l)" -eq 8 ] && passed=$((passed + 1)) ||
    failed=$((failed + 1))
echo "fuzz passed=$passed failed=$failed skipped=0"
[ "$failed" -eq 0 ]
