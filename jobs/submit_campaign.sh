#!/bin/bash
# Submit what is left to do of a campaign: an array of the shared stages, then an array of the tasks, then a job that
# merges the results. Prints the job ids. From the project's folder:
#   jobs/submit_campaign.sh [--dry-run | --test-only] [--task=LIST] [SBATCH OPTIONS] CONFIG.yaml [--section.key=value ...]
# `iau campaign status CONFIG.yaml` says how it goes; the same command again submits what is then left.
set -u
IAU_JOBS=$(cd "$(dirname "$0")" && pwd)
export IAU_JOBS
# shellcheck source=jobs/job.sh
. "$IAU_JOBS/job.sh" && iau_read_site || exit 2
iau_split_arguments "$@"
if [ ${#rest[@]} -eq 0 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
iau_check_config || exit

# An array's numbers lie below MaxArraySize, so a long list becomes several arrays, each with a first number.
# Prints a line for each: FIRST LIST
arrays() {
    local most
    most=$(scontrol show config 2>/dev/null | sed -n 's/^MaxArraySize *= *//p')
    awk -v most="${most:-1001}" -v list="$1" 'BEGIN {
        n = split(list, part, ",")
        for (i = 1; i <= n; i++) {
            m = split(part[i], range, "-")
            for (k = range[1] + 0; k <= range[m] + 0; k++) {
                first = int(k / most) * most
                if (first != last || out == "") {
                    if (out != "") print last, out
                    out = k - first
                    last = first
                } else if (k - first == end + 1 && k > range[1] + 0) {
                    sub(/(-[0-9]+)?$/, "-" (k - first), out)
                } else
                    out = out "," (k - first)
                end = k - first
            }
        }
        if (out != "") print last, out
    }'
}

# submit NAME LIST AFTER: arrays of stages or tasks, after the jobs AFTER went well; their ids, joined by ":".
submit() {
    local first list id ids='' after=()
    [ -z "$3" ] || after=(--dependency="afterok:$3" --kill-on-invalid-dep=yes)
    while read -r first list; do
        id=$(iau_sbatch campaign.sbatch --parsable --job-name="iau-$1s" "${after[@]}" \
            --array="$list${array_limit:+%$array_limit}" -- "$1" "$first" "${rest[@]}") || return
        id=${id%%;*} # a federation adds the cluster's name; --dry-run and --test-only have none
        ids=$ids${ids:+:}$id
        [ -z "$id" ] || echo "$1s $list, counted from $first: job $id" >&2
    done < <(arrays "$2")
    echo "$ids"
}

left=$("$iau" campaign status --left ${tasks:+--task="$tasks"} "${rest[@]}") || exit
stages=$(sed -n 's/^stages //p' <<<"$left")
tasks=$(sed -n 's/^tasks //p' <<<"$left")
if [ -z "$tasks" ]; then
    echo "nothing is left to do; iau campaign merge ${rest[*]}" >&2
    exit 0
fi
stage_jobs=''
if [ -n "$stages" ]; then
    stage_jobs=$(submit stage "$stages" '') || exit
fi
task_jobs=$(submit task "$tasks" "$stage_jobs") || exit
merge_job=$(iau_sbatch campaign.sbatch --parsable --job-name=iau-merge --output=%x-%j.log --ntasks=1 --time=00:30:00 \
    ${task_jobs:+--dependency="afterany:$task_jobs"} -- merge 0 "${rest[@]}") || exit
if [ -n "$merge_job" ]; then
    echo "merge: job ${merge_job%%;*}" >&2
    echo "${stage_jobs:+$stage_jobs }$task_jobs ${merge_job%%;*}"
fi
