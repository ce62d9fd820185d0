#!/bin/bash
# Ranks that do not fit together: other programs are an error, other BLAS kernels are warned about, leave their mark
# in the outputs, and are refused by --strict, also where a run goes on elsewhere than it began.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 203 70
"$IAU" -q import idx small --out data.h5 || exit 1
cat >hosts.yaml <<'END_YAML'
data: {file: data.h5, valid: 0.2}
model: {name: mlp, hidden: [16]}
train: {epochs: 3, batch: 64, unit: 64}
forget: {ratio: 0.05}
methods: [{name: iau, method: iau}]
output: {dir: out}
END_YAML
host=$(uname -n)

# two_kinds COMMAND...: on three ranks, of which the second and third are told otherwise by the variables in `other`.
other=()
two_kinds() {
    timeout 60 "${mpirun[@]}" -n 1 "$@" : -n 2 env "${other[@]}" "$@" </dev/null
}
attribute() {
    "$IAU" inspect "$1" | sed -n "s|^  /provenance/$2 = ||p"
}

# --- where everybody is
works "^iau on $host: 3 ranks x 1 thread, .*, BLAS core [^,]*, vectors of [0-9]* floats, (not )?(bound|on CPUs)" \
    launch 3 "$IAU" train hosts.yaml
[ "$(attribute out/origin.h5 layout)" = "$host: ranks 0-2" ] && [ "$(attribute out/origin.h5 hosts)" = 1 ] &&
    [ "$(attribute out/origin.h5 same_bytes)" = yes ] &&
    [ "$(attribute out/origin.h5 program_digest)" = "$(sha256sum <"$IAU" | cut -d ' ' -f 1)" ]
verdict "the output says where it was made, and by which program" $? <("$IAU" inspect out/origin.h5)
works '^origin  already done' launch 2 "$IAU" train hosts.yaml --strict

# --- another program on some ranks
cp "$IAU" newer && echo >>newer
timeout 60 "${mpirun[@]}" -n 1 "$IAU" train hosts.yaml : -n 2 ./newer train hosts.yaml >output 2>said
[ $? -eq 2 ] && [ ! -s output ] && [ "$(grep -c . said)" -eq 1 ] &&
    grep -qE "^iau: error: ranks run different programs: $host \(rank 0\): [^ ]+ \([0-9a-f]{12}\), $host \(rank 1\): [^ ]+ \([0-9a-f]{12}\); install one build everywhere$" said
verdict "another program on two ranks is one error" $?
timeout 60 "${mpirun[@]}" -n 2 ./newer inspect out/origin.h5 >output 2>said
verdict "the same other program on all ranks is none" $?

# --- other BLAS kernels on some ranks
core_with() {
    env "$1" "$IAU" train hosts.yaml --dry-run 2>&1 | sed -n 's/.*BLAS core \([^,]*\),.*/\1/p'
}
core=$(core_with OPENBLAS_CORETYPE=Prescott)
if [ "$core" = "$(core_with NOTHING=1)" ]; then
    skip "ranks with other BLAS kernels: needs OpenBLAS for many cores"
    finish hosts
    exit
fi
other=(OPENBLAS_CORETYPE=Prescott)
rm -r out
two_kinds "$IAU" run hosts.yaml >output 2>said &&
    [ "$(grep -c '^iau: warning: ranks differ' said)" -eq 1 ] &&
    grep -qE "^iau: warning: ranks differ in BLAS core type: $host \(rank 0\): [^,]*, $host \(rank 1\): $core; results may differ in their last bits from runs on equal nodes, and say same_bytes = no$" said
verdict "other kernels are warned about" $?
[ "$(attribute out/origin.h5 same_bytes)" = no ] && [ "$(attribute out/results.h5 same_bytes)" = no ]
verdict "outputs say so" $?
two_kinds "$IAU" run hosts.yaml --strict >output 2>said
[ $? -eq 2 ] && grep -qE "^iau: error: ranks differ in BLAS core type: .*; --strict asks for equal nodes$" said
verdict "--strict refuses" $?
"$IAU" evaluate hosts.yaml >said 2>&1 && [ "$(attribute out/results.h5 same_bytes)" = no ]
verdict "results of such models say so, too" $?

# --- a run that goes on with other kernels
long=("$IAU" train hosts.yaml --output.dir=moved --train.epochs=100000 --train.patience=0)
rows() {
    grep -c '^origin,epoch' moved/progress.csv 2>/dev/null
}
# stop_soon [VARIABLE=VALUE]: the long run, stopped when it has done some epochs.
stop_soon() {
    local before tries=100 pid
    before=$(rows)
    (exec env "$@" "${long[@]}" >output 2>said) &
    pid=$!
    until [ "$(($(rows)))" -gt $((before + 3)) ]; do
        sleep 0.1
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || break
    done
    kill -USR1 "$pid"
    wait "$pid"
}
stop_soon
[ $? -eq 75 ]
verdict "a run to go on from" $?
OPENBLAS_CORETYPE=Prescott "${long[@]}" --strict >output 2>said
[ $? -eq 2 ] && grep -qE "^iau: error: moved/origin.restart.h5 was written on another kind of machine \(.*, BLAS core .*\) than this one \(.*, $core\), or on several; --strict does not go on from it$" said
verdict "--strict does not go on elsewhere" $?
stop_soon OPENBLAS_CORETYPE=Prescott
[ $? -eq 75 ] && grep -qE "^iau: warning: moved/origin.restart.h5 was written on another kind of machine" said
verdict "without it the run goes on, with a warning" $?
"${long[@]}" --strict >output 2>said
[ $? -eq 2 ] && grep -q 'or on several; --strict does not go on from it' said
verdict "back on the first kind, the restart file still says so" $?

finish hosts
