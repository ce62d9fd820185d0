# What the job scripts share: settings of the site, submit, launch, stop in time, requeue. Sourced, never run.
# shellcheck shell=bash

# Settings of the site and their defaults; see site.sh.example.
# shellcheck disable=SC2034 # some are for the script that sources this one
iau_read_site() {
    iau=iau launcher=srun account='' partition='' max_restarts=20 stop_grace_s=60 array_limit=''
    modules=() sbatch_options=() srun_options=() mpirun_options=() launch=()
    python=python3 bench=$IAU_JOBS/../build/tests/bench/bench # for scaling.sbatch
    requeue_on='75 205' # stopped with a restart file; Open MPI's mpirun lost a node
    export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
    export OPENBLAS_NUM_THREADS=1 # the threads are OpenMP's; another number of BLAS threads gives other bytes
    if [ -r "$IAU_JOBS/site.sh" ]; then
        # shellcheck source=/dev/null
        . "$IAU_JOBS/site.sh" || return
    fi
    launcher=${IAU_LAUNCHER:-$launcher}
    if [ ${#modules[@]} -gt 0 ]; then
        module load "${modules[@]}" || return
    fi
}

# The launch line without the program: ranks and nodes are those of the allocation.
iau_launch_line() {
    if [ ${#launch[@]} -gt 0 ]; then
        return
    fi
    case $launcher in
    mpirun) launch=(mpirun -q --bind-to none -x OMP_NUM_THREADS -x OPENBLAS_NUM_THREADS "${mpirun_options[@]}") ;;
    # A rank that dies would leave the others waiting; srun ends them all.
    srun) launch=(srun --kill-on-bad-exit=1 --cpus-per-task="$OMP_NUM_THREADS" "${srun_options[@]}") ;;
    *)
        echo "jobs: launcher is srun or mpirun, not $launcher" >&2
        return 2
        ;;
    esac
}

# Options before the config are for Slurm; --dry-run and --test-only say what would happen. Sets `options`, `rest`,
# `dry_run` and, from --task=LIST, `tasks`.
# shellcheck disable=SC2034
iau_split_arguments() {
    options=() rest=() dry_run='' tasks=''
    while [ $# -gt 0 ] && [ "${1#-}" != "$1" ]; do
        case $1 in
        --dry-run) dry_run=1 ;;
        --task=*) tasks=${1#--task=} ;;
        *) options+=("$1") ;;
        esac
        shift
    done
    rest=("$@")
}

# A value that stands apart from its option of Slurm's ends up in the config's place.
iau_check_config() {
    if [ ! -r "${rest[0]}" ] || [ -d "${rest[0]}" ]; then
        echo "no config ${rest[0]}; write Slurm's options as --name=value" >&2
        return 2
    fi
}

# The sbatch command for the script $1 of this folder; options up to "--", then the script's arguments.
iau_sbatch() {
    local script=$1 words=(sbatch)
    shift
    [ -z "$account" ] || words+=(--account="$account")
    [ -z "$partition" ] || words+=(--partition="$partition")
    words+=("${sbatch_options[@]}" "${options[@]}")
    while [ "$1" != -- ]; do
        words+=("$1")
        shift
    done
    shift
    words+=("$IAU_JOBS/$script" "$@")
    if [ -n "$dry_run" ]; then
        {
            echo "would submit: ${words[*]@Q}"
            grep '^#SBATCH' "$IAU_JOBS/$script"
        } >&2
    else
        "${words[@]}"
    fi
}

# Outside a job: submit the script of command $1 with the other arguments.
iau_submit() {
    local command=$1
    shift
    iau_split_arguments "$@"
    if [ ${#rest[@]} -eq 0 ]; then
        echo "usage: jobs/$command.sbatch [--dry-run | --test-only] [SBATCH OPTIONS] CONFIG.yaml [--section.key=value ...]" >&2
        return 2
    fi
    iau_check_config || return
    iau_sbatch "$command.sbatch" -- "${rest[@]}" || return
    if [ -n "$dry_run" ]; then
        iau_launch_line && echo "which runs: ${launch[*]@Q} ${iau@Q} ${command@Q} ${rest[*]@Q}" >&2
    fi
}

# Run the command $1 of iau with the other arguments: in a job, or by a job of its own.
iau_job() {
    iau_read_site || return
    if [ -z "${SLURM_JOB_ID:-}" ]; then
        iau_submit "$@"
        return
    fi
    iau_run "$iau" "$@"
}

# In a job: launch a program, and requeue the job where it is to go on later.
iau_run() {
    local status restarts=${SLURM_RESTART_COUNT:-0}
    local job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
    iau_launch_line || return
    export SLURM_EXPORT_ENV=ALL # sbatch --export=NONE is meant for the job, not for its ranks
    iau_begin "$@"
    status=$?
    if [[ " $requeue_on " != *" $status "* ]]; then
        if [ "$status" -gt 2 ]; then # not the program's own: a rank was killed, or crashed
            echo "jobs: ended with $status$([ "$status" -le 128 ] || echo " (signal $((status - 128)))");" \
                "the same command goes on from the last restart file" >&2
        fi
    elif [ -n "$iau_cancelled" ]; then
        echo "jobs: cancelled; the same command goes on" >&2
    elif [ "$restarts" -ge "$max_restarts" ]; then
        echo "jobs: ended with $status after $restarts restarts, and max_restarts is $max_restarts" >&2
    else
        echo "jobs: ended with $status; requeued, restart $((restarts + 1)) of at most $max_restarts" >&2
        scontrol requeue "${job:-$SLURM_JOB_ID}"
    fi
    return $status
}

# Launch a program until it has begun: a node that came back from a crash may have the old step's sockets, with which it
# cannot launch the step of the same number (srun of Slurm 22.05 then ends with 0 or 1); a further step has sockets of its
# own. Rank 0 leaves a mark, of a name that no node has looked for before (file systems over networks remember what is not
# there).
iau_begin() {
    local attempt mark status
    for attempt in 1 2 3; do
        mark=.iau-job-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}-$attempt
        # shellcheck disable=SC2016 # for the shell of the ranks
        iau_launch "${launch[@]}" sh -c '[ "${SLURM_PROCID:-0}" != 0 ] || true >"$0"; exec "$@"' "$mark" "$@"
        status=$?
        if [ -e "$mark" ] || [ -n "$iau_signalled" ] || [ ! -w . ]; then
            break
        fi
        echo "jobs: the launcher ended with $status before anything had begun, attempt $attempt of 3" >&2
        [ "$status" -ne 0 ] || status=3
    done
    rm -f ".iau-job-$SLURM_JOB_ID-"*
    return "$status"
}

# Run a program in the background, so that the shell can pass Slurm's signals on; return its exit status. On TERM
# (scancel, preemption) the ranks are asked to stop, too, but whoever sent it decides whether the job comes again.
iau_launch() {
    local pid status watch='' signalled=1
    iau_cancelled='' iau_signalled=''
    "$@" &
    pid=$!
    trap 'signalled=1; iau_pass_signal' USR1
    trap 'signalled=1; iau_cancelled=1; iau_pass_signal' TERM
    while [ $signalled -eq 1 ]; do # a trap ends `wait` before the program ends
        signalled=0
        wait "$pid"
        status=$?
    done
    trap - USR1 TERM
    if [ -n "$watch" ]; then
        kill "$watch" 2>/dev/null
        wait "$watch"
        if [ $? -eq 75 ]; then
            echo "jobs: no end within $stop_grace_s s of the signal; the last restart file counts" >&2
            status=75
        elif [ "$status" -gt 2 ]; then # ranks that were not yet ready for the signal die of it
            status=75
        fi
    fi
    return "$status"
}

# Called by the traps of iau_launch. Ranks that hang do not stop: a watch ends the launcher before Slurm ends the job,
# and then has the exit status 75 itself.
iau_pass_signal() {
    iau_signalled=1
    kill -USR1 "$pid" 2>/dev/null
    [ -z "$watch" ] || return
    (
        trap - USR1
        trap 'kill "$!"; exit 0' TERM
        sleep "$stop_grace_s" &
        wait "$!"
        trap 'kill "$!"; exit 75' TERM
        kill -TERM "$pid"
        sleep 5 &
        wait "$!"
        kill -KILL "$pid"
        exit 75
    ) 2>/dev/null &
    watch=$!
}
