#!/bin/bash
# Methods whose numbers run off: the others are made and evaluated as if these were not listed, and results, campaigns
# and the exit status say which ones failed and why.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 203 70
# `wild` runs off while it is made, `far` makes a model whose outputs do.
cat >off.yaml <<'END'
data: {file: small.h5, valid: 0.2, source: {format: idx, files: [small]}}
model: {name: mlp, hidden: [16]}
train: {epochs: 2, batch: 64, unit: 64}
forget: {ratio: 0.1}
methods:
  - {name: ft, method: finetune, epochs: 2}
  - {name: wild, method: neggrad_plus, lr: 1e30}
  - {name: far, method: finetune, lr: 1e9, epochs: 1}
  - {name: iau, method: iau}
output: {dir: out}
checkpoint: {every_steps: 1}
END
wild='wild: epoch 1 step [0-9]+: .* is not finite or too large; a smaller learning rate may help'
far='far: evaluation on the [a-z]+ set: .* is not finite or too large; a smaller learning rate may help'

# ends_with PATTERN... -- COMMAND...: exit status 1, and these lines on stderr, in this order, and no others.
ends_with() {
    local patterns=() got i
    while [ "$1" != -- ]; do
        patterns+=("$1")
        shift
    done
    shift
    "$@" >"$scratch/output" 2>"$scratch/said" </dev/null
    got=$?
    mapfile -t lines <said
    [ "$got" -eq 1 ] && [ ${#lines[@]} -eq ${#patterns[@]} ]
    verdict "exit status 1 and ${#patterns[@]} lines from: $*; got $got" $?
    for i in "${!patterns[@]}"; do
        grep -qxE "iau: ${patterns[i]}" <<<"${lines[i]:-}"
        verdict "'${patterns[i]}' from: $*" $?
    done
}
model_digests() {
    digests "$1" | grep -E '/(origin|retrain|ft|iau)/'
}

# --- the others are made and evaluated, with the same bytes on any number of ranks and without those that fail
for n in 1 2; do
    ends_with "error: $wild" "error: $far" 'error: 2 of 4 methods failed: wild, far' -- launch $n "$IAU" run off.yaml --output.dir=out$n
    [ "$(cd out$n && echo *)" = 'far.h5 ft.h5 iau.h5 origin.h5 progress.csv results.h5 retrain.h5 wild.failed.h5' ]
    verdict "all models but one, its reason, and no restart file" $? <(ls out$n)
    grep -qE '^ft +([0-9.]+ +){4}0\.[0-9]+ ' output && grep -qE "^wild +failed: ${wild#wild: }$" output &&
        grep -qE "^far +failed: ${far#far: }$" output && grep -qE '^iau +([0-9.]+ +){4}0\.[0-9]+ ' output
    verdict "the table" $? output
done
cmp -s <(digests out1) <(digests out2)
verdict "the same bytes on 1 and 2 ranks" $? <(digests out1 && digests out2)
works '^results: ' "$IAU" run off.yaml --unlearn.methods=ft,iau --output.dir=calm
cmp -s <(model_digests out2) <(model_digests calm) && [ "$(model_digests calm | wc -l)" -eq 4 ]
verdict "and the bytes of a run without them" $? <(model_digests out2 && model_digests calm)
works "^  /methods/wild/failed = ${wild#wild: }$" "$IAU" inspect out2/results.h5
grep -qE "^  /methods/far/failed = ${far#far: }$" output && ! grep -qE '/(evaluation|cost|ranking)/(wild|far)/' output &&
    [ "$(grep -c '/failed = ' output)" -eq 2 ]
verdict "results.h5 names both, and has no figures of them" $? output
works '^out2/wild.failed.h5: failure of a method$' "$IAU" inspect out2/wild.failed.h5

# --- again, evaluated, mended
ends_with "error: $wild" "error: $far" 'error: 2 of 4 methods failed: wild, far' -- launch 2 "$IAU" run off.yaml --output.dir=out1
[ "$(grep -c ' already done: ' output)" -eq 5 ] && cmp -s <(digests out1) <(digests out2)
verdict "again: what is there is there, and the rest fails again" $? output
three=("$IAU" evaluate off.yaml --output.dir=out1 "--unlearn.methods=ft,wild,iau")
works "^wild +failed: ${wild#wild: }$" launch 2 "${three[@]}"
works '^not there and left out: wild$' "${three[@]}" --methods.wild.lr=0.5
cp out1/wild.failed.h5 kept.h5
truncate -s 500 out1/wild.failed.h5
works '^not there and left out: wild$' "${three[@]}"
mv kept.h5 out1/wild.failed.h5
works '^wild +([0-9.]+ +){4}0\.[0-9]+ ' launch 2 "$IAU" run off.yaml --output.dir=out1 --unlearn.methods=ft,wild,iau --methods.wild.lr=0.01
[ ! -e out1/wild.failed.h5 ] && [ -e out1/wild.h5 ] && ! "$IAU" inspect out1/results.h5 | grep -q '/failed = '
verdict "a model takes the place of the reason" $? <(ls out1)
ends_with "error: $wild" 'error: 1 of 2 methods failed: wild' -- "$IAU" run off.yaml --output.dir=out1 --unlearn.methods=wild,iau --force
grep -qE "^wild +failed: " output
verdict "an older model is not taken for what --force has failed to make" $? output

# --- unlearning alone; where others start from, and ensembles
ends_with "error: $wild" 'error: 1 of 4 methods failed: wild' -- launch 2 "$IAU" unlearn off.yaml --output.origins=calm --output.dir=alone
[ "$(cd alone && echo *)" = 'far.h5 ft.h5 iau.h5 progress.csv wild.failed.h5' ]
verdict "iau unlearn: the others are made" $? <(ls alone)
fails 1 "$wild" launch 2 "$IAU" unlearn off.yaml --output.origins=calm --output.dir=alone --unlearn.methods=wild
fails 1 'origin: epoch 1 step [0-9]+: .* is not finite or too large' "$IAU" run off.yaml --output.dir=none --train.optimizer.lr=1e30
[ ! -e none/ft.h5 ] && [ ! -e none/results.h5 ]
verdict "an origin that runs off ends the run" $? <(ls none)

# --- a campaign: the task is done, its rows are merged but for those
cat >>off.yaml <<'END'
campaign: {grid: {methods.wild.lr: ["0.01", "1e30"]}}
END
grid=(off.yaml --output.dir=camp "--unlearn.methods=ft,wild,iau")
done_with='task +1  done     methods.wild.lr = 1e30; failed methods: '$wild
no_row="warning: task 1 has no row of wild, which failed: ${wild#wild: }"
ends_with "error: $wild" 'error: 1 of 3 methods failed: wild' -- "$IAU" campaign run "${grid[@]}"
works "^$done_with$" "$IAU" campaign status "${grid[@]}"
grep -qx '2 done (1 with failed methods), 0 running, 0 failed, 0 stopped, 0 missing' output && ! grep -q '^the rest: ' output
verdict "status: both tasks are done" $? output
[ "$("$IAU" campaign status "${grid[@]}" --left | tr '\n' ' ')" = 'stages  tasks  ' ]
verdict "nothing is left for a job array" $?
"$IAU" campaign merge "${grid[@]}" >output 2>said && grep -qxE "iau: $no_row" said && [ "$(wc -l <said)" -eq 1 ] &&
    grep -qx '2 tasks, 9 rows: camp/campaign.h5' output
verdict "merged without a row of it" $? <(cat output said)
"$IAU" inspect camp/campaign.h5 | grep -qE '^  /failed/reason +text +1$'
verdict "campaign.h5 lists what failed" $? <("$IAU" inspect camp/campaign.h5)
digest=$("$IAU" inspect --digest camp/campaign.h5)
ends_with "error: task 1: failed methods: $wild" "$no_row" -- launch 2 "$IAU" run "${grid[@]}"
[ "$(grep -c ', already done$' output)" -eq 2 ] && [ "$("$IAU" inspect --digest camp/campaign.h5)" = "$digest" ]
verdict "iau run of the grid makes nothing anew, and ends alike" $? output
rm -r camp
ends_with "error: $wild" 'error: 1 of 3 methods failed: wild' "$no_row" -- "$IAU" run "${grid[@]}"
[ "$("$IAU" inspect --digest camp/campaign.h5)" = "$digest" ]
verdict "iau run of the grid runs and merges" $? output
rm camp/tasks/*1e30*/results.h5
works '^task +1  failed   .*; results.h5 was there and is gone or damaged$' "$IAU" campaign status "${grid[@]}"

finish failed
