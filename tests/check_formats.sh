#!/bin/bash
# Every format of `iau import`: sources written by csv, numpy, scipy and h5py come back value by value, as h5py reads
# them.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"
PYTHON=${PYTHON:-/usr/bin/python3}

if ! "$PYTHON" -c 'import h5py, numpy, scipy.io' 2>/dev/null; then
    skip "formats written by Python: needs python3-h5py, python3-numpy and python3-scipy"
    finish formats
    exit
fi

"$PYTHON" "$ROOT/tests/import_formats.py" "$IAU" >said 2>&1
verdict "the writer comes to its end" $?
while read -r word name; do
    case $word in
    ok) passed=$((passed + 1)) ;;
    FAIL) failed=$((failed + 1)) && echo "FAIL $name" ;;
    esac
done <said

finish formats
