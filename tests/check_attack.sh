#!/bin/bash
# What the attacks say where the truth is known: a model that was trained on the forgotten samples gives them away, a
# model that never saw them cannot.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

source=/usr/share/datasets/fashion-mnist
if [ ! -d "$source" ]; then
    skip "attacks on trained and retrained models: the package dataset-fashion-mnist"
    finish attack
    exit
fi
cat >attack.yaml <<'END'
data: {file: data.h5, limit: 6250, valid: 0.2, source: {format: idx, files: [/usr/share/datasets/fashion-mnist]}}
model: {name: mlp, hidden: [256]}
train: {epochs: 40, batch: 64, patience: 0}
forget: {ratio: 0.4}
output: {dir: out}
END
launch 2 "$IAU" -q run attack.yaml >said 2>&1
verdict "training and retraining" $? said
value() {
    "$IAU" inspect out/results.h5 | awk -v path="/evaluation/$1" '$1 == path { print $3 }'
}
# The standard deviation of the area under the curve of two equal distributions, here of 2,000 and 10,000 samples, is
# sqrt((n + m + 1) / (12 n m)) = 0.0071.
for feature in confidence entropy modified_entropy loss; do
    before=$(value "origin/mia_${feature}_auc") after=$(value "retrain/mia_${feature}_auc")
    awk -v a="$after" 'BEGIN { exit !(a > 0.5 - 4 * 0.0071 && a < 0.5 + 4 * 0.0071) }'
    verdict "$feature: a retrained model is told by chance alone: $after" $? /dev/null
    awk -v b="$before" 'BEGIN { exit !(b > 0.5 + 4 * 0.0071) }'
    verdict "$feature: a trained one is not: $before" $? /dev/null
done

finish attack
