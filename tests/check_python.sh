#!/bin/bash
# Outputs as Python reads them: h5py alone opens models and results; numpy gets the same accuracies and losses from
# them, and PyTorch, where it is installed, the same gradient sum and IAU step.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"
PYTHON=${PYTHON:-/usr/bin/python3}

if ! "$PYTHON" -c 'import h5py, numpy' 2>/dev/null; then
    skip "reading outputs in Python: needs python3-h5py"
    finish python
    exit
fi

make_data small 683 211
cat >python.yaml <<'END'
data: {file: data.h5, valid: 0.2, source: {format: idx, files: [small]}}
model: {name: lenet5}
train: {epochs: 3, batch: 64}
forget: {ratio: 0.05}
origins: {origin_gr: {train.restriction.alpha: 0.005}}
methods: [{name: iau, method: iau}]
output: {dir: out}
END
launch 2 "$IAU" -q run python.yaml >said 2>&1
verdict "a run to read" $?

"$PYTHON" "$ROOT/tests/read_outputs.py" data.h5 out >said 2>&1
verdict "the reader comes to its end" $?
while read -r word name; do
    case $word in
    ok) passed=$((passed + 1)) ;;
    FAIL) failed=$((failed + 1)) && echo "FAIL $name" ;;
    SKIP) skip "$name" ;;
    esac
done <said

if "$PYTHON" -c 'import matplotlib' 2>/dev/null; then
    for file in images.png table.png; do
        "$PYTHON" "$ROOT/analysis/montage.py" data.h5 $file --samples 3 --classes 4 >said 2>&1 &&
            [ "$(head -c 4 $file | tail -c 3)" = PNG ]
        verdict "a contact sheet of samples: $file" $?
        printf 'a,b,label\n1,2,x\n3,4.5,y\n5,6,x\n7,8,y\n' >table.csv # next: that of a table
        "$IAU" -q import csv table.csv --test-files table.csv --out data.h5 --force >/dev/null 2>&1
    done
    "$PYTHON" "$ROOT/analysis/montage.py" python.yaml x.png >said 2>&1
    [ $? -eq 1 ] && grep -q '^montage.py: error: python.yaml: cannot be read as a dataset file' said && [ ! -e x.png ]
    verdict "a contact sheet of what is no dataset file is refused" $?
else
    skip "a contact sheet: needs python3-matplotlib"
fi

finish python
