#!/bin/bash
# Job scripts and all other shell scripts, as shellcheck sees them.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

cd "$ROOT" || exit 1
if ! command -v shellcheck >/dev/null; then
    skip "shell scripts: needs shellcheck"
    finish scripts
    exit
fi
check() {
    shellcheck -x "$@" >"$scratch/said" 2>&1
    verdict "shellcheck $*" $?
}
check jobs/*.sh jobs/*.sbatch jobs/site.sh.example
check tests/*.sh tests/*/*.sh .ci/run
finish scripts
