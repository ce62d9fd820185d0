#!/bin/bash
# A narrow ResNet-18 with batch norm learns Fashion-MNIST: above 80 % on the test set after one epoch.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

source=/usr/share/datasets/fashion-mnist
if [ ! -d "$source" ]; then
    skip "resnet: a narrow ResNet-18 after one epoch: the package dataset-fashion-mnist"
    finish resnet
    exit
fi
launch 1 "$IAU" -q import idx "$source" --out data.h5 >said 2>&1
verdict "import" $? said
cat >resnet.yaml <<'END'
data: {file: data.h5, valid: 0.2}
model: {name: resnet18, width: 8}
train: {epochs: 1, batch: 128, optimizer: {name: adam, lr: 2e-3}, schedule: {name: cosine, floor: 0.05}}
forget: {ratio: 0.05}
output: {dir: out}
END
OMP_NUM_THREADS=1 launch 2 "$IAU" train resnet.yaml >said 2>&1
verdict "training" $? said
OMP_NUM_THREADS=1 launch 2 "$IAU" evaluate resnet.yaml >said 2>&1
verdict "evaluation" $? said
accuracy=$(awk '$1 == "origin" { print $5 }' said | tail -n 1)
awk -v a="$accuracy" 'BEGIN { exit !(a >= 80) }'
verdict "at least 80 % on the test set: $accuracy" $? said

finish resnet
