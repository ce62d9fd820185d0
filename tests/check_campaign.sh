#!/bin/bash
# A campaign from its plan to one file of results: shared stages made once, every state a task can be in, the rest
# run again, a grid that grows, and the same bytes by hand.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"
PYTHON=${PYTHON:-/usr/bin/python3}

make_data small 203 70
cat >camp.yaml <<'END_YAML'
data: {file: data/small.h5, valid: 0.2, source: {format: idx, files: [small]}}
model: {name: mlp, hidden: [16]}
train: {epochs: 3, batch: 64, unit: 64, optimizer: {lr: 0.01}}
forget: {ratio: 0.05}
methods: [{name: iau, method: iau}, {name: ia, method: iau, correction: off}]
output: {dir: camp}
campaign:
  silence_s: 5
  grid:
    forget.seed: [1, 2, 3]
    unlearn.methods: [iau, ia]
END_YAML
camp=("$IAU" campaign)

# stands NUMBER STATE [PATTERN]: a task does so, and the note matches.
stands() {
    "${camp[@]}" status "${config:-camp.yaml}" >output 2>said &&
        grep -qE "^task +$1  $2 .*${3:-}" output
    verdict "task $1 is $2 ${3:-}" $? <(cat output said)
}
left() {
    "${camp[@]}" status "${config:-camp.yaml}" --left "$@" | tr '\n' ' '
}
folder_of() {
    "${camp[@]}" list "${config:-camp.yaml}" | sed -n "s/^task  *$1  .*  in //p"
}

# --- the plan; the data set is not even there
works '^campaign camp.yaml: 6 tasks, 4 shared stages, in camp$' "${camp[@]}" list camp.yaml
grep -qE '^stage +0  origin     camp/shared/[0-9a-f]{16}/origin.h5, for tasks 0-5$' output &&
    grep -qE '^stage +3  retrain    camp/shared/[0-9a-f]{16}/retrain.h5, for tasks 4-5$' output &&
    grep -qE '^task +3  forget.seed = 2, unlearn.methods = ia  in camp/tasks/seed-2_methods-ia_[0-9a-f]{8}$' output
verdict "list: stages with the tasks that need them, tasks with settings and folders" $? output
by_hand=$(sed -n 's/^task 0 is the same as: iau //p' output)
[ -n "$by_hand" ]
verdict "list: a task by hand" $? output
stands 0 missing
works '^0 done, 0 running, 0 failed, 0 stopped, 6 missing$' "${camp[@]}" status camp.yaml
grep -qx 'the rest: iau campaign run camp.yaml --task=0-5' output && grep -qx 'on Slurm: jobs/submit_campaign.sh --task=0-5 camp.yaml' output
verdict "status: the command for the rest" $? output
[ "$(left)" = 'stages 0-3 tasks 0-5 ' ] && [ "$(left --task=4)" = 'stages 0,3 tasks 4 ' ]
verdict "status --left: what is left, of some tasks" $?
fails 1 'camp.yaml: tasks that are not done: 0-5; see .iau campaign status.$' "${camp[@]}" merge camp.yaml
fails 2 '--task=0-6: takes numbers from 0 to 5, such as 0,2-4' launch 2 "${camp[@]}" run camp.yaml --task=0-6
[ ! -e camp ] && [ ! -e data ]
verdict "so far nothing was written" $?

# --- shared stages first, two writers of one at once, then the tasks
launch 2 "${camp[@]}" run camp.yaml --stage=1-3 >first 2>&1 &
pid=$!
launch 1 "${camp[@]}" run camp.yaml --stage=0-1 >second 2>&1
verdict "shared stages, of which another run makes one, too" $? second
wait "$pid"
verdict "the other run" $? first
[ "$(find camp/shared -name '*.h5' ! -name '*state.h5' | wc -l)" -eq 4 ] && [ -z "$(find camp data -name '*.tmp')" ]
verdict "four models, and nothing left behind" $? <(find camp)
[ "$(left)" = 'stages  tasks 0-5 ' ]
verdict "no stage is left" $?
works '^stage 0 of 4: origin origin in camp/shared/[0-9a-f]*, already done$' "${camp[@]}" run camp.yaml --stage=0
stage_files() {
    find camp/shared -name '*.h5' ! -name '*state.h5' -exec sha256sum {} + | sort
}
stage_files >before
launch 3 "${camp[@]}" run camp.yaml --task=0,2-5 >output 2>said
verdict "five tasks" $?
[ "$(grep -c 'already done: camp/shared' output)" -eq 10 ] && stage_files | cmp -s - before
verdict "they find the shared models" $? output
stands 0 'done'
stands 1 missing
[ "$(left)" = 'stages  tasks 1 ' ]
verdict "one task is left" $?
"${camp[@]}" merge camp.yaml --partial >output 2>said &&
    grep -qx 'iau: warning: left out: tasks 1, which are not done' said && grep -qx '5 tasks, 15 rows: camp/campaign.h5' output
verdict "merge --partial" $? <(cat output said)
fails 1 'camp.yaml: tasks that are not done: 1; see .*, or leave them out with --partial' "${camp[@]}" merge camp.yaml
works '^task 1 of 6: forget.seed = 1, unlearn.methods = ia$' "${camp[@]}" run camp.yaml
[ "$(grep -c ', already done$' output)" -eq 5 ]
verdict "running all runs what is left" $? output
works '^6 tasks, 18 rows: camp/campaign.h5$' "${camp[@]}" merge camp.yaml
works '^checksums and digest are right$' "$IAU" inspect camp/campaign.h5
works '^6 done, 0 running, 0 failed, 0 stopped, 0 missing$' "${camp[@]}" status camp.yaml
digest=$("$IAU" inspect --digest camp/campaign.h5)

# --- a task by hand: the same bytes
task=$(folder_of 0)
digests "$task" >wanted
mv "$task" apart
eval "\"\$IAU\" -q $by_hand" >said 2>&1 && digests "$task" | cmp -s - wanted
verdict "a task by hand gives the same bytes" $?
stands 0 'done'

# --- the grid grows: what is done stays done
sed 's/\[1, 2, 3\]/[0, 1, 2, 3]/' camp.yaml >grown.yaml
config=grown.yaml
[ "$(left)" = 'stages 1 tasks 0-1 ' ]
verdict "another seed: two tasks and one stage are left" $? <(left)
unset config

# --- failed, with the reason; killed; running; stopped
cat >long.yaml <<'END_YAML'
data: {file: data/small.h5, valid: 0.2}
model: {name: mlp, hidden: [16]}
train: {epochs: 1000000, batch: 64, unit: 64, patience: 0, optimizer: {name: sgd}}
forget: {ratio: 0.05}
methods: [{name: iau, method: iau}]
output: {dir: long}
campaign: {silence_s: 5, grid: {train.optimizer.lr: [1e-4, 1e-3, 1e30, 1e-2]}}
END_YAML
config=long.yaml
fails 1 'origin: epoch [0-9]* step [0-9]*: the loss is not finite or too large' \
    launch 2 "${camp[@]}" run --quiet long.yaml --task=2
stands 2 failed '; process [0-9]+ on .*: origin: epoch [0-9]+ step [0-9]+: the loss is not finite or too large'
started() {
    local tries=300 folder
    folder=$(folder_of "$1")
    until [ "$(grep -sc '^origin,epoch' "$folder/progress.csv" || true)" -ge 3 ] 2>/dev/null; do
        sleep 0.1
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
    done
}
(exec "${camp[@]}" run long.yaml --task=0 --checkpoint.every_steps=50 >killed 2>&1) &
pid=$!
started 0
stands 0 running '; process [0-9]+ on .*, origin epoch [0-9]+$'
kill -KILL "$pid"
wait "$pid" 2>/dev/null
stands 0 failed '; process [0-9]+ on .*: it is gone, last seen [0-9]+ s ago'
(exec env SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=1 "${camp[@]}" run long.yaml --task=1,3 >stopped 2>&1) &
pid=$!
started 1
stands 1 running 'process [0-9]+ on .*, job 77_1, origin epoch [0-9]+$'
sleep 6 # longer than silence_s: the sign of life comes from a thread of its own
stands 1 running
kill -USR1 "$pid"
wait "$pid"
[ $? -eq 75 ]
verdict "a stopped task ends with 75" $?
stands 1 stopped 'process .*, job 77_1, [0-9]+ s ago; it goes on when it is run again'
stands 3 missing
works '^0 done, 0 running, 2 failed, 1 stopped, 1 missing$' "${camp[@]}" status long.yaml
[ "$(left)" = 'stages  tasks 0-3 ' ]
verdict "all of these are left" $?
# As another host sees a process that is no more: only its silence tells.
state=$(folder_of 0)/state.h5
"$PYTHON" - "$state" <<'END_PYTHON' && touch -d '-1 hour' "$state"
import sys, h5py
with h5py.File(sys.argv[1], "r+") as f:
    f.attrs["host"] = "far"
END_PYTHON
stands 0 failed '; process [0-9]+ on far: no sign of life, last 60 min ago'
touch "$state"
stands 0 running
unset config

# --- other settings, damage, and what is in the way
sed 's/epochs: 3/epochs: 4/' camp.yaml >other.yaml
config=other.yaml
stands 0 failed 'results.h5 was made with other settings'
unset config
cp camp/campaign.h5 kept.h5
truncate -s 1000 "$(folder_of 2)/results.h5"
stands 2 failed 'results.h5 was there and is gone or damaged'
fails 1 'camp.yaml: tasks that are not done: 2;' "${camp[@]}" merge camp.yaml
cmp -s kept.h5 camp/campaign.h5
verdict "a merge that fails changes nothing" $?
rm "$(folder_of 2)/results.h5"
works '^results: ' "${camp[@]}" run camp.yaml --task=2
works '^6 tasks' "${camp[@]}" merge camp.yaml
[ "$("$IAU" inspect --digest camp/campaign.h5)" = "$digest" ]
verdict "merged again: the same digest" $?
cp data/small.h5 camp/campaign.h5
fails 1 'camp/campaign.h5 is in the way and no whole campaign file; move it, or use --force' "${camp[@]}" merge camp.yaml
works '^6 tasks' "${camp[@]}" merge camp.yaml --force

# --- a shared stage whose file is damaged; two origins in one folder, each with a state of its own
file=$("${camp[@]}" list camp.yaml | sed -n 's/^stage  *3  [a-z]*  *\(.*\), for tasks .*/\1/p')
cp "$file" kept.h5
truncate -s 1000 "$file"
works "^stage +3  failed   $file; its file is damaged\$" "${camp[@]}" status camp.yaml
fails 1 "$file" "${camp[@]}" run --quiet camp.yaml --stage=3
mv kept.h5 "$file"
works '^stage +3  done ' "${camp[@]}" status camp.yaml
sed '/unlearn.methods:/d; s/^methods:/origins: {origin: {}, origin_gr: {train.restriction.alpha: 0.01}}\n&/
    s/dir: camp}/dir: pair, origins: models}/' camp.yaml >pair.yaml
works '^stage 0 of 2: origin origin in models$' "${camp[@]}" run pair.yaml --stage=0
works '^stage +1  missing  models/origin_gr.h5$' "${camp[@]}" status pair.yaml
fails 1 'origin_gr: .*the loss is not finite or too large' "${camp[@]}" run --quiet pair.yaml --stage=1 --train.optimizer.lr=1e30
works '^stage +0  done     models/origin.h5$' "${camp[@]}" status pair.yaml
grep -qE '^stage +1  failed   models/origin_gr.h5; process .*: origin_gr: .*the loss is not finite' output
verdict "one stage has failed, and the other has not" $? output
works '^stage +0  failed   models/origin.h5; its file was made with other settings$' "${camp[@]}" status pair.yaml --train.epochs=4

# --- --force makes a task anew, once also where Slurm starts the job again
forced() {
    env SLURM_ARRAY_JOB_ID=88 SLURM_ARRAY_TASK_ID=0 "$@" "${camp[@]}" run camp.yaml --task=0 --force >output 2>said
}
forced && grep -q '^origin  written to ' output && grep -q '^iau  written to ' output
verdict "--force makes all of a task" $? output
rm "$(folder_of 0)/iau.h5"
forced SLURM_RESTART_COUNT=1 && grep -q '^task 0 of 6: .*, already done$' output
verdict "requeued: what it has done is done" $? output
rm "$(folder_of 0)/results.h5"
forced SLURM_RESTART_COUNT=2 && grep -q '^origin  already done: ' output && grep -q '^iau  written to ' output
verdict "requeued half-way: what is there is kept, and the rest is made" $? output
forced SLURM_RESTART_COUNT=1 SLURM_ARRAY_TASK_ID=1 && grep -q '^origin  written to ' output
verdict "another job that was requeued makes it anew" $? output
env SLURM_ARRAY_JOB_ID=88 SLURM_ARRAY_TASK_ID=1 SLURM_RESTART_COUNT=2 "${camp[@]}" run camp.yaml --task=0 --force --methods.iau.lr=0.5 \
    >output 2>said && grep -q '^origin  already done: ' output && grep -q '^iau  written to ' output
verdict "requeued, with other settings: what differs is made anew" $? output
forced && grep -q '^origin  written to ' output
verdict "the same job, not requeued, makes it anew" $? output

# --- on Slurm: what would be submitted, and what an element runs, beyond the largest array
unset IAU_JOBS
mkdir bin
cp -r "$ROOT/jobs" jobs
printf '%s\n' "iau=$IAU" 'launch=(env)' >jobs/site.sh
printf '#!/bin/sh\necho "MaxArraySize            = 4"\n' >bin/scontrol
chmod +x bin/scontrol
PATH=$PWD/bin:$PATH jobs/submit_campaign.sh --dry-run camp.yaml --seed=9 >output 2>said
grep -q -- "--array=0-3' .*/campaign.sbatch' 'task' '0' 'camp.yaml' '--seed=9'$" said &&
    grep -q -- "--array=0-1' .*/campaign.sbatch' 'task' '4' 'camp.yaml' '--seed=9'$" said &&
    grep -q "/campaign.sbatch' 'merge' '0' 'camp.yaml' '--seed=9'$" said
verdict "more tasks than an array holds: each array has its first number" $?
element() {
    env SLURM_JOB_ID=5 SLURM_SUBMIT_DIR="$PWD" "$@" >output 2>said
}
element SLURM_ARRAY_JOB_ID=5 SLURM_ARRAY_TASK_ID=1 jobs/campaign.sbatch task 4 camp.yaml &&
    grep -q '^task 5 of 6: .*, already done$' output && [ "$(grep -c '^task ' output)" -eq 1 ]
verdict "an element's number counts from the first" $? <(cat output said)
element jobs/campaign.sbatch task camp.yaml
[ $? -eq 2 ] && grep -q '^jobs/campaign.sbatch: takes stage, task or merge, and the number of the first one, not task camp.yaml$' said
verdict "an element without a first number" $?
jobs/submit_campaign.sh -p main camp.yaml >output 2>said
[ $? -eq 2 ] && grep -qx "no config main; write Slurm's options as --name=value" said
verdict "submit_campaign.sh: a value apart from its option is no config" $?
jobs/run.sbatch -p main camp.yaml >output 2>said
[ $? -eq 2 ] && grep -qx "no config main; write Slurm's options as --name=value" said
verdict "run.sbatch: the same" $?

# --- what tasks do not agree in is said of no row
sed '/unlearn.methods:/d; s/forget.seed: .*/forget.poison: [on, off]/; s/^output: {dir: camp}/output: {dir: mixed}\nevaluate: {floor: 1}/' \
    camp.yaml >mixed.yaml
works '^2 tasks, 10 rows: mixed/campaign.h5$' "$IAU" run mixed.yaml
if "$PYTHON" -c 'import h5py' 2>/dev/null; then
    "$PYTHON" - mixed/campaign.h5 mixed/tasks/*/results.h5 >said 2>&1 <<'END_PYTHON'
import sys, h5py
table, *results = (h5py.File(name) for name in sys.argv[1:])
of = lambda name: table["metrics"][name].attrs
assert all("noise_floor" in r["evaluation/iau/gap_accuracy_test"].attrs for r in results)
assert not any("noise_floor" in of(name) for name in table["metrics"])
assert len({r["evaluation/iau/mia_confidence_auc"].attrs["ideal"] for r in results}) == 2
assert "ideal" not in of("mia_confidence_auc") and of("mia_confidence_auc")["direction"]
assert of("accuracy_test")["ideal"] == 1 and of("gap_accuracy_test")["ideal"] == 0
END_PYTHON
    verdict "attributes of columns: neither the first task's noise nor its ideal" $?
else
    skip "attributes of columns: needs python3-h5py"
fi

# --- `iau run` of a grid does it all; with the grid's settings on the command line it does one task
grep -v silence_s camp.yaml | sed 's/dir: camp}/dir: whole}/' >whole.yaml
works '^6 tasks, 18 rows: whole/campaign.h5$' "$IAU" run whole.yaml --seed=1
fails 2 '--forget.seed=2: campaign.grid varies this setting: set unlearn.methods and all others that it varies, to run one task of it' \
    "$IAU" run whole.yaml --forget.seed=2
works '^results: one/results.h5$' "$IAU" run whole.yaml --seed=1 --forget.seed=2 --unlearn.methods=iau --output.dir=one
[ "$("$IAU" inspect --digest one/iau.h5)" = "$("$IAU" inspect --digest whole/tasks/seed-2_methods-iau_*/iau.h5)" ]
verdict "a task by itself gives the same bytes" $?
works '^A dry run: nothing was written' "$IAU" run whole.yaml --seed=1 --output.dir=nowhere --dry-run
[ ! -e nowhere ]
verdict "a dry run of a grid writes nothing" $?

# --- one table for pandas, with h5py alone
if "$PYTHON" -c 'import h5py, pandas' 2>/dev/null; then
    "$PYTHON" - camp/campaign.h5 "$(folder_of 5)/results.h5" >said 2>&1 <<'END_PYTHON'
import sys, h5py, pandas
file = h5py.File(sys.argv[1])
table = pandas.DataFrame({name: c.asstr()[()] if h5py.check_string_dtype(c.dtype) else c[()]
                          for group in file.values() for name, c in group.items()})
assert len(table) == 18 and list(table["task"]) == [k for k in range(6) for _ in range(3)]
assert list(table["model"][:6]) == ["origin", "retrain", "iau", "origin", "retrain", "ia"]
assert list(table["forget.seed"]) == [1 + i // 6 for i in range(18)] and table["forget.seed"].dtype == "int64"
assert set(table["unlearn.methods"]) == {"iau", "ia"}
one = h5py.File(sys.argv[2])
row = table[(table["task"] == 5) & (table["model"] == "ia")].iloc[0]
for name, metric in one["evaluation/ia"].items():
    assert row[name] == metric[()] or (row[name] != row[name] and metric[()] != metric[()]), name
assert row["gradients"] == one["cost/ia/gradients"][()]
assert file["metrics/accuracy_test"].attrs["ideal"] == 1 and row["kind"] == "method"
assert table[table["model"] == "origin"]["model_digest"].nunique() == 1
END_PYTHON
    verdict "pandas reads the table, with the values of the results" $?
else
    skip "reading the table with pandas: needs python3-pandas"
fi

finish campaign
