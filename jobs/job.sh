# What train.sbatch, unlearn.sbatch and run.sbatch share: submit, launch, stop in time, requeue. Sourced, never run.
# shellcheck shell=bash

# Run the command $1 of iau with the other arguments. Outside a job: submit $0, so that site.sh has its say first.
iau_job() {
    local command=$1
    shift
    if [ $# -eq 0 ]; then
        echo "usage: jobs/$command.sbatch CONFIG.yaml [--section.key=value ...]" >&2
        return 2
    fi
    local iau=iau launcher=srun max_restarts=20 launch=()
    export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
    export OPENBLAS_NUM_THREADS=1 # the threads are OpenMP's; another number of BLAS threads gives other bytes
    if [ -r "$IAU_JOBS/site.sh" ]; then
        # shellcheck source=/dev/null
        . "$IAU_JOBS/site.sh"
    fi
    if [ -z "${SLURM_JOB_ID:-}" ]; then
        sbatch "$IAU_JOBS/$command.sbatch" "$@"
        return
    fi
    if [ ${#launch[@]} -eq 0 ] && [ "$launcher" = mpirun ]; then
        launch=(mpirun -q --bind-to none -x OMP_NUM_THREADS -x OPENBLAS_NUM_THREADS)
    elif [ ${#launch[@]} -eq 0 ]; then
        launch=("$launcher" --cpus-per-task="$OMP_NUM_THREADS")
    fi
    iau_launch "${launch[@]}" "$iau" "$command" "$@"
    local status=$?
    if [ $status -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$max_restarts" ]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    return $status
}

# Run a program in the background, so that the shell can pass Slurm's signal on; return its exit status.
iau_launch() {
    local pid status signalled=1
    "$@" &
    pid=$!
    trap 'signalled=1; kill -USR1 "$pid" 2>/dev/null' USR1
    while [ $signalled -eq 1 ]; do # a trap ends `wait` before the program ends
        signalled=0
        wait "$pid"
        status=$?
    done
    trap - USR1
    return "$status"
}
