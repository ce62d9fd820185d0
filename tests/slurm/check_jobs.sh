#!/bin/bash
# The job scripts on a real Slurm: what they would submit, what they run under srun and mpirun on several nodes, and the
# same bytes in every layout of ranks and threads.
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
export MINI_SLURM_PARTITIONS="main other"
cluster_start 4 2
write_config 4

launch 2 "$IAU" -q run config.yaml --output.dir=wanted >said 2>&1
verdict "an unbroken run to compare with" $?
digests wanted >wanted.digests

# --- what would happen
for script in train unlearn run audit scaling; do
    jobs/$script.sbatch --dry-run --nodes=3 config.yaml --train.epochs=2 >output 2>said &&
        grep -qE "^would submit: 'sbatch' '--nodes=3' '.*/jobs/$script.sbatch' 'config.yaml' '--train.epochs=2'$" said &&
        grep -q '^#SBATCH --time=' said
    verdict "$script.sbatch --dry-run" $?
    jobs/$script.sbatch --test-only --ntasks=2 config.yaml >output 2>&1 && grep -qE '^sbatch: Job [0-9]+ to start at' output
    verdict "$script.sbatch --test-only" $? output
done
IAU_LAUNCHER=mpirun jobs/train.sbatch --dry-run config.yaml 2>&1 | grep -qE "^which runs: 'mpirun' .* '.*iau' 'train' 'config.yaml'$"
verdict "a dry run says what is launched" $?
jobs/train.sbatch >output 2>&1
[ $? -eq 2 ] && grep -q '^usage: jobs/train.sbatch' output
verdict "without a config: usage" $? output
for script in run.sbatch submit_campaign.sh; do
    jobs/$script -p main config.yaml >output 2>&1
    [ $? -eq 2 ] && grep -qx "no config main; write Slurm's options as --name=value" output
    verdict "$script: a value apart from its option is no config" $? output
done
IAU_LAUNCHER=nonsense jobs/train.sbatch --dry-run config.yaml >output 2>&1
grep -q 'launcher is srun or mpirun, not nonsense' output
verdict "an unknown launcher is named" $? output
[ -z "$(squeue -h)" ] && [ ! -e out ]
verdict "nothing was submitted" $?

# --- train, unlearn and run, by srun and mpirun, over nodes; options of Slurm from the site's file
if [ -n "${MINI_SLURM_DIR:-}" ]; then
    echo 'partition=other account=physics' >>jobs/site.sh
fi
job=$(jobs/train.sbatch --parsable --nodes=2 --ntasks-per-node=2 --output=train.log config.yaml)
if [ -n "${MINI_SLURM_DIR:-}" ]; then
    scontrol show job -o "$job" | grep -q ' Account=physics .* Partition=other '
    verdict "partition and account come from site.sh" $? <(scontrol show job -o "$job")
fi
ends "$job" 300 COMPLETED "train.sbatch" train.log
[ "$(digest out/origin.h5)" = "$(digest wanted/origin.h5)" ]
verdict "train.sbatch, srun on 2 nodes: same bytes" $?
grep -qE '^iau on 2 hosts: 4 ranks x 1 thread, .*Open MPI.*, BLAS core ' train.log &&
    [ "$(grep -cE '^  [^ ]+: ranks [0-9]-[0-9], 1 thread each, (not )?(bound|on CPUs)' train.log)" -eq 2 ]
verdict "the log says which ranks are on which host" $? train.log
job=$(IAU_LAUNCHER=mpirun jobs/unlearn.sbatch --parsable --nodes=3 --ntasks=3 --output=unlearn.log config.yaml)
ends "$job" 300 COMPLETED "unlearn.sbatch" unlearn.log
[ "$(digest out/iau.h5)" = "$(digest wanted/iau.h5)" ] && grep -q '^iau on 3 hosts: 3 ranks' unlearn.log
verdict "unlearn.sbatch, mpirun on 3 nodes: same bytes" $? unlearn.log
batch --nodes=2 --ntasks=2 --cpus-per-task=2 --export=NONE --output=run.log jobs/run.sbatch config.yaml --output.dir=hybrid
ends "$job" 300 COMPLETED "run.sbatch, without the environment" run.log
digests hybrid | cmp -s - wanted.digests && grep -qE '^iau on 2 hosts: 2 ranks x 2 threads' run.log
verdict "run.sbatch, 2 ranks of 2 threads: same bytes" $? run.log

# --- node-level layouts, in one allocation
cat >layouts.sbatch <<END_SCRIPT
#!/bin/bash
export SLURM_EXPORT_ENV=ALL OPENBLAS_NUM_THREADS=1
n=0
while read -r threads layout; do
    n=\$((n + 1))
    OMP_NUM_THREADS=\$threads \$layout "$IAU" -q run config.yaml --output.dir=layout\$n </dev/null || exit 1
done <<END_LAYOUTS
1 srun --nodes=2 --ntasks=4 --ntasks-per-node=2 --cpus-per-task=1
1 srun --nodes=4 --ntasks=4 --ntasks-per-node=1
2 srun --nodes=3 --ntasks=3 --ntasks-per-node=1 --cpus-per-task=2
1 srun --nodes=4 --ntasks=7 --distribution=cyclic
2 mpirun -q --bind-to none -n 2 --map-by node -x OMP_NUM_THREADS
END_LAYOUTS
END_SCRIPT
batch --nodes=4 --ntasks-per-node=2 --output=layouts.log layouts.sbatch
ends "$job" 300 COMPLETED "five layouts" layouts.log
for n in 1 2 3 4 5; do
    digests "layout$n" | cmp -s - wanted.digests
    verdict "layout $n: same bytes" $? layouts.log
done

# --- scaling
job=$(jobs/scaling.sbatch --parsable --nodes=2 --ntasks=2 --output=scaling.log measured.json --steps 2 --samples 640 --repeats 1)
ends "$job" 300 COMPLETED "scaling.sbatch" scaling.log
"$PYTHON" -c 'import json
r = json.load(open("measured.json"))
assert [c["ranks"] for c in r["curves"]] == [[1, 2]] * 5 and all(s > 0 for c in r["curves"] for s in c["seconds"])' 2>said
verdict "scaling.sbatch measures on 1 and 2 ranks" $?

finish "$suite"
