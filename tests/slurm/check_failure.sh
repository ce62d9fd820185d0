#!/bin/bash
# What goes wrong on a cluster: ranks that die or hang, and nodes that are powered off, as another node or as the one the
# job script runs on, under srun and mpirun, and one that comes back.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
cluster_start 8 1
can_power_off "ranks that die, and nodes that are powered off" || {
    finish "$suite"
    exit
}
write_config 40
echo max_restarts=5 >>jobs/site.sh
launch 2 "$IAU" -q train config.yaml --output.dir=short >said 2>&1
verdict "a training of 40 epochs" $?
# As many epochs as take eight seconds here: no job may be done before its node is gone.
epochs=$("$IAU" inspect short/origin.h5 | awk '$1 == "/cost/seconds_total" { e = int(40 * 8 / $3); print e < 40 ? 40 : e }')
launch 2 "$IAU" -q train config.yaml --output.dir=wanted "--train.epochs=$epochs" >said 2>&1
verdict "unbroken training of $epochs epochs" $?
wanted=$(digest wanted/origin.h5)

# begin FOLDER LAUNCHER OPTIONS...: a training on two nodes that has done some epochs; sets `job`.
begin() {
    local folder=$1 launcher=$2
    shift 2
    IAU_LAUNCHER=$launcher batch --nodes=2 --ntasks=2 --output="$folder.log" "$@" jobs/train.sbatch config.yaml \
        --output.dir="$folder" "--train.epochs=$epochs" --checkpoint.every_steps=5
    await 200 has_rows "$folder" origin 3
    verdict "$folder: it trains" $? "$folder.log"
}
nodes_of() {
    scontrol show hostnames "$(squeue -h -j "$1" -o %N)"
}

# --- nodes that are powered off; three jobs at once, of which two lose another node and one the script's own
declare -A jobs
begin other_srun srun
jobs[other_srun]=$job
lost_1=$(nodes_of "$job" | tail -n 1)
begin other_mpirun mpirun
jobs[other_mpirun]=$job
lost_2=$(nodes_of "$job" | tail -n 1)
begin own_srun srun
jobs[own_srun]=$job
lost_3=$(nodes_of "$job" | head -n 1)
for node in $lost_1 $lost_2 $lost_3; do
    "$MINI_SLURM" fail --now "$node"
done

# --- meanwhile, on the nodes that are left: a rank that dies ends the job within 30 s, with a message
begin killed srun
kill -KILL "$(rank_of --output.dir=killed)"
ends "$job" 30 FAILED "a killed rank under srun" killed.log
grep -qE '^srun: error: .*: task [0-9]: Killed' killed.log && grep -qE '^jobs: ended with 1[0-9]*' killed.log
verdict "srun says so" $? killed.log
begin killed_mpirun mpirun
kill -KILL "$(rank_of --output.dir=killed_mpirun)"
ends "$job" 30 FAILED "a killed rank under mpirun" killed_mpirun.log
grep -q '^jobs: ended with 137 (signal 9); the same command goes on' killed_mpirun.log
verdict "the job script says so" $? killed_mpirun.log

# --- a rank that hangs cannot agree to stop: the job is requeued all the same, and goes on from the last restart file
echo stop_grace_s=4 >>jobs/site.sh
begin hung srun
kill -STOP "$(rank_of --output.dir=hung)"
scancel -b -s USR1 "$job"
jobs[hung]=$job
await 120 grep -q 'jobs: ended with 75; requeued' hung.log
verdict "a rank that hangs" $? hung.log
grep -q 'jobs: no end within 4 s of the signal; the last restart file counts' hung.log
verdict "the log says that nobody stopped" $? hung.log

# --- a node that comes back is given the same job, and may still have what the job left there
begin returning srun --nodelist="$(sinfo -h -N -t idle -o %N | head -n 2 | paste -sd,)"
node=$(nodes_of "$job" | head -n 1)
jobs[returning]=$job
"$MINI_SLURM" fail --now "$node" && "$MINI_SLURM" revive "$node"

# --- all of them end with the bytes of the unbroken run
for name in other_srun other_mpirun own_srun hung returning; do
    ends "${jobs[$name]}" 300 COMPLETED "$name" "$name.log"
    [ "$(digest "$name/origin.h5")" = "$wanted" ]
    verdict "$name: same bytes" $? "$name.log"
    grep -q '^origin  goes on at epoch' "$name.log"
    verdict "$name: it went on from a restart file" $? "$name.log"
done
finish "$suite"
