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

# --- killed half-way: nothing under the target's name, and the next import clears what is left beside it
head -c $((3073 * 40000)) /dev/zero >zero.bin
"$IAU" import cifar10 zero.bin zero.bin --out killed.h5 >said 2>&1 &
victim=$!
for _ in $(seq 500); do
    [ -z "$(find . -name 'killed.h5.*.tmp' -size +1000k)" ] || break
    sleep 0.01
done
kill -KILL $victim
wait $victim 2>/dev/null
[ ! -e killed.h5 ] && [ "$(find . -name 'killed.h5*' | wc -l)" -eq 1 ]
verdict "an import that was killed leaves no output" $? <(ls)
head -c $((3073 * 4)) zero.bin >small.bin
"$IAU" import cifar10 small.bin small.bin --out killed.h5 >said 2>&1 && [ "$(find . -name 'killed.h5*')" = ./killed.h5 ]
verdict "the next one clears its traces" $? <(ls; cat said)
rm zero.bin

"$PYTHON" "$ROOT/tests/import_formats.py" "$IAU" >said 2>&1
verdict "the writer comes to its end" $?
while read -r word name; do
    case $word in
    ok) passed=$((passed + 1)) ;;
    FAIL) failed=$((failed + 1)) && echo "FAIL $name" ;;
    esac
done <said

# --- the same from a config, on several ranks: a table of labels by name, a test part drawn, ids of its own
"$PYTHON" - <<'END'
import csv, random
random.seed(3)
with open("birds.csv", "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(["ring", "wing", "kind, by eye", "weight"])
    for i in range(900):
        kind = random.choice(["wren", "tit", "robin"])
        out.writerow([10**12 + 7 * i, random.gauss(len(kind), 1), kind, random.gauss(-len(kind), 1)])
END
cat >birds.yaml <<'END'
data:
  file: birds.h5
  memory_mib: 1
  source: {format: csv, files: [birds.csv], y: "kind, by eye", id: ring, test_fraction: 0.2, test_seed: 4, shuffle: 2}
model: {name: mlp, hidden: [16]}
train: {epochs: 20, batch: 64, unit: 64, optimizer: {lr: 0.01}}
forget: {ids: rings.txt}
methods: [{name: iau, method: iau}]
output: {dir: out}
END
"$IAU" -q import csv birds.csv --y 'kind, by eye' --id ring --test-fraction 0.2 --test-seed 4 --shuffle 2 --out birds.h5 &&
    h5dump -d /train/id -s 3 -c 1 -y birds.h5 | grep -o '10000000[0-9]*' >rings.txt
verdict "ids of a table's own" $? rings.txt
digest=$("$IAU" inspect --digest birds.h5)
rm birds.h5
launch 2 "$IAU" run birds.yaml >said 2>&1
verdict "a run from a table, which forgets one of its ids" $?
[ "$("$IAU" inspect --digest birds.h5)" = "$digest" ]
verdict "the config imports what the command does" $?
"$IAU" inspect birds.h5 >said 2>&1
grep -q 'from csv: birds.csv; y kind, by eye; id ring; test_fraction 0.2; test_seed 4; shuffle 2$' said &&
    grep -qE '^  class +0  robin +[0-9]+ training +[0-9]+ test samples$' said && grep -q 'all different$' said &&
    [ "$(awk '/^  class/ { n += $4 + $6 } END { print n }' said)" -eq 900 ] && grep -q '^  feature 1  mean -[34]' said
verdict "inspect: classes, values, ids and source of a table" $?

sed 's/test_seed: 4/labels: rough/' birds.yaml >bad.yaml
fails 2 "bad.yaml:4: data.source.labels: 'rough' is none of fine.coarse" "$IAU" run bad.yaml
sed 's/test_seed: 4/labels: coarse/; s/birds.h5/new.h5/' birds.yaml >bad.yaml
fails 2 'labels \(data.source.labels\) does not apply to csv' launch 2 "$IAU" run bad.yaml

# A file that some versions of HDF5 crash on.
tail -c +2 "$ROOT/tests/fuzz/corpus/hdf5/hdf5-heap" >heap.h5
fails 1 'heap.h5' launch 2 "$IAU" import hdf5 heap.h5 --test-fraction 0.4 --out heap_out.h5
[ ! -e heap_out.h5 ]
verdict "a file that HDF5 crashes on leaves no output" $?

finish formats
