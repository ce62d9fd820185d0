#!/bin/bash
# Requests one after another: each from the model that the one before left, against models retrained without all that is
# gone; what is given is used as it is, and refused where it does not fit.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"
PYTHON=${PYTHON:-/usr/bin/python3}

make_data small 203 70
cat >seq.yaml <<'END_YAML'
data: {file: small.h5, valid: 0.2, source: {format: idx, files: [small]}}
model: {name: mlp, hidden: [16]}
train: {epochs: 2, batch: 64, unit: 64, optimizer: {lr: 0.01}}
methods: [{name: iau, method: iau}, {name: finetune, method: finetune, epochs: 1}]
output: {dir: out}
END_YAML
"$IAU" -q import idx small --out small.h5 >said 2>&1
verdict "data" $?
export IAU LAUNCH=''
# Ids that are not held out for validation: those that a request may name.
"$IAU" -q train seq.yaml >said 2>&1
: >trained.ids
for id in $(seq 0 202); do
    [ "$(wc -l <trained.ids)" -lt 15 ] || break
    echo "$id" >id.ids
    "$IAU" -q unlearn seq.yaml --dry-run --forget.ids=id.ids >said 2>&1 && echo "$id" >>trained.ids
done
head -n 5 trained.ids | head -c -1 >1.ids # the last line may lack its end
sed -n 6,10p trained.ids >2.ids
sed -n 11,15p trained.ids >3.ids

works '^results: seq/request-3/results.h5$' "$ROOT/jobs/sequence.sh" seq.yaml iau seq 1.ids 2.ids 3.ids
cmp -s <(head -n 10 trained.ids) seq/gone-2.ids
verdict "what has gone is written down" $?
digest() {
    "$IAU" inspect --digest "$1"
}
head -n 15 trained.ids >all.ids
"$IAU" -q run seq.yaml --forget.ids=all.ids --output.dir=once >said 2>&1
[ "$(digest once/retrain.h5)" = "$(digest seq/request-3/retrain.h5)" ]
verdict "retrained without all that is gone: the bytes of one request for all" $?
works 'already done: seq/request-3/iau.h5' "$ROOT/jobs/sequence.sh" seq.yaml iau seq 1.ids 2.ids 3.ids
launch 2 "$IAU" -q unlearn seq.yaml --forget.ids=2.ids --data.without=1.ids --origins.origin.file=seq/request-1/iau.h5 \
    --output.dir=two --unlearn.methods=iau >said 2>&1
[ "$(digest two/iau.h5)" = "$(digest seq/request-2/iau.h5)" ]
verdict "a given origin on two ranks: the same bytes" $?

"$ROOT/jobs/sequence.sh" seq.yaml iau hdf5 1.ids small.h5 >output 2>&1
[ $? -eq 2 ] && grep -qx 'jobs/sequence.sh: small.h5 is HDF5; give the ids as text, one a line' output && [ ! -e hdf5 ]
verdict "ids in HDF5 are refused" $? output

given=("$IAU" unlearn seq.yaml --forget.ids=2.ids --origins.origin.file=seq/request-1/iau.h5 --output.dir=bad)
fails 1 'nowhere.h5 is not there, the origin of method iau' "${given[@]}" --origins.origin.file=nowhere.h5
fails 1 'seq/request-1/iau.h5 was made with other settings: data.valid .0.2 there, 0.3 here.' "${given[@]}" --data.valid=0.3
fails 1 'seq/request-1/iau.h5: .*/params' "${given[@]}" --model.hidden=8
fails 1 'seq/request-1/iau.h5 has learned other samples than are left here: name in data.without' "${given[@]}"
fails 1 'seq/request-1/iau.h5 has learned other samples' "${given[@]}" --data.without=3.ids
fails 1 "2.ids: names a sample, id ($(paste -sd'|' 2.ids)), that 2.ids says is gone already" "${given[@]}" --data.without=2.ids
fails 2 '.*origins.origin.file = seq/request-1/iau.h5: is the file of an entry of methods' "${given[@]}" --output.dir=seq/request-1
[ ! -e bad/iau.h5 ] && [ ! -e bad/finetune.h5 ]
verdict "what is refused makes no model" $?

# --- shadows that have learned what is gone are no longer these
audit=("$IAU" -q run seq.yaml --forget.ids=3.ids --output.dir=audited --audit.epochs=1 --audit.attack.epochs=1 --audit.attack.net_epochs=1
    --unlearn.methods=iau)
for what in shadows=6 attack.shadows=1; do
    rm -rf audited
    "${audit[@]}" --data.without=1.ids "--audit.$what" >said 2>&1
    verdict "an audit with audit.$what" $?
    rm audited/*.h5
    fails 1 'audited/audit/(attack_)?shadow_.*000.h5 was made with other settings: without.digest' \
        "${audit[@]}" --data.without=seq/gone-2.ids "--audit.$what"
done

# --- a campaign from what a request left: nothing to train, and the file's own settings are no hindrance
cat seq.yaml - >grid.yaml <<'END_YAML'
forget: {ratio: 0.05}
origins: {origin: {file: seq/request-1/iau.h5}}
campaign: {grid: {forget.seed: [1, 2]}}
END_YAML
grid=(grid.yaml --data.without=1.ids --output.dir=grid)
works '^campaign grid.yaml: 2 tasks, 0 shared stages, in grid$' "$IAU" campaign list "${grid[@]}"
works '^2 tasks, 8 rows: grid/campaign.h5$' launch 2 "$IAU" run "${grid[@]}"
works '^2 done, 0 running, 0 failed, 0 stopped, 0 missing$' "$IAU" campaign status "${grid[@]}"
works '^task +1  failed .*; results.h5 was made with other settings$' "$IAU" campaign status "${grid[@]}" --data.valid=0.3
works '^task +1  failed .*; results.h5 was made with other settings$' \
    "$IAU" campaign status "${grid[@]}" --origins.origin.file=seq/request-2/iau.h5
works '^2 done, ' "$IAU" campaign status "${grid[@]}" --origins.origin.file=gone.h5

if "$PYTHON" -c 'import h5py, matplotlib' 2>/dev/null; then
    drift=("$PYTHON" "$ROOT/analysis/drift.py")
    works '^3 +1 \(1\) +0\.[0-9]+ \(0\.' "${drift[@]}" seq iau --picture drift.png
    "${drift[@]}" seq iau --format csv 2>said | grep -c . | grep -qx 4
    verdict "drift: a row a request" $? said
    "${drift[@]}" seq other >output 2>said
    [ $? -eq 1 ] && grep -q 'drift.py: error: seq/request-1/results.h5: no other in it' said
    verdict "drift: an unknown method" $? said
else
    skip "drift: needs python3-h5py and python3-matplotlib"
fi

finish sequence
