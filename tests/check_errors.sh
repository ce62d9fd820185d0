#!/bin/bash
# Bad input and bad luck: one line that says what is wrong, the right exit status on every rank, and every earlier file
# as it was.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 203 70
make_data other 203 70 2
make_data large 203 70 1 33
for name in small other large; do
    "$IAU" -q import idx "$name" --out "$name.h5" || exit 1
done
cat >good.yaml <<'END'
data: {file: small.h5, valid: 0.2}
model: {name: mlp, hidden: [16]}
train: {epochs: 2, batch: 64, unit: 64}
forget: {ratio: 0.05}
origins: {origin: {}}
methods: [{name: iau, method: iau}]
output: {dir: out}
END
"$IAU" -q run good.yaml || exit 1
cp -r out kept
train=("$IAU" train good.yaml)
ids=("$IAU" unlearn good.yaml --output.dir=ids --forget.ratio=0 --forget.ids=ids.txt)

# --- the command line
fails 2 "no command given; try 'iau --help'" "$IAU"
fails 2 "unknown command trian; did you mean 'train'\?; try 'iau --help'" "$IAU" trian
fails 2 "unknown option --dry-rum; did you mean '--dry-run'\?; try 'iau train --help'" "${train[@]}" --dry-rum
fails 2 'no config file given' "$IAU" run
fails 2 'no --out FILE given' "$IAU" import idx small
fails 2 '--force does not apply to this command' "$IAU" inspect small.h5 --force
fails 2 '--quiet and --verbose exclude each other' "${train[@]}" -q -v
fails 2 'no command given' launch 3 "$IAU"

# --- import: IDX
import() {
    fails "$1" "$2" "$IAU" import "${@:3}" --out new.h5
    [ -z "$(find . -maxdepth 1 -name 'new.h5*')" ]
    verdict "a failed import leaves nothing: $2" $?
}
# damage FILE COMMAND...: a fresh copy of the small data set in `bad`, FILE in it changed by a filter.
damage() {
    rm -rf bad
    cp -r small bad
    "${@:2}" <"small/$1" >"bad/$1"
}
import 1 'nowhere holds neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz' idx nowhere
import 2 "unknown format idy: must be one of" idy small
damage train-images-idx3-ubyte head -c 5000
import 1 'bad/train-images-idx3-ubyte has 5000 bytes, its header says 159168' idx bad
damage train-images-idx3-ubyte head -c 7
import 1 'bad/train-images-idx3-ubyte is truncated' idx bad
damage train-images-idx3-ubyte head -c 0
import 1 'bad/train-images-idx3-ubyte is empty' idx bad
damage t10k-labels-idx1-ubyte cat - small/t10k-labels-idx1-ubyte
import 1 'bad/t10k-labels-idx1-ubyte has 156 bytes, its header says 78' idx bad
damage t10k-labels-idx1-ubyte cat small/t10k-images-idx3-ubyte
import 1 'bad/t10k-labels-idx1-ubyte is no IDX label file: it begins with 0x00000803, not 0x00000801' idx bad
damage train-labels-idx1-ubyte tr '\001' '\013'
import 1 'bad/train-labels-idx1-ubyte is no IDX label file' idx bad
damage t10k-labels-idx1-ubyte tr '\004' '\014'
import 1 'bad/t10k-labels-idx1-ubyte: label 12 in row [0-9]+ is not in 0..9, those of the training part' idx bad
damage train-labels-idx1-ubyte cat small/t10k-labels-idx1-ubyte
import 1 'bad/train-images-idx3-ubyte has 203 images, bad/train-labels-idx1-ubyte has 70 labels' idx bad
import 1 'large/t10k-images-idx3-ubyte has images of 33x33 pixels' idx small/train-images-idx3-ubyte \
    small/train-labels-idx1-ubyte large/t10k-images-idx3-ubyte large/t10k-labels-idx1-ubyte
rm -rf bad && cp -r small bad && gzip bad/train-images-idx3-ubyte
works '203 training and 70 test samples' "$IAU" import idx bad --out deep/er/gzip.h5
[ "$("$IAU" inspect --digest deep/er/gzip.h5)" = "$("$IAU" inspect --digest small.h5)" ]
verdict "gzip or not: the same data set" $?
head -c 9000 bad/train-images-idx3-ubyte.gz >bad/short && mv bad/short bad/train-images-idx3-ubyte.gz
import 1 'bad/train-images-idx3-ubyte.gz is (truncated|damaged|too short)' idx bad

# --- import: CIFAR-10
mkdir cifar
record() { # LABEL
    printf '%b' "\\x0$1"
    head -c 3072 /dev/zero
}
for i in 1 2 3 4 5; do
    { record $((i - 1)) && record $((i + 4)); } >cifar/data_batch_$i.bin
done
{ record 3 && record 4; } >cifar/test_batch.bin
works '10 training and 2 test samples' "$IAU" import cifar10 cifar --out cifar.h5
head -c 6145 /dev/zero >cifar/data_batch_3.bin
import 1 'cifar/data_batch_3.bin has 6145 bytes, no multiple of the 3073 of a CIFAR-10 record' cifar10 cifar
head -c 6146 /dev/zero | tr '\0' '\012' >cifar/data_batch_3.bin
import 1 'cifar/data_batch_3.bin: label 10 in (row|record) [0-9]+ ' cifar10 cifar
rm cifar/test_batch.bin
import 1 'cannot open cifar/test_batch.bin: No such file' cifar10 cifar

# --- import: targets
cp small.h5 taken.h5
fails 1 'taken.h5 exists; --force replaces it' "$IAU" import idx other --out taken.h5
damage train-labels-idx1-ubyte tr '\001' '\013'
fails 1 'bad/train-labels' "$IAU" import idx bad --out taken.h5 --force
cmp -s small.h5 taken.h5
verdict "a failed import leaves the earlier file" $?
works 'taken.h5: other' "$IAU" import idx other --out taken.h5 --force
mkdir folder.h5 && mkfifo pipe.h5
fails 1 'folder.h5 is a directory, no regular file' "$IAU" import idx small --out folder.h5 --force
fails 1 'pipe.h5 is a device, pipe or socket, no regular file' "$IAU" import idx small --out pipe.h5 --force
fails 1 'cannot .*good.yaml/x.h5|cannot .*good.yaml' "$IAU" import idx small --out good.yaml/x.h5

# --- dataset files
fails 1 'nowhere.h5 is not there; .iau import. makes it' "${train[@]}" --data.file=nowhere.h5
fails 1 'nowhere.h5 is not there; make it with .iau import., or set data.source' "$IAU" run good.yaml --data.file=nowhere.h5
fails 1 'good.yaml is not an HDF5 file' "${train[@]}" --data.file=good.yaml
fails 1 'folder.h5 is ' "${train[@]}" --data.file=folder.h5
head -c 100000 small.h5 >short.h5
fails 1 'short.h5: cannot open it: the file is truncated' "${train[@]}" --data.file=short.h5
fails 1 'kept/origin.h5' "${train[@]}" --data.file=kept/origin.h5
fails 2 'model lenet5 takes images up to 32x32, not 33x33' "${train[@]}" --data.file=large.h5 --model.name=lenet5 --output.dir=new

# flip FILE OFFSET: turn the bits of one byte around.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\0$(printf %o $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
cp small.h5 flipped.h5
flip flipped.h5 $(($(stat -c %s flipped.h5) / 2))
fails 1 'flipped.h5: .*checksum' "$IAU" inspect flipped.h5
fails 1 '.*flipped.h5: .*checksum' launch 2 "${train[@]}" --data.file=flipped.h5 --output.dir=new2

# --- model files
fails 1 'cannot open nowhere.h5: No such file or directory' "$IAU" inspect nowhere.h5
fails 1 'good.yaml is not an HDF5 file' "$IAU" inspect good.yaml
cp kept/origin.h5 flipped.h5
flip flipped.h5 "$(cmp -l kept/origin.h5 kept/retrain.h5 2>/dev/null | awk '{ at[NR] = $1 - 1 } END { print at[int(NR / 2)] }')"
fails 1 'flipped.h5' "$IAU" inspect flipped.h5
mkdir flip && cp flipped.h5 flip/origin.h5
fails 1 'flip/origin.h5' launch 2 "$IAU" unlearn good.yaml --output.dir=flip
# origin OPTIONS...: a method must refuse the origin that is there.
origin() {
    rm -rf mixed && mkdir mixed && cp kept/origin.h5 mixed
    fails 1 "$1" "$IAU" unlearn good.yaml --output.dir=mixed "${@:2}"
}
origin 'mixed/origin.h5 was trained on other data than other.h5' --data.file=other.h5
origin 'mixed/origin.h5 has no /params/conv1.weight: it holds another model' --model.name=lenet5
origin 'mixed/origin.h5: /params/.* has another shape' '--model.hidden=[17]'
origin 'mixed/origin.h5: /params/fc2.weight has another shape' '--model.hidden=[16, 16]'
origin 'mixed/origin.h5 was made with other settings: train.epochs \(2 there, 3 here\); make it again' --train.epochs=3
origin 'mixed/origin.h5 was made with other settings: data.seed \(1 there, 2 here\)' --data.seed=2
fails 1 'out/origin.h5 was made with other settings: train.epochs' "$IAU" evaluate good.yaml --train.epochs=3
fails 1 'out/retrain.h5 was made with other settings: forget.seed \(1 there, 2 here\)' "$IAU" evaluate good.yaml --forget.seed=2
fails 1 'empty holds no model of this config' "$IAU" evaluate good.yaml --output.dir=empty
fails 1 'empty/origin.h5 is not there, the origin of method iau' launch 2 "$IAU" unlearn good.yaml --output.dir=empty
[ ! -e empty ]
verdict "commands that find nothing to do make no folder" $?

# --- settings: file and line, and the nearest key
setting() { # LINE PATTERN TEXT: a config with TEXT in front of the good one
    printf '%s\n' "$3" | cat - good.yaml >bad.yaml
    fails 2 "bad.yaml:$1: $2" launch "${ranks:-1}" "$IAU" train bad.yaml
}
override() {
    fails 2 "$1" "${train[@]}" "${@:2}"
}
setting 1 "unknown setting '?modle'?.*model" 'modle: {name: mlp}'
setting 2 "unknown setting .*evaluate.sample.*evaluate.samples" $'evaluate:\n  sample: on'
setting 5 "'model' is given twice, first on line 3" $'evaluate:\n  samples: on\nmodel: {name: mlp}'
setting 1 '.*evaluate.samples.*on.*off' 'evaluate: {samples: maybe}'
sed 's/epochs: 2/epochs: two/' good.yaml >bad.yaml
fails 2 'bad.yaml:3: train.epochs' "$IAU" train bad.yaml
sed 's/valid: 0.2/valid: 1.2/' good.yaml >bad.yaml
fails 2 'bad.yaml:1: data.valid = 1.2' launch 3 "$IAU" train bad.yaml
sed 's/unit: 64/unit: 24/' good.yaml >bad.yaml
fails 2 'bad.yaml:3: train.unit = 24.*multiple of 16' "$IAU" train bad.yaml
echo 'data: [1, 2' >bad.yaml
fails 2 'bad.yaml:2:1: did not find expected' "$IAU" train bad.yaml
: >bad.yaml
fails 2 'bad.yaml' "$IAU" train bad.yaml
fails 2 'cannot open nowhere.yaml: No such file or directory' launch 2 "$IAU" train nowhere.yaml
override '--train.lr=0.1: unknown setting.*train.optimizer.lr' --train.lr=0.1
override '--train.epochs=0: .*1' --train.epochs=0
override '--train.epochs=x: ' --train.epochs=x
override '--model.name=resnet: .*lenet5' --model.name=resnet
fails 2 'nothing is to be forgotten: set forget.ratio, forget.ids or forget.classes' "$IAU" unlearn good.yaml --forget.ratio=0
fails 2 'forget.ratio and forget.classes are set together' "$IAU" run good.yaml --forget.classes=3

override '--methods.iau.until=test: .*validation.off' --methods.iau.method=ascent --methods.iau.until=test
override '--methods.iau.fraction=2: methods.iau.fraction = 2: must be at most 1' --methods.iau.method=salun --methods.iau.fraction=2
override 'good.yaml:6: methods.iau.until: validation needs a validation set' --methods.iau.method=ascent --data.valid=0 --train.patience=0

fails 1 'iau: no validation sample is left to calibrate its step by \(step: calibrated\); set data.valid or data.limit higher' \
    launch 2 "$IAU" run good.yaml --data.limit=4 --forget.ratio=0.5 --methods.iau.step=calibrated --output.dir=limit
[ ! -e limit ]
verdict "no validation sample for a method: nothing is begun" $?

# --- ids
request() {
    printf '%s\n' "$2" >ids.txt
    fails 1 "$1" "${ids[@]}"
}
request 'ids.txt: id 203 is a test sample; only training samples can be forgotten' 203
request 'ids.txt: id 100000 is not in small.h5' 100000
request 'ids.txt: id -1 is not in small.h5' -1
request "ids.txt:2: 'seven' is no sample id" $'5\nseven'
request "ids.txt:1: '99999999999999999999' is no sample id" 99999999999999999999
request 'ids.txt: id [0-9]+ was held out for validation, so no model has learned it' "$(seq 0 202)"
request 'ids.txt names no training sample' '# nothing'
trained=$(for id in $(seq 0 9); do
    echo "$id" >ids.txt
    "${ids[@]}" --data.valid=0.2 2>&1 | grep -q 'held out' || echo "$id"
done)
first=$(echo "$trained" | head -n 1)
request "ids.txt: id $first is named twice" "$first, $first"
seq 0 202 >ids.txt
fails 1 'ids.txt names all 203 training samples; nothing would be left' "${ids[@]}" --data.valid=0 --train.patience=0
rm ids.txt
fails 1 'cannot open ids.txt' launch 2 "${ids[@]}"
cp small.h5 ids.txt
fails 1 'ids.txt' "${ids[@]}"
fails 1 'forget.classes: small.h5 has classes 0 to 9, not 10' "$IAU" unlearn good.yaml --forget.ratio=0 --forget.classes=10

# --- outputs
for kind in directory pipe; do
    rm -rf way && mkdir way
    if [ $kind = directory ]; then mkdir way/origin.h5; else mkfifo way/origin.h5; fi
    fails 1 "way/origin.h5 is a .*$kind.*, no regular file" "${train[@]}" --output.dir=way --force
done
rm -rf way && mkdir -p way/results.h5
fails 1 'way/results.h5 is a directory, no regular file' launch 2 "$IAU" run good.yaml --output.dir=way --force
[ ! -e way/origin.h5 ]
verdict "the place of the results is checked before the work" $?
rm -rf way && mkdir way && echo precious | tee way/origin.h5 >way/results.h5
fails 1 'way/origin.h5 is not an HDF5 file, and in the way of an output; use --force' "${train[@]}" --output.dir=way
fails 1 'way/results.h5 is in the way and no whole results file' "$IAU" run good.yaml --output.dir=way
fails 1 'cannot use output.dir good.yaml: good.yaml is no directory' "${train[@]}" --output.dir=good.yaml
fails 1 'cannot use output.dir good.yaml/x: Not a directory' launch 2 "${train[@]}" --output.dir=good.yaml/x

# What is in the way of a late stage is found before the first one begins.
mkdir late && "$IAU" -q run good.yaml --forget.seed=2 --output.dir=other && cp other/iau.h5 late
late=("$IAU" run good.yaml --output.dir=late)
fails 1 'late/iau.h5 was made with other settings: forget.seed \(2 there, 1 here\); use --force' launch 2 "${late[@]}"
fails 1 'late/iau.h5 was made with other settings: forget.seed' "${late[@]}" --dry-run
[ "$(ls late)" = iau.h5 ] && cmp -s other/iau.h5 late/iau.h5
verdict "another request's model in the way: nothing is begun" $?
cp -p kept/origin.h5 late
fails 1 'late/iau.h5 was made with other settings: forget.seed' "${late[@]}"
fails 1 'late/iau.h5 was made with other settings: forget.seed' launch 2 "$IAU" unlearn good.yaml --output.dir=late
[ "$(ls late)" = $'iau.h5\norigin.h5' ] && cmp -s kept/origin.h5 late/origin.h5
verdict "the same where the origin is there" $?
rm late/* && echo precious >late/iau.h5
fails 1 'late/iau.h5 is not an HDF5 file, and in the way of an output' "${late[@]}"
rm late/* && mkdir late/iau.h5
fails 1 'late/iau.h5 is a directory, no regular file' "${late[@]}" --force
[ "$(ls late)" = iau.h5 ]
verdict "foreign files and folders in the way: nothing is begun" $?
rm -r late/iau.h5 && echo precious | tee late/iau.h5 >late/origin.h5
works '^iau  written to late/iau.h5' launch 2 "${late[@]}" --force
rm late/* && cp kept/iau.h5 late
works '^iau  already done: late/iau.h5$' "${late[@]}"
fails 1 'late/iau.h5 was made with other settings: method.method \(iau there, retrain here\), method.tune \(0 there, not set here\)' \
    "$IAU" unlearn good.yaml --output.dir=late '--methods.iau.method=retrain'
sed 's/valid: 0.2/valid: 0.9/; s/ratio: 0.05/ratio: 0.5/; s/name: mlp, hidden: .16./name: resnet18, width: 1/' good.yaml >norm.yaml
fails 2 'retrain: 11 samples in batches of 64 leave no group of 16 samples' launch 2 "$IAU" run norm.yaml --output.dir=norm
[ ! -e norm ]
verdict "retained samples too few for batch norm: nothing is begun" $?

sed '/^methods/d; s/^origins.*/origins: {origin: {train.shards: 5}}\nmethods: [{name: sisa, method: sisa}]/' good.yaml >shards.yaml
fails 2 'origin: train.shards = 200, train.slices = 1: of 163 samples, shard [0-9]+ has none to begin with; use fewer' \
    launch 2 "$IAU" run shards.yaml --output.dir=shards --origins.origin.train.shards=200
fails 2 'retrain: train.shards = 5, train.slices = 1: of 1 samples, shard [0-9]+ has none to begin with' \
    "$IAU" run shards.yaml --output.dir=shards --forget.ratio=0.999
fails 2 'origin: [0-9]+ samples in batches of 64 leave no group of 16 samples' \
    "$IAU" run shards.yaml --output.dir=shards --model.name=resnet18 --model.width=1 --origins.origin.train.shards=12
fails 1 'shards has room for [0-9.]+ MiB, and the files of ensembles take up to [0-9.]+' \
    launch 2 "$IAU" run shards.yaml --output.dir=shards --model.hidden=65536,65536 --evaluate.floor=50
[ ! -e shards ]
verdict "shards that are too small, or a disk that is: nothing is begun" $?
works '^sisa: [1-5] of 5 shards to train, [1-5] models of 5; up to [0-9.]+ MiB of files$' \
    "$IAU" run shards.yaml --output.dir=shards --dry-run

mkdir -p csv/progress.csv
fails 1 'cannot write csv/progress.csv: Is a directory' "${train[@]}" --output.dir=csv

# A limit on file sizes, and a full disk: both while the model is written.
cat >limited.sh <<'END'
#!/bin/bash
ulimit -f "$1"
shift
exec "$@"
END
fails 1 'cannot write way/origin.h5: File too large' launch 1 bash limited.sh 1000 "${train[@]}" -q --output.dir=way --force \
    '--model.hidden=[256]'
[ "$(cat way/origin.h5)" = precious ] && [ -z "$(find way -name '*.tmp')" ]
verdict "the earlier file is whole after a write that failed" $?
fails 1 'cannot write taken.h5: File too large|taken.h5: .*' launch 1 bash limited.sh 100 "$IAU" import idx small --out taken.h5 --force
[ "$("$IAU" inspect --digest taken.h5)" = "$("$IAU" inspect --digest other.h5)" ] && [ -z "$(find . -maxdepth 1 -name 'taken.h5.*')" ]
verdict "the earlier data set is whole after an import that failed" $?

cat >full.sh <<'END'
#!/bin/bash
# In a file system of its own: 3 MB with 20 kB left. Exits 77 where nothing can be mounted.
mount -t tmpfs -o size=3m none way 2>/dev/null || exit 77
echo precious | tee way/origin.h5 >way/data.h5
head -c 3100000 /dev/zero >way/filler
"$@"
status=$?
[ "$(cat way/origin.h5 way/data.h5)" = $'precious\nprecious' ] && [ -z "$(find way -name '*.tmp')" ] || status=78
exit $status
END
if unshare -rm bash full.sh true 2>/dev/null; then
    fails 1 'cannot write way/origin.h5: No space left on device' unshare -rm bash full.sh "${train[@]}" --output.dir=way --force
    fails 1 '.*way/data.h5.*' unshare -rm bash full.sh "$IAU" import idx small --out way/data.h5 --force
else
    skip "a full disk: no file system can be mounted here"
fi

# --- one rank fails: one message, one code, no hang
cat >apart.sh <<'END'
#!/bin/bash
# Rank 1 sees files of its own.
[ "${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-0}}" = 1 ] && cd apart
exec "$@"
END
apart() {
    fails 1 "$1" launch 3 bash apart.sh "$IAU" -q train "$PWD/good.yaml" --output.dir=new3
}
mkdir apart
apart 'cannot open small.h5: No such file or directory'
head -c 100000 small.h5 >apart/small.h5
apart 'small.h5: cannot open it: the file is truncated'
cp other.h5 apart/small.h5
apart "the data file's digest differs from rank 0 on 1 of 3 ranks: 1"
cp small.h5 apart/small.h5
flip apart/small.h5 $(($(stat -c %s small.h5) / 2))
apart 'small.h5: .*checksum'

cp small.h5 apart/small.h5
echo "$first" >ids.txt
echo "$trained" | sed -n 2p >apart/ids.txt
fails 1 'the forget set \(forget.ids = ids.txt\) differs from rank 0 on 1 of 3 ranks: 1' \
    launch 3 bash apart.sh "$IAU" -q unlearn "$PWD/good.yaml" --forget.ratio=0 --forget.ids=ids.txt --output.dir=new3
cp ids.txt apart/ids.txt
fails 1 'new3/origin.h5 is not there, the origin of method iau' \
    launch 3 bash apart.sh "$IAU" -q unlearn "$PWD/good.yaml" --forget.ratio=0 --forget.ids=ids.txt --output.dir=new3

fails 1 'origin: epoch 1 step [0-9]+: .* is not finite or too large; a smaller learning rate may help' \
    launch 3 "${train[@]}" -q --output.dir=nan --train.optimizer.lr=1e30
[ ! -e nan/origin.h5 ]
verdict "no model after a step that failed" $?

fails 1 'iau: epoch 1 step [0-9]+: .* is not finite or too large; a smaller learning rate may help' \
    launch 3 "$IAU" -q unlearn good.yaml --output.origins=kept --output.dir=nan --methods.iau.method=neggrad_plus --methods.iau.lr=1e30
fails 1 'iau: after epoch 1: the loss is not finite or too large; a smaller learning rate may help' \
    launch 2 "$IAU" -q unlearn good.yaml --output.origins=kept --output.dir=nan --methods.iau.method=ascent --methods.iau.lr=1e20
[ ! -e nan/iau.h5 ]
verdict "no model of a method that runs off" $?

# Memory runs out at the k-th allocation of rank 1, wherever that is.
ran_out=0
for k in 1 4 16 64 100 120 140 160 180 210 250 300 400 1000; do
    rm -rf memory
    IAU_FAIL_ALLOC=1:$k launch 2 "$IAU" -q run good.yaml --output.dir=memory >output 2>said
    status=$?
    if [ $status -eq 1 ]; then
        ran_out=$((ran_out + 1))
        [ "$(wc -l <said)" -eq 1 ] && grep -qE '^iau: error: rank 1: (no memory|.*out of memory)' said
        verdict "memory fails at allocation $k of rank 1" $? said
    else
        [ $status -eq 0 ] && [ ! -s said ]
        verdict "the work needs fewer than $k allocations, or fails cleanly: exit status $status" $? said
    fi
done
[ $ran_out -ge 7 ]
verdict "most injected failures were reached: $ran_out" $?

# After all of that the outputs of the first run are as they were.
diff -r --exclude=progress.csv kept out >difference
verdict "earlier outputs are unchanged" $? difference

finish errors
