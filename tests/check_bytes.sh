#!/bin/bash
# The same bytes for 1, 2, 3 and 7 ranks with 1 and 2 threads, odd batch and set sizes, with and without the cache:
# digests of every model and of all metrics.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 683 211
"$IAU" -q import idx small --out data.h5 || exit 1

cat >lenet5.yaml <<'END'
data: {file: data.h5, valid: 0.2}
model: {name: lenet5}
train: {epochs: 2, batch: 64}
forget: {ratio: 0.05}
origins: {origin: {}, origin_gr: {train.restriction.alpha: 0.005}}
methods:
  - {name: iau, method: iau, origin: origin_gr}
  - {name: iau_swept, method: iau, origin: origin_gr, cache: off}
  - {name: ia, method: iau, origin: origin, correction: off}
  - {name: three, method: iau, origin: origin, optimizer: sgd, lr: 1e-5, scale: sum, steps: 3}
output: {dir: out}
END
cat >mlp.yaml <<'END'
data: {file: data.h5, valid: 0.2}
model: {name: mlp, hidden: [33, 17]}
train:
  {epochs: 2, batch: 128, unit: 64, restriction: {alpha: 0.01, norm: global},
   optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 1e-4}}
forget: {ratio: 0.05}
origins: {origin: {}}
methods:
  - {name: iau, method: iau}
  - {name: iau_swept, method: iau, cache: off}
  - {name: calibrated, method: iau, optimizer: sgd, lr: 0.03, step: calibrated}
output: {dir: out}
END

cat >resnet.yaml <<'END'
data: {file: data.h5, valid: 0.2}
model: {name: resnet18, width: 2}
train: {epochs: 2, batch: 192, unit: 64, restriction: {alpha: 0.005}, augment: {crop: 2, flip: on}}
forget: {ratio: 0.05}
origins: {origin: {}}
methods:
  - {name: iau, method: iau, lr: 1e-4}
  - {name: iau_swept, method: iau, lr: 1e-4, cache: off}
  - {name: curvature, method: iau_curvature, samples: 64, iterations: 2}
  - {name: scrub, method: scrub, epochs: 1, batch: 64}
output: {dir: out}
END

cat >methods.yaml <<'END'
data: {file: data.h5, valid: 0.2}
model: {name: mlp, hidden: [33, 17]}
train: {epochs: 2, batch: 128, unit: 64}
forget: {ratio: 0.05}
origins: {origin: {}}
methods:
  - {name: finetune, method: finetune, epochs: 2, batch: 128}
  - {name: ascent, method: ascent, epochs: 2, batch: 128}
  - {name: neggrad_plus, method: neggrad_plus, epochs: 2, batch: 128}
  - {name: random_label, method: random_label, epochs: 2, batch: 128}
  - {name: mixed, method: random_label, epochs: 2, batch: 128, order: mixed, exclude_true: on, redraw: off}
  - {name: scrub, method: scrub, epochs: 2, msteps: 1}
  - {name: salun, method: salun, epochs: 2, batch: 128}
  - {name: curvature, method: iau_curvature, samples: 150, held_out: 50}
  - {name: influence, method: influence, samples: 150, tune: 4}
  - {name: fisher, method: fisher}
  - {name: ssd, method: ssd, alpha: 1.5}
output: {dir: out}
END

cat >sisa.yaml <<'END'
data: {file: data.h5, valid: 0.2}
model: {name: mlp, hidden: [33, 17]}
train: {epochs: 3, batch: 64, unit: 64, seed: 5}
forget: {ratio: 0.006}
origins: {shards: {train.shards: 5}, slices: {train.shards: 3, train.slices: 3}}
methods:
  - {name: sisa, method: sisa, origin: shards}
  - {name: sliced, method: sisa, origin: slices}
output: {dir: out}
END

# same NAME CONFIG "RANKSxTHREADS[:MEMORY] ..." [OVERRIDES]: every launch gives the digests of the first; MEMORY is
# data.memory_mib.
same() {
    local name=$1 config=$2 shape ranks threads memory wanted=
    local shapes=$3
    shift 3
    for shape in $shapes; do
        memory=0
        [[ $shape != *:* ]] || memory=${shape#*:}
        shape=${shape%:*} ranks=${shape%x*} threads=${shape#*x}
        rm -rf out
        OMP_NUM_THREADS=$threads launch "$ranks" "$IAU" -q run "$config" "$@" "--data.memory_mib=$memory" >said 2>&1
        shape="$ranks ranks, $threads threads, memory $memory"
        verdict "$name: $shape: runs" $? || continue
        digests out >found
        if [ -z "$wanted" ]; then
            wanted=$(cat found)
            [ "$(wc -l <found)" -ge 4 ]
            verdict "$name: digests are there" $? found
        else
            diff <(echo "$wanted") found >difference
            verdict "$name: $shape: same bytes" $? difference
        fi
    done
}

# With a batch of 64 and units of 16, three of 7 ranks have no share of a step.
same lenet5 lenet5.yaml "1x1 1x2 2x1 2x2 3x1 3x2 7x1 7x2"
digest_of() {
    sed -n "s|^  /methods/$1/model_digest = ||p" found
}
[ -n "$(digest_of iau)" ] && [ "$(digest_of iau)" = "$(digest_of iau_swept)" ]
verdict "lenet5: with and without the cache: same bytes" $? found
[ "$(digest_of iau)" != "$(digest_of origin_gr)" ] && [ "$(digest_of origin)" != "$(digest_of retrain)" ]
verdict "lenet5: models differ where they must" $? found
gradients() {
    "$IAU" inspect "out/$1.h5" | awk '$1 == "/cost/gradients" { print $3 }'
}
[ "$(gradients iau)" = 27 ] && [ "$(gradients iau_swept)" = 574 ]
verdict "lenet5: the cache saves the sweep over the training set: $(gradients iau), $(gradients iau_swept)" $?

same mlp mlp.yaml "1x1 1x2 2x1 2x2 3x1 3x2 7x1 7x2"
[ "$(digest_of iau)" = "$(digest_of iau_swept)" ]
verdict "mlp: with and without the cache: same bytes" $? found

# Batch norm, whose groups are the units, residual connections, and augmentation.
same resnet resnet.yaml "1x1 1x2 2x1 3x2 7x1"
[ "$(digest_of iau)" = "$(digest_of iau_swept)" ]
verdict "resnet: with and without the cache: same bytes" $? found

# Methods.
same methods methods.yaml "1x1 2x2 3x1 7x2"
[ "$(sed -n 's|^  /methods/[^/]*/model_digest = ||p' found | sort -u | wc -l)" -eq 13 ]
verdict "methods: all models differ" $? found

# Ensembles, whose shards groups of ranks train side by side: forgetting is training without the samples.
same sisa sisa.yaml "1x1 2x2 3x1 7x1"
[ -n "$(digest_of sisa)" ] && [ "$(digest_of sisa)" = "$(digest_of retrain_shards)" ] &&
    [ "$(digest_of sisa)" != "$(digest_of shards)" ]
verdict "sisa: the retrained ensemble's bytes" $? found
[ "$(digest_of sliced)" = "$(digest_of retrain_slices)" ] && [ "$(digest_of sliced)" != "$(digest_of slices)" ]
verdict "sisa by slices: the retrained ensemble's bytes" $? found
[ "$(gradients sisa)" -lt "$(gradients retrain_shards)" ] && [ "$(gradients sliced)" -lt "$(gradients retrain_slices)" ]
verdict "sisa: not all shards are trained: $(gradients sisa), $(gradients sliced) gradients" $?
same "sisa by vote" sisa.yaml "1x1 3x1" --evaluate.aggregate=vote
[ "$(find out -name '*shard_*' | wc -l)" -eq 0 ]
verdict "sisa: the files of shards are gone" $?

# A second request after a first: from its file on, by the ids that are left.
for id in 0 1 2 3 4 5 6 7; do
    echo "$id" >one
    "$IAU" -q unlearn sisa.yaml --forget.ratio=0 --forget.ids=one --output.origins=out --output.dir=try --force \
        --unlearn.methods=sisa >said 2>&1 && cat one >>some
done
head -n 2 some >first
tail -n +3 some | head -n 2 >second
head -n 4 some >both
"$IAU" -q unlearn sisa.yaml --forget.ratio=0 --forget.ids=first --output.origins=out --output.dir=r1 \
    --unlearn.methods=sisa >said 2>&1 &&
    "$IAU" -q unlearn sisa.yaml --forget.ratio=0 --forget.ids=second --data.without=first --output.dir=r2 \
        --origins.shards.file=r1/sisa.h5 --unlearn.methods=sisa >>said 2>&1 &&
    "$IAU" -q unlearn sisa.yaml --forget.ratio=0 --forget.ids=both --output.origins=out --output.dir=r3 \
        --unlearn.methods=sisa >>said 2>&1
verdict "sisa: two requests, and one for both" $?
[ "$("$IAU" inspect --digest r2/sisa.h5)" = "$("$IAU" inspect --digest r3/sisa.h5)" ]
verdict "sisa: two requests give the bytes of one for both" $?

same "lenet5, batch 50" lenet5.yaml "1x1 3x2 7x1" --train.batch=50
same "mlp, batch 1000 of 100 samples" mlp.yaml "1x1 3x1" --train.batch=1000 --data.valid=0.853
same "lenet5, one sample forgotten" lenet5.yaml "1x1 7x1" --forget.ratio=0.0019 --train.epochs=1
same "lenet5, all but one forgotten" lenet5.yaml "1x1 3x1" --forget.ratio=0.999 --train.epochs=1
same "lenet5, no validation" lenet5.yaml "1x1 2x1" --data.valid=0 --train.patience=0 --train.epochs=1

# Reductions that overlap with work, which ranks of one host do only when told to, on more ranks than other tests have.
for ranks in 4 7; do
    launch "$ranks" "$(dirname "$IAU")/tests/test_overlap" >said 2>&1
    verdict "overlap: $ranks ranks" $?
done

# More data than memory: what is streamed gives the bytes of what is held. Two shards of four pools each.
make_data large 40000 300 3 16
"$IAU" -q import idx large --out large.h5 --compress || exit 1
same "mlp, streamed" mlp.yaml "1x1 1x1:5 1x2:5 2x1:3 3x1:3" --data.file=large.h5 --train.epochs=1
same "methods, streamed" methods.yaml "1x1 1x1:6 3x1:4" --data.file=large.h5 --train.epochs=1
same "sisa, streamed" sisa.yaml "1x1 1x1:5 3x1:3" --data.file=large.h5 --train.epochs=1
"$IAU" train mlp.yaml --data.file=large.h5 --output.dir=tight --data.memory_mib=4 >said 2>&1
[ $? -eq 2 ] && grep -q 'origin: data.memory_mib leaves a rank 4 MiB for 2 shards of the training set, but they take 8 in memory, and 5 streamed' said
verdict "mlp: too little memory to stream is refused" $?

# A request whose samples lie on one rank only: the first rows that are not held out for validation.
: >ids
for id in 0 1 2 3 4 5 6 7; do
    echo "$id" >one
    "$IAU" -q unlearn lenet5.yaml --forget.ratio=0 --forget.ids=one >said 2>&1
    grep -q 'held out for validation' said || cat one >>ids
done
[ -s ids ]
verdict "some ids train" $?
same "lenet5, forgotten samples on one rank" lenet5.yaml "1x1 3x1" --forget.ratio=0 --forget.ids=ids --train.epochs=1

finish bytes
