#!/bin/bash
# A poisoned batch from training to results: forget.poison.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 12000 300
"$IAU" -q import idx small --out small.h5 || exit 1
cat >small.yaml <<'END'
data: {file: small.h5, valid: 0.1}
model: {name: mlp, hidden: [64], activation: relu}
train: {epochs: 8, patience: 0, batch: 64, unit: 64, optimizer: {lr: 0.02}}
forget: {ratio: 0.1, poison: on}
methods: [{name: iau, method: iau}, {name: finetune, method: finetune, epochs: 1, batch: 64}]
output: {dir: out}
END

# --- the same bytes everywhere; one rank streams its 8 MiB of training samples within 7
wanted=
for shape in 1:0 1:7 3:0; do
    rm -rf out
    launch "${shape%:*}" "$IAU" run small.yaml "--data.memory_mib=${shape#*:}" >output 2>said
    verdict "${shape%:*} ranks, memory ${shape#*:}: runs" $?
    digests out >found
    wanted=${wanted:-$(cat found)}
    [ "$(wc -l <found)" -eq 5 ] && diff <(echo "$wanted") found >difference
    verdict "${shape%:*} ranks, memory ${shape#*:}: same bytes" $? difference
done

# --- what the results say
value() {
    "$IAU" inspect "$1/results.h5" | awk -v path="/evaluation/$2" '$1 == path { print $3 }'
}
grep -qE '^model +retained forgotten +by truth +validat\. +test +AUC +retrain +seconds( +rank)?$' output &&
    grep -qE '^origin +([0-9.]+ +){5}0\.[0-9]+ +0\.[0-9]+ ' output && grep -q '^By truth: ' output
verdict "the table shows the accuracy by true labels" $? output
awk '/accuracy in %/ { w = length } /^model / { h = length } h && /^(iau|origin|retrain) .*0\./ { if (length != h) bad = 1 }
    END { exit bad || !h || w > h }' output
verdict "its columns are in line" $? output
awk -v origin="$(value out origin/accuracy_forget_true)" -v retrain="$(value out retrain/accuracy_forget_true)" \
    -v wrong="$(value out origin/accuracy_forget)" -v without="$(value out retrain/accuracy_forget)" \
    'BEGIN { exit !(retrain > origin && retrain > 0.8 && wrong > without && without < 0.1) }'
verdict "retraining mends what the wrong labels did" $? output
awk -v origin="$(value out origin/accuracy_test)" -v retrain="$(value out retrain/accuracy_test)" \
    -v iau="$(value out iau/accuracy_test)" -v got="$(value out iau/recovered_accuracy_test)" \
    'BEGIN { want = (iau - origin) / (retrain - origin); exit !(got != "" && got - want < 1e-6 && want - got < 1e-6) }'
verdict "how much of the accuracy on test samples is won back: $(value out iau/recovered_accuracy_test)" $?
[ -z "$(value out origin/recovered_accuracy_test)" ]
verdict "that is said of methods alone" $?
"$IAU" inspect out/origin.h5 >listing
grep -q '^  /provenance/forget_labels = wrong in training, each drawn ' listing &&
    grep -q '^    forget.poison = on$' listing && grep -q '^    forget.digest = ' listing
verdict "a model says that it was trained on wrong labels" $? listing

works '^retrain +retrain ' "$IAU" run small.yaml --forget.poison=off --output.dir=clean --dry-run
! grep -q 'forget.poison' output
verdict "a plan without wrong labels does not mention them" $? output
works '^forget.poison: those to forget have wrong labels in training$' "$IAU" run small.yaml --output.dir=clean --dry-run
launch 2 "$IAU" run small.yaml --forget.poison=off --output.dir=clean >output 2>said
[ -z "$(value clean origin/accuracy_forget_true)" ] && ! grep -q 'by truth' output && [ -n "$(value clean origin/accuracy_forget)" ]
verdict "without wrong labels there is no such number" $? output

# --- a goal that is none for wrong labels and whole classes
warns() {
    "$IAU" run small.yaml --output.dir=warned --dry-run "$@" >output 2>said
    [ "$(wc -l <said)" -eq 1 ] && grep -q "^iau: warning: finetune: the goal, .* with $pattern" said
}
pattern='forget.poison: its loss on wrong labels is higher$'
warns --methods.finetune.tune=5
verdict "a search by wrong labels is warned of" $?
pattern='forget.classes: its loss on classes that it never saw is higher$'
warns --methods.finetune.tune=5 --forget.poison=off --forget.ratio=0 --forget.classes=3
verdict "a search by a class is warned of" $?
works . "$IAU" run small.yaml --output.dir=warned --dry-run --methods.finetune.tune=5 --forget.poison=off
works . "$IAU" run small.yaml --output.dir=warned --dry-run

# --- training sees the wrong labels, retraining does not
digest() {
    "$IAU" inspect "$1" | sed -n 's/^  \/digest = //p'
}
[ "$(digest out/retrain.h5)" = "$(digest clean/retrain.h5)" ] && [ "$(digest out/origin.h5)" != "$(digest clean/origin.h5)" ]
verdict "retraining sees no wrong label, training does" $? output

# --- what is ideal: a model that never saw them tells wrong labels, or a class of its own, from the others, too
if "${PYTHON:-/usr/bin/python3}" -c 'import h5py' 2>/dev/null; then
    tiny=("$IAU" -q run small.yaml --data.limit=1200 --train.epochs=1 --unlearn.methods=iau --audit.shadows=6 --audit.epochs=1
        --audit.methods=iau)
    launch 2 "${tiny[@]}" --output.dir=wrong >said 2>&1 &&
        launch 2 "${tiny[@]}" --output.dir=share --forget.poison=off >said 2>&1 &&
        launch 2 "${tiny[@]}" --output.dir=class --forget.poison=off --forget.ratio=0 --forget.classes=3 >said 2>&1
    verdict "audits of wrong labels, of a share, and of a class" $?
    "${PYTHON:-/usr/bin/python3}" - >ideals <<'END'
import h5py
for folder in "wrong", "share", "class":
    with h5py.File(folder + "/results.h5") as f:
        for name in "mia_loss_auc", "mia_loss_class_balanced_accuracy", "lira_online_auc", "ulira_accuracy", "ulira_residual_auc":
            print(folder, name, f["evaluation/iau/" + name].attrs["ideal"])
END
    is_half() {
        [ "$(grep -c "^$1 $2.* 0.5$" ideals)" -eq "$3" ]
    }
    is_half wrong '' 0 && is_half share '' 5 && is_half class mia_ 0 && is_half class .*lira_ 3
    verdict "an attack has an ideal of its own only where the sets are alike" $? ideals
else
    skip "ideals of attacks: python3-h5py"
fi

# --- what makes no sense, and what must not be mixed
fails 2 'forget.poison: nothing is to be forgotten' "$IAU" train small.yaml --forget.ratio=0 --output.dir=none
fails 2 '--forget.poison=maybe' "$IAU" train small.yaml --forget.poison=maybe
fails 1 '.*forget.poison' "$IAU" train small.yaml --forget.poison=off
fails 1 '.*forget.seed' "$IAU" train small.yaml --forget.seed=2
fails 1 '.*forget.poison' "$IAU" unlearn small.yaml --forget.poison=off --output.origins=out --output.dir=mixed

# Origins that were given other wrong labels have another folder.
for id in 1 2 3 4 5; do # some may be held out for validation
    echo $id >"id$id"
    "$IAU" train small.yaml --forget.ratio=0 --forget.ids=id$id --output.origins='shared/{digest}' --output.dir=own \
        --dry-run >output 2>said
    sed -n 's/^origin .* shared/shared/p' output
done >listing
[ "$(wc -l <listing)" -ge 2 ] && [ "$(sort -u listing | wc -l)" -eq "$(wc -l <listing)" ]
verdict "two requests do not share a poisoned origin" $? listing

# Nor do they share shadows that have seen wrong labels. An id that is held out for validation names nobody.
attack=("$IAU" -q run small.yaml --train.epochs=1 --unlearn.methods=iau --audit.attack.shadows=1 --audit.attack.epochs=1
    --audit.attack.net_epochs=1 --forget.ratio=0 --output.dir=attacked)
for id in 1 2 3 4 5; do
    "$IAU" train small.yaml --forget.ratio=0 --forget.ids=id$id --output.dir=own --dry-run >output 2>said && echo id$id
done >may
launch 2 "${attack[@]}" --forget.ids="$(sed -n 1p may)" >said 2>&1
verdict "an attack on a poisoned model" $?
rm attacked/*.h5
fails 1 'attacked/audit/attack_shadow_000.h5 was made with other settings: forget.digest' "${attack[@]}" --forget.ids="$(sed -n 2p may)"

finish poison
