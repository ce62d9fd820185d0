# shellcheck shell=bash
# Sourced by the tests on Slurm. `cluster_start NODES CPUS` starts a cluster of its own by the program in MINI_SLURM, or
# takes the one this machine belongs to, or skips the whole script; then the job scripts are in jobs/, with a site.sh.
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/$BUILD ;; esac
mkdir -p "$BUILD/slurm"
TMPDIR_BEFORE=${TMPDIR:-}
export TMPDIR=$BUILD/slurm # the nodes of a real cluster share this folder, and not /tmp
# shellcheck source=tests/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../program.sh"
export TMPDIR=${TMPDIR_BEFORE:-/tmp}
PYTHON=${PYTHON:-/usr/bin/python3}
unset IAU_JOBS IAU_LAUNCHER
suite=slurm_$(basename "$0" .sh)

end() {
    if [ -n "${MINI_SLURM_DIR:-}" ]; then
        "$MINI_SLURM" stop >/dev/null 2>&1
    elif [ -n "${submitted:-}" ]; then
        # shellcheck disable=SC2086 # a list of job ids
        scancel -Q $submitted 2>/dev/null
    fi
    rm -rf "$scratch"
}

cluster_start() {
    if [ -n "${MINI_SLURM:-}" ]; then
        MINI_SLURM_DIR=$(mktemp -d /tmp/iau-slurm.XXXXXX) # short: sockets lie in it
        export MINI_SLURM_DIR
        "$MINI_SLURM" start "$1" "$2" >exports 2>said || {
            verdict "a Slurm cluster of $1 nodes" 1
            finish "$suite"
            exit 1
        }
        # shellcheck source=/dev/null
        . ./exports
    elif ! command -v sbatch >/dev/null || ! sinfo -h >/dev/null 2>&1; then
        skip "tests on Slurm: no cluster here, and MINI_SLURM names no program that starts one"
        finish "$suite"
        exit 0
    fi
    cp -r "$ROOT/jobs" jobs
    printf '%s\n' "iau=$IAU" "python=$PYTHON" "bench=$BUILD/tests/bench/bench" >jobs/site.sh
    sed -i "s|\$IAU_JOBS/../tests|$ROOT/tests|" jobs/scaling.sbatch # the copy has no project around it
    submitted=''
}

# Whether nodes can be powered off; says so where they cannot.
can_power_off() {
    [ -n "${MINI_SLURM_DIR:-}" ] && return
    skip "$1: needs a cluster whose nodes can be powered off"
    return 1
}

# submit SCRIPT ARGUMENTS...: sets `job`.
submit() {
    job=$("$@" --parsable) || job=''
    submitted+=" $job"
}

# batch OPTIONS... SCRIPT ARGUMENTS...: sets `job`.
batch() {
    job=$(sbatch --parsable "$@" 2>said) || job=''
    submitted+=" $job"
    [ -n "$job" ] || verdict "sbatch $*" 1
}

# All states that the job, or the elements of its array, are in.
state_of() {
    squeue -h -t all -r -j "$1" -o %T 2>/dev/null | sort -u | tr '\n' ' '
}

# await SECONDS COMMAND...: until it succeeds.
await() {
    local until=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.2
    done
}

is_over() {
    case $(state_of "$1") in
    *PENDING* | *RUNNING* | *COMPLETING* | *CONFIGURING* | *REQUEUE* | *SUSPENDED* | *STOPPED* | *SIGNALING*) return 1 ;;
    esac
}

# ends JOB SECONDS STATE NAME [LOG]: it does so in time, in that state.
ends() {
    local state
    await "$2" is_over "$1"
    state=$(state_of "$1")
    [ "$state" = "$3 " ]
    verdict "$4: $3 within $2 s, is $state" $? "${5:-said}"
}

digest() {
    "$IAU" inspect --digest "$1"
}

# rows FOLDER MODEL: its epochs or steps so far.
rows() {
    grep -c "^$2," "$1/progress.csv" 2>/dev/null || true
}
has_rows() {
    [ "$(rows "$1" "$2")" -ge "$3" ] # fails where there is no record yet
}

# One rank of a job, a process of this machine in a cluster of its own; the last one started.
rank_of() {
    pgrep -f "^$IAU .*$1" | tail -n 1
}

# The data set and config that the tests share; `epochs` is the length of a training.
write_config() {
    make_data small 683 211
    "$IAU" -q import idx small --out data.h5 || exit 1
    cat >config.yaml <<END_YAML
data: {file: data.h5, valid: 0.2}
model: {name: lenet5}
train: {epochs: $1, batch: 64, patience: 0, restriction: {alpha: 0.005}}
forget: {ratio: 0.05}
methods: [{name: iau, method: iau, steps: 3, lr: 1e-4}]
output: {dir: out}
END_YAML
}
