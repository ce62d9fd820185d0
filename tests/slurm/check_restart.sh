#!/bin/bash
# Time limits, signals and kills on a real Slurm: a job that is requeued until it is done, stops by every way a signal
# can come, on changing numbers of ranks, and twenty kills at random moments; each ends with the bytes of the unbroken run.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
export MINI_SLURM_KILLWAIT=2
cluster_start 4 2
write_config 40
echo max_restarts=10 >>jobs/site.sh

launch 2 "$IAU" -q train config.yaml --output.dir=wanted >said 2>&1
verdict "unbroken training" $?
wanted=$(digest wanted/origin.h5)
# As many epochs as take a minute here, for the time limit of a minute.
long=$("$IAU" inspect wanted/origin.h5 | awk '$1 == "/cost/seconds_total" { e = int(40 * 60 / $3); print e < 300 ? 300 : e }')
many=(--methods.iau.steps=200 --methods.iau.lr=1e-6)
launch 2 "$IAU" -q unlearn config.yaml --output.dir=wanted "${many[@]}" >said 2>&1
verdict "unbroken unlearning" $?
wanted_unlearned=$(digest wanted/iau.h5)

# --- a time limit of a minute, and a training that is asked to stop long before it is done: requeued until it is. Slurm
# looks at time limits every 30 s and may signal early; meanwhile the other tests run.
cp -r jobs short
sed -i 's/^#SBATCH --time=.*/#SBATCH --time=1/; s/USR1@90/USR1@40/' short/train.sbatch
IAU_JOBS=$PWD/short batch --nodes=2 --ntasks=2 --output=limit.log short/train.sbatch config.yaml --output.dir=limit "--train.epochs=$long"
limit_job=$job
(await 450 is_over "$limit_job" && state_of "$limit_job" >limit.state) & # Slurm forgets jobs after a while
watch=$!

# --- every way a signal can come, on 4, 1 and 3 ranks; no job is requeued here, so each ends with 75
stops_with_75() {
    local folder=$1 model=$2 more=$3 launcher=$4 name=$5
    shift 5
    rm -f "$folder.log"
    IAU_LAUNCHER=$launcher batch --output="$folder.log" "$@"
    await 200 has_rows "$folder" "$model" $(($(rows "$folder" "$model") + more))
    # shellcheck disable=SC2086 # no option, or one
    scancel $how -s USR1 "$job"
    ends "$job" 100 FAILED "$name" "$folder.log"
    scontrol show job -o "$job" | grep -q ' ExitCode=75:0 ' &&
        grep -q 'jobs: ended with 75 after 0 restarts, and max_restarts is 0' "$folder.log" &&
        [ -f "$folder/$model.restart.h5" ] && [ ! -e "$folder/$model.h5" ]
    verdict "$name: status 75 and a restart file" $? "$folder.log"
}
cp -r jobs once
sed -i 's/^max_restarts=.*/max_restarts=0/' once/site.sh
train=(once/train.sbatch config.yaml --output.dir=signals)
how=-b
IAU_JOBS=$PWD/once
export IAU_JOBS
stops_with_75 signals origin 3 srun "USR1 to the script, srun, 4 ranks on 2 nodes" --nodes=2 --ntasks=4 "${train[@]}"
how=''
stops_with_75 signals origin 3 mpirun "USR1 to the steps, mpirun on 2 nodes, 2 ranks" --nodes=2 --ntasks=2 "${train[@]}"
how=-b
stops_with_75 signals origin 3 mpirun "USR1 to the script, mpirun, 1 rank" --ntasks=1 "${train[@]}"
how=''
stops_with_75 signals origin 3 srun "USR1 to the steps, srun, 3 ranks on 3 nodes" --nodes=3 --ntasks=3 "${train[@]}"
IAU_LAUNCHER=mpirun batch --nodes=2 --ntasks=3 --output=signals.log "${train[@]}"
ends "$job" 300 COMPLETED "the rest on 3 ranks" signals.log
[ "$(digest signals/origin.h5)" = "$wanted" ]
verdict "stopped on 4, 2, 1 and 3 ranks, ended on 3: same bytes" $? signals.log

unlearn=(once/unlearn.sbatch config.yaml --output.dir=signals "${many[@]}")
how=-b
stops_with_75 signals iau 20 srun "USR1 while unlearning, 4 ranks" --nodes=2 --ntasks=4 "${unlearn[@]}"
stops_with_75 signals iau 20 mpirun "USR1 while unlearning, 1 rank" --ntasks=1 "${unlearn[@]}"
batch --nodes=3 --ntasks=3 --output=signals.log "${unlearn[@]}"
ends "$job" 300 COMPLETED "the rest of unlearning on 3 ranks" signals.log
[ "$(digest signals/iau.h5)" = "$wanted_unlearned" ]
verdict "unlearning from 4 to 1 to 3 ranks: same bytes" $? signals.log

# --- the farm of an audit, four models at a time: stopped, requeued by the job script, and ended with the same bytes
audit=(--output.origins=wanted --audit.shadows=8 --audit.epochs=20 '--audit.methods=[iau]')
launch 2 "$IAU" -q audit config.yaml --output.dir=audited "${audit[@]}" >said 2>&1
verdict "an audit without a stop" $?
unset IAU_JOBS
batch --nodes=2 --ntasks=4 --output=farm.log jobs/audit.sbatch config.yaml --output.dir=farm "${audit[@]}"
await 200 test -e farm/audit/shadow_origin_000.h5
scancel -b -s USR1 "$job"
ends "$job" 300 COMPLETED "audit.sbatch, stopped" farm.log
grep -q '^stopped; the same command makes the other [0-9]*$' farm.log && grep -q 'jobs: ended with 75; requeued, restart 1 of' farm.log
verdict "the farm was stopped and requeued" $? farm.log
audit_digests audited >audited.digests
audit_digests farm | cmp -s - audited.digests
verdict "an audit that was stopped: same bytes" $? farm.log

# --- a forced run replaces what is there once, also where it is requeued before its end
cp -r wanted forced && rm forced/progress.csv
batch --nodes=2 --ntasks=2 --output=forced.log jobs/run.sbatch config.yaml --force --output.dir=forced "${many[@]}"
await 200 has_rows forced iau 20
scancel -b -s USR1 "$job"
ends "$job" 300 COMPLETED "run.sbatch --force, stopped" forced.log
grep -q 'jobs: ended with 75; requeued, restart 1 of' forced.log && [ "$(grep -c '^origin  written to ' forced.log)" -eq 1 ] &&
    grep -q '^origin  already done: ' forced.log && [ "$(grep -c '^retrain  written to ' forced.log)" -eq 1 ]
verdict "requeued, it keeps what it has made anew" $? forced.log
[ "$(digest forced/origin.h5)" = "$wanted" ] && [ "$(digest forced/iau.h5)" = "$wanted_unlearned" ]
verdict "a forced run, stopped: same bytes" $? forced.log

# --- twenty kills at random moments of one run: all ranks at once, or one of them, also while a file is written; the run
# is several times as long as the kills take, on a fast machine, too
launch 2 "$IAU" -q train config.yaml --output.dir=wanted160 --train.epochs=160 >said 2>&1
verdict "unbroken training of 160 epochs" $?
cat >kills.sbatch <<END_SCRIPT
#!/bin/bash
# The rank that is killed is one of this node's; Slurm then ends the others.
export SLURM_EXPORT_ENV=ALL OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
run=(srun --kill-on-bad-exit=1 "$IAU" train config.yaml --output.dir=kills --train.epochs=160 --checkpoint.every_steps=2)
for n in {1..20}; do
    "\${run[@]}" >>kills.out 2>&1 &
    pid=\$!
    until [ "\$(grep -c '^iau on ' kills.out)" -ge \$n ]; do sleep 0.05; done # it has begun
    sleep "0.\$((RANDOM % 900 + 100))"
    if [ \$((n % 4)) -eq 0 ]; then
        pkill -KILL -o -f "^$IAU train config.yaml --output.dir=kills"
    else
        scancel -s KILL "\$SLURM_JOB_ID.\$((n - 1))"
    fi
    wait "\$pid" && echo "ended by itself"
    [ ! -e kills/origin.h5 ] || exit 3
done
exec "\${run[@]}"
END_SCRIPT
batch --nodes=2 --ntasks=4 --output=kills.log kills.sbatch
ends "$job" 300 COMPLETED "twenty kills and the rest" kills.log
[ "$(digest kills/origin.h5)" = "$(digest wanted160/origin.h5)" ]
verdict "killed twenty times: same bytes" $? kills.log
[ "$(grep -c 'goes on at epoch' kills.out)" -ge 10 ] && ! grep -q 'ended by itself' kills.log
verdict "the kills hit it at work: $(grep -c 'goes on at epoch' kills.out) times it went on" $? kills.out
[ "$(rows kills origin)" -eq 160 ] && [ -z "$(find kills -name 'origin.restart*')" ]
verdict "one row an epoch, and no restart file is left" $? kills/progress.csv

# --- the job with the time limit
launch 2 "$IAU" -q train config.yaml --output.dir=wanted_long "--train.epochs=$long" >said 2>&1
verdict "unbroken training of $long epochs" $?
wait "$watch"
[ "$(cat limit.state)" = "COMPLETED " ]
verdict "a time limit of a minute: COMPLETED, is $(cat limit.state)" $? limit.log
[ "$(digest limit/origin.h5)" = "$(digest wanted_long/origin.h5)" ]
verdict "requeued by the time limit: same bytes" $? limit.log
requeued=$(grep -c 'jobs: ended with 75; requeued, restart [0-9]* of at most 10' limit.log)
[ "$requeued" -ge 1 ]
verdict "it was requeued at least once: $requeued" $? limit.log

finish "$suite"
