#!/bin/bash
# Stopped and killed runs go on where they were, on any number of ranks, and end with the same bytes; outputs that are
# there are kept, and never replaced unless --force says so.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 683 211
"$IAU" -q import idx small --out data.h5 || exit 1
epochs=100 # seconds, time enough to stop
case ${COMPILE:-} in *-fsanitize*) epochs=30 ;; esac
cat >stop.yaml <<END
data: {file: data.h5, valid: 0.2}
model: {name: lenet5}
train: {epochs: $epochs, batch: 64, patience: 0, restriction: {alpha: 0.005}}
forget: {ratio: 0.05}
origins: {origin: {}}
methods: [{name: iau, method: iau}]
output: {dir: out}
END

digest() {
    "$IAU" inspect --digest "$1"
}
has_epochs() {
    [ "$(grep -c '^origin,epoch' "$1/progress.csv")" -ge "$2" ]
}
# ended NAME PID STATUS: that process ends with that status.
ended() {
    wait "$2"
    local got=$?
    [ "$got" -eq "$3" ]
    verdict "$1: exit status $3, got $got" $?
}
train=("$IAU" train stop.yaml)

launch 2 "${train[@]}" --output.dir=whole >said 2>&1
verdict "training without a stop" $?
wanted=$(digest whole/origin.h5)

# --- SIGUSR1 to the launcher, then to one rank, then SIGTERM without a launcher; three rank counts in turn.
# A process in the background of a script has SIGINT ignored, not SIGUSR1; `exec` keeps its process id.
(exec "${mpirun[@]}" -n 2 "${train[@]}" >first 2>&1) &
pid=$!
wait_for has_epochs out 3
kill -USR1 "$pid"
ended "SIGUSR1 to mpirun" "$pid" 75
grep -qE '^origin  stopped at epoch [0-9]+ step [0-9]+; the same command goes on from out/origin.restart.h5' first
verdict "it says where it stopped" $? first
[ -f out/origin.restart.h5 ] && [ ! -e out/origin.h5 ]
verdict "a restart file, and no model" $?
works 'out/origin.restart.h5: restart file' "$IAU" inspect out/origin.restart.h5

fails 1 'out/origin.restart.h5 was made with other settings: train.optimizer.lr \(0.001 there, 0.01 here\)' \
    "${train[@]}" --train.optimizer.lr=0.01
works 'origin +origin +resume' "${train[@]}" --dry-run

(exec "${mpirun[@]}" -n 3 "${train[@]}" >second 2>&1) &
pid=$!
rows=$(($(grep -c '^origin,epoch' out/progress.csv) + 3))
wait_for has_epochs out "$rows"
kill -USR1 "$(child_of "$pid")"
ended "SIGUSR1 to one rank" "$pid" 75
grep -qE '^origin  goes on at epoch ([2-9]|[1-9][0-9]+) ' second
verdict "it says where it goes on" $? second

(exec "${train[@]}" >third 2>&1) &
pid=$!
rows=$(($(grep -c '^origin,epoch' out/progress.csv) + 3))
wait_for has_epochs out "$rows"
kill -TERM "$pid"
ended "SIGTERM without a launcher" "$pid" 75

launch 3 "${train[@]}" >said 2>&1
verdict "the rest" $?
[ "$(digest out/origin.h5)" = "$wanted" ]
verdict "stopped three times on 2, 3 and 1 ranks, ended on 3: same bytes" $?
[ ! -e out/origin.restart.h5 ]
verdict "the restart file is gone" $?
[ "$(grep -c '^origin,epoch' out/progress.csv)" -eq $epochs ]
verdict "progress.csv has a row an epoch" $? out/progress.csv

# --- SIGKILL at any moment: the last restart file counts, and files are whole.
for round in 1 2; do
    (exec "${train[@]}" --output.dir=killed --checkpoint.every_seconds=0.02 >killed.log 2>&1) &
    pid=$!
    rows=$(($(grep -c '^origin,epoch' killed/progress.csv 2>/dev/null) + 3))
    wait_for has_epochs killed "$rows"
    sleep "0.0$((RANDOM % 100))"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    [ -f killed/origin.restart.h5 ] && [ ! -e killed/origin.h5 ] && digest killed/origin.restart.h5 >/dev/null
    verdict "killed, round $round: a whole restart file" $? killed.log
done
launch 2 "${train[@]}" --output.dir=killed >said 2>&1
verdict "after the kills" $?
grep -q 'goes on at' said
verdict "it goes on after a kill" $?
[ "$(digest killed/origin.h5)" = "$wanted" ]
verdict "killed twice, ended on 2 ranks: same bytes" $?
[ "$(grep -c '^origin,epoch' killed/progress.csv)" -eq $epochs ] && [ -z "$(find killed -name '*.tmp')" ]
verdict "after the kills a row an epoch, and nothing is left behind" $? killed/progress.csv

# A rank that dies takes the job with it, and the next start goes on.
(exec "${mpirun[@]}" -n 2 "${train[@]}" --output.dir=lost --checkpoint.every_seconds=0.02 >lost.log 2>&1) &
pid=$!
wait_for has_epochs lost 4
kill -KILL "$(child_of "$pid")"
! wait "$pid" && [ -f lost/origin.restart.h5 ]
verdict "a killed rank ends the job, with a restart file" $? lost.log
launch 1 "${train[@]}" --output.dir=lost >said 2>&1 && [ "$(digest lost/origin.h5)" = "$wanted" ]
verdict "a lost rank, ended on 1 rank: same bytes" $?

# --- An ensemble, whose shards have files of their own until all are there; on 2, 1 and 3 ranks.
shards=("$IAU" train stop.yaml --origins.origin.train.shards=4 --methods.iau.method=sisa
    --train.epochs=$((epochs / 2)))
launch 3 "${shards[@]}" --output.dir=shards_whole >said 2>&1
verdict "an ensemble without a stop" $?
(exec "${mpirun[@]}" -n 2 "${shards[@]}" --output.dir=shards >pieces 2>&1) &
pid=$!
wait_for test -f shards/origin.shard_0.h5
kill -USR1 "$(child_of "$pid")"
ended "SIGUSR1 while shards train" "$pid" 75
grep -q '^origin  stopped; the same command goes on$' pieces && [ ! -e shards/origin.h5 ]
verdict "an ensemble stops with what is done of it" $? pieces
fails 1 'shards/origin.shard_[0-3].h5 was made with other settings: train.optimizer.lr' \
    "${shards[@]}" --output.dir=shards --train.optimizer.lr=0.01
(exec "${shards[@]}" --output.dir=shards --checkpoint.every_seconds=0.02 >pieces 2>&1) &
pid=$!
wait_for test -f shards/origin.shard_2.h5
kill -KILL "$pid"
wait "$pid" 2>/dev/null
launch 3 "${shards[@]}" --output.dir=shards >said 2>&1
[ -n "$(digest shards/origin.h5)" ] && [ "$(digest shards/origin.h5)" = "$(digest shards_whole/origin.h5)" ]
verdict "an ensemble stopped and killed, ended on 3 ranks: same bytes" $?
[ -z "$(find shards -name '*shard_*')" ]
verdict "the files of shards are gone" $?

# --- The same command again, and others.
cp out/origin.h5 before.h5
works '^origin  already done: out/origin.h5$' "${train[@]}"
works '^origin  already done' "${train[@]}" --checkpoint.every_seconds=5 --evaluate.samples=on
fails 1 'out/origin.h5 was made with other settings: train.seed \(42 there, 43 here\), train.batch \(64 there, 32 here\); use --force' \
    "${train[@]}" --train.seed=43 --train.batch=32
fails 1 'out/origin.h5 was made with other settings: train.seed' launch 2 "${train[@]}" --train.seed=43 --dry-run
cmp -s before.h5 out/origin.h5
verdict "a refused run changes nothing" $?
works '^origin  written to out/origin.h5;' "${train[@]}" --train.seed=43 --train.epochs=1 --force
[ "$(digest out/origin.h5)" != "$wanted" ]
verdict "--force replaces" $?

cp before.h5 out/origin.h5
works '^iau  written to' "$IAU" unlearn stop.yaml
works '^iau  already done' "$IAU" unlearn stop.yaml
fails 1 'out/iau.h5 was made with other settings: method.lr \(0.001 there, 0.01 here\)' \
    "$IAU" unlearn stop.yaml --methods.iau.lr=0.01
rm out/origin.h5
works '^iau  already done' "$IAU" unlearn stop.yaml
rm out/iau.h5
fails 1 'out/origin.h5 is not there, the origin of method iau; make it with .iau train. or .iau run.' "$IAU" unlearn stop.yaml

# --- Unlearning in many steps, stopped by signals and killed, on 2, 1, 2 and 3 ranks.
steps=400 # seconds, too
unlearn=("$IAU" unlearn stop.yaml "--methods.iau.steps=$steps" --methods.iau.lr=1e-6)
has_steps() {
    [ "$(grep -c '^iau,step' "$1/progress.csv")" -ge "$2" ]
}
cp before.h5 out/origin.h5
launch 3 "${unlearn[@]}" --output.dir=unbroken --output.origins=out >said 2>&1
verdict "unlearning without a stop" $?
wanted=$(digest unbroken/iau.h5)
(exec "${mpirun[@]}" -n 2 "${unlearn[@]}" >steps 2>&1) &
pid=$!
wait_for has_steps out 20
kill -USR1 "$(child_of "$pid")"
ended "SIGUSR1 while unlearning" "$pid" 75
grep -qE '^iau  stopped at step [0-9]+; the same command goes on from out/iau.restart.h5$' steps && [ ! -e out/iau.h5 ]
verdict "unlearning says where it stopped, and leaves no model" $? steps
fails 1 'out/iau.restart.h5 was made with other settings: method.lr' "${unlearn[@]}" --methods.iau.lr=1e-5
(exec "${unlearn[@]}" >steps 2>&1) &
pid=$!
wait_for has_steps out $(($(grep -c '^iau,step' out/progress.csv) + 20))
kill -TERM "$pid"
ended "SIGTERM while unlearning" "$pid" 75
(exec "${mpirun[@]}" -n 2 "${unlearn[@]}" --checkpoint.every_steps=7 --checkpoint.keep=3 >steps 2>&1) &
pid=$!
wait_for has_steps out $(($(grep -c '^iau,step' out/progress.csv) + 30))
kill -KILL "$(child_of "$pid")"
! wait "$pid" && [ -f out/iau.restart.h5 ] && [ -f out/iau.restart.1.h5 ] && [ -f out/iau.restart.2.h5 ]
verdict "a killed rank ends unlearning, with three restart files" $? steps
launch 3 "${unlearn[@]}" >said 2>&1
verdict "the rest of unlearning" $?
grep -qE '^iau  goes on at step [0-9]+$' said && [ "$(digest out/iau.h5)" = "$wanted" ]
verdict "unlearning stopped and killed, ended on 3 ranks: same bytes" $?
[ "$(grep -c '^iau,step' out/progress.csv)" -eq $steps ] && [ -z "$(find out -name 'iau.restart*')" ]
verdict "progress.csv has a row a step, and no restart file is left" $? out/progress.csv
rm out/iau.h5

# --- A method that trains, in the midst of an epoch; its mask is found again.
tune=("$IAU" unlearn stop.yaml --output.origins=out --methods.iau.method=salun --methods.iau.epochs=$((2 * epochs))
    --methods.iau.batch=64 --methods.iau.lr=1e-4)
has_tuned() {
    [ "$(grep -c '^iau,epoch' "$1/progress.csv")" -ge "$2" ]
}
launch 3 "${tune[@]}" --output.dir=tuned_whole >said 2>&1
verdict "tuning without a stop" $?
(exec "${mpirun[@]}" -n 2 "${tune[@]}" --output.dir=tuned >tuning 2>&1) &
pid=$!
wait_for has_tuned tuned 5
kill -USR1 "$(child_of "$pid")"
ended "SIGUSR1 while tuning" "$pid" 75
grep -qE '^iau  stopped at epoch [0-9]+ step [0-9]+; the same command goes on from tuned/iau.restart.h5$' tuning
verdict "tuning says where it stopped" $? tuning
works '^iau  goes on at epoch [0-9]+ step [0-9]+$' "${tune[@]}" --output.dir=tuned
[ "$(digest tuned/iau.h5)" = "$(digest tuned_whole/iau.h5)" ] && [ -z "$(find tuned -name 'iau.restart*')" ]
verdict "tuning stopped on 2 ranks, ended on 1: same bytes" $?

# --- An output disk that is full or read-only: a clean end with one line, and after it is mended the run goes on.
# Mounts are seen by the script's own processes only.
on_disk() {
    # shellcheck disable=SC2016 # the inner shell expands it
    unshare --mount bash -euc '
        mount -t tmpfs -o size=1500k tmpfs disk
        "$@" --output.dir=disk/out --checkpoint.every_steps=10 --train.epochs=4 >first 2>&1 && exit 1
        fill_status=$?
        mount -o remount,size=20m tmpfs disk
        "$@" --output.dir=disk/out --train.epochs=4 >second 2>&1 # goes on: the last restart file is whole
        mount -o remount,ro tmpfs disk
        rm -rf disk/out 2>/dev/null && exit 1
        "$@" --output.dir=disk/out2 --train.epochs=4 >third 2>&1 && exit 1
        cp disk/out/origin.h5 mended.h5
        exit "$((fill_status == 1 ? 0 : 1))"' - "$@"
}
mkdir disk
if unshare --mount true 2>/dev/null; then
    launch 2 "${train[@]}" --output.dir=four --train.epochs=4 >said 2>&1
    on_disk "${train[@]}" >said 2>&1
    verdict "a full disk ends the run with status 1; mended, it goes on; read-only, it is refused" $? <(cat first second third)
    grep -qE '^iau: error: cannot write disk/out/origin.(restart.)?h5.*: No space left on device$' first
    verdict "a full disk is named" $? first
    grep -qE '^origin  goes on at epoch [1-4] step' second
    verdict "the restart file before the full disk serves" $? second
    grep -qE '^iau: error: .*Read-only file system$' third
    verdict "a read-only disk is named" $? third
    [ "$(digest mended.h5)" = "$(digest four/origin.h5)" ]
    verdict "a full disk that was mended: same bytes" $?
else
    skip "full and read-only disks: needs the right to mount"
fi

# --- A data set that changed between two runs is refused.
make_data other 683 211 7
"$IAU" -q import idx other --out other.h5 || exit 1
(exec "${train[@]}" --output.dir=changed --checkpoint.every_steps=5 >said 2>&1) &
pid=$!
wait_for has_epochs changed 2
kill -KILL "$pid"
wait "$pid" 2>/dev/null
fails 1 'changed/origin.restart.h5 was made with other settings: data.digest \([0-9a-f]+ there, [0-9a-f]+ here\)' \
    "${train[@]}" --output.dir=changed --data.file=other.h5

# Stopped between two stages: a full pipe keeps the first line back until the signal has come.
mkfifo full
exec 3<>full
head -c 65536 /dev/zero >&3
catches_usr1() {
    local caught
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status") && [ $((0x$caught & 0x200)) -ne 0 ]
}
(exec "$IAU" run stop.yaml --output.dir=none >full 2>said) &
pid=$!
wait_for catches_usr1 "$pid"
kill -USR1 "$pid"
cat <&3 >drained &
drain=$!
ended "SIGUSR1 before the first stage" "$pid" 75
wait_for grep -aq '^stopped before making origin; the same command does the rest$' drained && [ ! -e none ] && [ ! -s said ]
verdict "it says what it did not begin" $? drained
kill "$drain"
wait "$drain" 2>/dev/null

# What has nothing to go on with is killed as any program.
head -c 65536 /dev/zero >&3
(exec "$IAU" inspect out/origin.h5 >full 2>said) &
pid=$!
sleep 1
! catches_usr1 "$pid"
verdict "inspect catches no signal" $?
kill -TERM "$pid"
cat <&3 >/dev/null &
drain=$!
ended "SIGTERM while inspecting" "$pid" 143
kill "$drain"

finish stop
