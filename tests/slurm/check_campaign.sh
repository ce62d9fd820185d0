#!/bin/bash
# A campaign as two job arrays on four nodes: shared stages, six tasks of which one is cancelled while the node of another
# is powered off, a merge of what is there, the rest submitted again, and the bytes of a campaign without mishaps.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
cluster_start 4 1
write_config 12
cat >camp.yaml <<'END_YAML'
data: {file: data.h5, valid: 0.2}
model: {name: lenet5}
train: {epochs: 12, batch: 64, patience: 0}
forget: {ratio: 0.05}
methods:
  - {name: iau, method: iau, steps: 250, lr: 1e-6}
  - {name: ia, method: iau, correction: off, steps: 800, lr: 1e-6}
output: {dir: camp}
checkpoint: {every_steps: 10}
campaign: {silence_s: 4, grid: {forget.seed: [1, 2, 3], unlearn.methods: [iau, ia]}}
END_YAML
camp=("$IAU" campaign)
status() {
    "${camp[@]}" status camp.yaml >output 2>said
}
# stands LINE STATE [PATTERN]: "task 0" or "stage 0" does so.
stands() {
    status && grep -qE "^${1% *} +${1#* }  $2 .*${3:-}" output
}
expect() {
    await "$1" stands "${@:2}"
    verdict "$2 is $3 ${4:-}" $? output
}
echo max_restarts=5 >>jobs/site.sh

jobs/submit_campaign.sh --dry-run camp.yaml >output 2>said &&
    [ "$(grep -c '^would submit: ' said)" -eq 3 ] && grep -q "array=0-3' .*'stage' '0' 'camp.yaml'$" said &&
    grep -q "array=0-5' .*'task' '0' 'camp.yaml'$" said && grep -q "'merge' '0' 'camp.yaml'$" said
verdict "submit_campaign.sh --dry-run" $?
jobs/submit_campaign.sh --test-only --ntasks=1 camp.yaml >output 2>&1 && [ "$(grep -c '^sbatch: Job [0-9]* to start' output)" -eq 3 ]
verdict "submit_campaign.sh --test-only" $? output
[ ! -e camp ] && stands "task 0" missing
verdict "nothing has begun: tasks are missing" $? output

read -r stage_job task_job merge_job < <(jobs/submit_campaign.sh --ntasks=1 camp.yaml 2>said)
[ -n "$merge_job" ] && grep -q "^stages 0-3.*: job $stage_job$" said && grep -q "^tasks 0-5.*: job $task_job$" said &&
    grep -q "^merge: job $merge_job$" said
verdict "submit_campaign.sh prints the job ids" $?
[ "$(state_of "$task_job")" = "PENDING " ]
verdict "tasks wait for the shared stages" $?
ends "$stage_job" 300 COMPLETED "the array of shared stages"
expect 20 "stage 3" 'done'
find camp/shared -name '*.h5' ! -name '*state.h5' -exec sha256sum {} + | sort >shared.before

# --- half-way: one task is cancelled, and the node of another goes
expect 150 "task 0" running "job ${task_job}_0.*iau step [0-9]"
expect 150 "task 1" running "job ${task_job}_1"
scancel "${task_job}_1"
expect 150 "task 1" stopped 'it goes on when it is run again'
if can_power_off "a node that is powered off half-way"; then
    node=$(squeue -h -r -j "${task_job}_0" -o %N)
    "$MINI_SLURM" fail --now "$node"
    expect 150 "task 0" failed 'no sign of life, last [0-9]+ s ago'
    # the node comes back, and so does the task, by Slurm's own requeue
    "$MINI_SLURM" revive "$node"
    expect 150 "task 0" running "job ${task_job}_0"
fi
await 300 is_over "$task_job"
states=$(squeue -h -t all -r -j "$task_job" -o '%K %T' | sort | tr '\n' ' ')
[ "$states" = "0 COMPLETED 1 CANCELLED 2 COMPLETED 3 COMPLETED 4 COMPLETED 5 COMPLETED " ] ||
    [ "$states" = "0 COMPLETED 1 FAILED 2 COMPLETED 3 COMPLETED 4 COMPLETED 5 COMPLETED " ]
verdict "the other tasks end: $states" $?
ends "$merge_job" 300 COMPLETED "the dependent merge"
stands "task 0" 'done' && grep -qx '5 done, 0 running, 0 failed, 1 stopped, 0 missing' output
verdict "five are done" $? output
grep -q '^5 tasks, 15 rows: camp/campaign.h5$' "iau-merge-$merge_job.log"
verdict "what is there was merged" $? "iau-merge-$merge_job.log"

# --- the rest, which the status names
rest=$(sed -n 's/^on Slurm: //p' output)
[ "$rest" = 'jobs/submit_campaign.sh --task=1 camp.yaml' ]
verdict "the command for the rest" $? output
read -r task_job merge_job < <($rest 2>said)
ends "$merge_job" 300 COMPLETED "the rest, and its merge"
status && grep -qx '6 done, 0 running, 0 failed, 0 stopped, 0 missing' output
verdict "all are done" $? output
find camp/shared -name '*.h5' ! -name '*state.h5' -exec sha256sum {} + | sort | cmp -s - shared.before
verdict "shared stages were made once" $?
jobs/submit_campaign.sh camp.yaml >output 2>&1 && grep -q '^nothing is left to do' output
verdict "nothing is left" $? output

# --- the same campaign without mishaps, here
launch 2 "${camp[@]}" -q run camp.yaml --output.dir=wanted >said 2>&1 && "${camp[@]}" -q merge camp.yaml --output.dir=wanted >>said 2>&1
verdict "a campaign without mishaps" $?
[ "$(digest camp/campaign.h5)" = "$(digest wanted/campaign.h5)" ]
verdict "the same bytes in every column" $?

# --- a method that runs off: its task counts as done, is merged, and is not submitted again
sed -e 's/method: iau, steps: 250, lr: 1e-6/method: neggrad_plus, epochs: 1/' -e 's/, steps: 800, lr: 1e-6//' -e 's/epochs: 12/epochs: 1/' \
    -e 's/dir: camp}/dir: off}/' -e 's/grid: .*/grid: {methods.iau.lr: [0.001, 1.0e+30]}}/' camp.yaml >off.yaml
read -r stage_job task_job merge_job < <(jobs/submit_campaign.sh --ntasks=1 off.yaml 2>said)
ends "$merge_job" 300 COMPLETED "the merge after a task in which a method failed"
states=$(squeue -h -t all -r -j "$task_job" -o '%K %T' | sort | tr '\n' ' ')
[ "$states" = "0 COMPLETED 1 FAILED " ]
verdict "its element has exit status 1: $states" $?
grep -q '^2 tasks, 7 rows: off/campaign.h5$' "iau-merge-$merge_job.log"
verdict "all other models were merged" $? "iau-merge-$merge_job.log"
"${camp[@]}" status off.yaml >output 2>said && grep -qE '^task +1  done .*; failed methods: iau: .* is not finite or too large' output
verdict "the status names it" $? output
jobs/submit_campaign.sh off.yaml >output 2>&1 && grep -q '^nothing is left to do' output
verdict "nothing is left of it" $? output

finish "$suite"
