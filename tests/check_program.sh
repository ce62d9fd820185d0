#!/bin/bash
# The program as people meet it: help, version, plans, the table at the end, the live record, inspection, exit status.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 203 70
cat >small.yaml <<'END'
data: {file: data/small.h5, valid: 0.2, source: {format: idx, files: [small]}}
model: {name: mlp, hidden: [16]}
train: {epochs: 3, batch: 64, unit: 64, optimizer: {lr: 0.01}}
forget: {ratio: 0.05}
origins: {origin: {}, origin_gr: {train.restriction.alpha: 0.01}}
methods: [{name: iau, method: iau, origin: origin_gr}, {name: ia, method: iau, correction: off}]
output: {dir: out/deep}
END

# --- help and version
works '^Usage: iau COMMAND' "$IAU" --help
works '^  run +all of these' "$IAU" -h
for command in import train unlearn evaluate run inspect; do
    works "^Usage: iau $command" "$IAU" "$command" --help
    grep -q '^Exit status:' output && awk 'length > 100 { long = 1 } END { exit long }' output
    verdict "iau $command --help: exit status, and lines that fit a terminal" $? output
done
"$IAU" train --help >output
grep -q 'train.optimizer.lr' output && grep -q -- '--dry-run' output
verdict "iau train --help: settings and options" $? output
works '^iau [0-9]+\.[0-9]+\.[0-9]+' launch 2 "$IAU" --version
[ "$(grep -c '^iau ' output)" -eq 1 ]
verdict "--version from one rank only" $? output

# --- a plan changes nothing
files() {
    find . -not -name output -not -name said -not -name listing | sort
}
fails 1 'data/small.h5 is not there; a dry run does not import it' "$IAU" run small.yaml --dry-run
works '^data/small.h5: small, 203 training and 70 test samples, 10 classes' "$IAU" import idx small --out data/small.h5
files >listing
works '^origin_gr +origin +to do ' launch 2 "$IAU" run small.yaml --dry-run
files | diff listing - >said
verdict "a dry run writes nothing" $?
grep -q '^data data/small.h5: 163 to train on (of which 8 to forget), 40 for validation, 70 to test$' output &&
    grep -q '^model: 12730 parameters in 4 tensors$' output && grep -q 'out/deep/iau.h5$' output &&
    grep -q 'into out/deep/results.h5$' output && grep -q '^A dry run: nothing was written.$' output
verdict "a dry run says what would be done" $? output
fails 1 'out/deep holds no model of this config; .iau train. or .iau run. makes them' "$IAU" evaluate small.yaml --dry-run
fails 1 'out/deep/origin_gr.h5 is not there' "$IAU" unlearn small.yaml --dry-run
works 'A dry run' "$IAU" train small.yaml --dry-run --train.epochs=1000000
files | diff listing - >said
verdict "other dry runs write nothing" $?

# --- the whole run
rm -r data
launch 3 "$IAU" run small.yaml >output 2>said
verdict "iau run imports, trains, unlearns and evaluates" $?
grep -q '^iau on .*: 3 ranks x 1 thread, .*, BLAS core ' output
verdict "the first line says what runs where" $? output
grep -qx 'origin  training uses 2 of 3 ranks: batch 64, unit 64\|origin  training uses 1 of 3 ranks: batch 64, unit 64' output
verdict "it says that ranks have no share" $? output
row='^origin_gr +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +0\.[0-9]+ +0\.[0-9]+ +[0-9.]+ +-$'
grep -qE "$row" output && grep -qE '^retrain_gr .* - ' output && tail -n 1 output | grep -qx 'results: out/deep/results.h5'
verdict "the table at the end" $? output
! grep -q nan output
verdict "no number in it is missing" $? output
awk '/accuracy in %/ { w = length } /^model / { h = length } h && /^(ia|iau|origin|retrain)(_gr)? .*0\./ { if (length != h) bad = 1 }
    END { exit bad || !h || w > h }' output
verdict "its columns are in line" $? output
works 'A dry run' "$IAU" evaluate small.yaml --dry-run

head -n 1 out/deep/progress.csv | grep -qx 'model,event,number,loss,loss_valid,accuracy_valid,samples_per_s,seconds' &&
    [ "$(grep -cE '^(origin|origin_gr|retrain|retrain_gr),epoch,[123],([0-9.e-]+,){4}[0-9.e-]+$' out/deep/progress.csv)" -eq 12 ] &&
    [ "$(grep -cE '^(iau|ia),step,1,' out/deep/progress.csv)" -eq 2 ] && [ "$(wc -l <out/deep/progress.csv)" -eq 15 ]
verdict "progress.csv: a row an epoch and step" $? out/deep/progress.csv
cp out/deep/progress.csv before.csv
works '^origin  already done: out/deep/origin.h5$' "$IAU" run small.yaml
cmp -s before.csv out/deep/progress.csv
verdict "work that is done adds no row" $?
works '^origin +origin +done ' "$IAU" run small.yaml --dry-run

"$IAU" run small.yaml --quiet --force >output 2>said && [ ! -s output ] && [ ! -s said ]
verdict "--quiet prints nothing when all is well" $? output
"$IAU" train small.yaml --verbose >output 2>said
verdict "--verbose works" $?
OPENBLAS_CORETYPE=Haswell "$IAU" train small.yaml --dry-run >output 2>said
verdict "a slow BLAS core is no error" $?
if grep -q 'BLAS core Haswell' output && grep -q avx512f /proc/cpuinfo; then
    grep -q '^iau: warning: the CPU has AVX-512, but the BLAS uses Haswell kernels, at about half the speed: unset OPENBLAS_CORETYPE$' said
    verdict "a slow BLAS core is warned about" $?
else
    skip "the warning of a slow BLAS core: needs OpenBLAS for many cores, and AVX-512"
fi
OMP_NUM_THREADS=$(($(getconf _NPROCESSORS_ONLN) + 1)) "$IAU" train small.yaml --dry-run >output 2>said &&
    grep -q '^iau: warning: [0-9]* threads on [0-9]* cores wait for each other' said
verdict "too many threads are warned about" $?

# --- evaluate: what is there, and no more
mkdir part && cp out/deep/origin.h5 out/deep/ia.h5 out/deep/retrain.h5 part
works '^not there and left out: origin_gr, retrain_gr, iau$' launch 2 "$IAU" evaluate small.yaml --output.dir=part
grep -qE '^ia +([0-9.]+ +){4}0\.[0-9]+ +0\.[0-9]+ ' output && ! grep -q '^iau ' <(sed '/^iau on/d' output)
verdict "a table of these" $? output
[ ! -e part/progress.csv ]
verdict "an evaluation leaves only results" $?
works '^results: part/results.h5$' "$IAU" evaluate small.yaml --output.dir=part --data.valid=0.2 --evaluate.samples=on

# --- requests with folders of their own, from the same origins
mkdir -p requests && cp -p out/deep/origin.h5 out/deep/origin_gr.h5 requests
request=(small.yaml --output.origins=requests --output.dir=requests/17 --forget.seed=17)
chmod a-w requests
works '^iau  written to requests/17/iau.h5' launch 2 "$IAU" unlearn "${request[@]}" --output.origins=out/deep
chmod u+w requests
works '^origin  already done: requests/origin.h5$' "$IAU" run "${request[@]}"
works '^results: requests/17/results.h5$' launch 2 "$IAU" evaluate "${request[@]}"
grep -qE '^origin_gr +[0-9.]+ ' output && grep -qE '^iau +([0-9.]+ +){4}0\.[0-9]+ +0\.[0-9]+ ' output
verdict "an evaluation finds the origins, too" $? output
[ "$(cd requests && ls)" = $'17\norigin.h5\norigin_gr.h5' ] && cmp -s out/deep/origin.h5 requests/origin.h5 &&
    [ "$(cd requests/17 && echo *)" = 'ia.h5 iau.h5 progress.csv results.h5 retrain.h5 retrain_gr.h5' ]
verdict "the origins stay where they are, all else goes to the request's folder" $? <(ls -R requests)
works '^results: requests/18/results.h5$' launch 2 "$IAU" evaluate "${request[@]}" --output.dir=requests/18
works '^origin_gr +origin +done +0 +0.0 +0 +0.0  requests/origin_gr.h5$' "$IAU" run "${request[@]}" --dry-run
works '^origin  written to fresh/origins/origin.h5' launch 2 "$IAU" train small.yaml --output.origins=fresh/origins --output.dir=fresh/run
[ "$(cd fresh/origins && echo *)" = 'origin.h5 origin_gr.h5' ] && [ "$("$IAU" inspect --digest fresh/origins/origin.h5)" = \
    "$("$IAU" inspect --digest out/deep/origin.h5)" ]
verdict "training writes the origins there, with the same bytes" $? <(ls -R fresh)
fails 1 'cannot use output.origins small.yaml: small.yaml is no directory' "$IAU" train small.yaml --output.origins=small.yaml
fails 2 '.*data.file = fresh/origin.h5: is the file of an origin' "$IAU" train small.yaml --output.origins=fresh --data.file=fresh/origin.h5
fails 1 'fresh/origins/origin_gr.h5 was made with other settings: origins.origin_gr.train.restriction.alpha|fresh/origins/origin_gr.h5 was made with other settings: train.restriction.alpha' \
    "$IAU" train small.yaml --output.origins=fresh/origins --origins.origin_gr.train.restriction.alpha=0.5

# --- training does not ask what is to be forgotten
works '^origin  already done' "$IAU" train small.yaml --forget.ratio=0 --forget.ids=nowhere.txt

# --- inspect
for file in data/small.h5 out/deep/origin.h5 out/deep/iau.h5 out/deep/results.h5; do
    works '^checksums and digest are right$' "$IAU" inspect "$file"
    works '^[0-9a-f]{64}$' "$IAU" inspect --digest "$file"
    [ "$(wc -l <output)" -eq 1 ]
    verdict "inspect --digest $file: one line" $? output
done
"$IAU" inspect out/deep/origin.h5 >output
grep -qE '^  /params/fc1.weight +float32 +16 x 784$' output && grep -q '^  /provenance/ranks = 1$' output &&
    grep -qE '^  /gradient_sum/fc1.weight +float64 +16 x 784$' output && grep -qE '^    train.epochs = 3$' output &&
    grep -q '^  /kind = origin$' output && grep -q '^  /provenance/version = ' output
verdict "inspect: shapes, settings and provenance of a model" $? output
! "$IAU" inspect out/deep/iau.h5 | grep -q '^  /gradient_sum'
verdict "no gradient sum in an unlearned model" $?
"$IAU" inspect data/small.h5 >output
grep -q '203 training and 70 test samples of 1 x 28 x 28 uint8, 10 classes' output &&
    [ "$(awk '$1 == "class" { n += $4 } END { print n }' output)" -eq 203 ]
verdict "inspect: a dataset's classes" $? output

finish program
