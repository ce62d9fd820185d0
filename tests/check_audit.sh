#!/bin/bash
# An audit by the program: a farm of shadow models that is stopped and killed, goes on with other numbers of ranks and
# other groups, and ends with the bytes of an audit without a stop.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

make_data small 683 211
"$IAU" -q import idx small --out data.h5 || exit 1
cat >audit.yaml <<'END_YAML'
data: {file: data.h5, valid: 0.2}
model: {name: lenet5}
train: {epochs: 4, batch: 64, patience: 0}
forget: {ratio: 0.1}
methods:
  - {name: iau, method: iau, steps: 3, lr: 1e-4}
  - {name: scrub, method: scrub, epochs: 2, batch: 64}
output: {dir: out}
audit: {shadows: 8, epochs: 24, methods: [iau, scrub, retrain], attack: {shadows: 2, epochs: 10, batch: 64}}
END_YAML
models=34 # 8 shadows with 3 versions of each, 2 of the attack
audit=("$IAU" audit audit.yaml)

made() {
    find "$1/audit" -name '*.h5' ! -name '*.restart.h5' 2>/dev/null | wc -l
}
has_made() {
    [ "$(made "$1")" -ge "$2" ]
}

launch 2 "$IAU" -q run audit.yaml --output.dir=whole >said 2>&1
verdict "an audit without a stop" $?
audit_digests whole >wanted
[ "$(wc -l <wanted)" -eq $((models + 2)) ]
verdict "a file a model, the attack's network, and results" $? wanted
mkdir out
cp whole/*.h5 out/ && rm out/results.h5

# --- SIGUSR1 on 2 ranks, each a group
(exec "${mpirun[@]}" -n 2 "${audit[@]}" >first 2>&1) &
pid=$!
wait_for has_made out 7 # so that one of the shadows is through, with its three versions
kill -USR1 "$pid"
wait "$pid"
got=$?
[ $got -eq 75 ] && grep -qE '^stopped; the same command makes the other [0-9]+$' first
verdict "SIGUSR1: exit status 75, got $got, and it says what is left" $? first
[ ! -e out/results.h5 ] && [ -n "$(find out/audit -name '*.restart.h5')" ] && [ "$(made out)" -lt $models ]
verdict "restart files of the shadows that were in the making, and no results" $? <(ls out/audit)

# --- a rank killed among 3, all of one group
before=$(made out)
(exec "${mpirun[@]}" -n 3 "${audit[@]}" --audit.ranks=3 --checkpoint.every_steps=20 >second 2>&1) &
pid=$!
wait_for has_made out $((before + 3))
kill -KILL "$(child_of "$pid")"
! wait "$pid" && [ ! -e out/results.h5 ]
verdict "a killed rank ends the audit" $? second
grep -qE '^audit: [0-9]+ of 10 models are there already$' second
verdict "finished shadows were not made again" $? second

# --- the rest by one rank, and by groups of 2 and 1 of 3
(exec "${audit[@]}" >third 2>&1) &
pid=$!
wait_for has_made out $((before + 6))
kill -USR1 "$pid"
wait "$pid"
[ $? -eq 75 ]
verdict "SIGUSR1 on one rank" $? third
launch 3 "${audit[@]}" --audit.ranks=2 >said 2>&1
verdict "the rest of the audit" $?
audit_digests out >got
cmp -s wanted got
verdict "stopped twice and killed, on 2, 3, 1 and 3 ranks: same bytes" $? <(diff wanted got)
[ -z "$(find out -name '*.restart*.h5' -o -name '*.tmp')" ]
verdict "no restart file is left" $? <(ls out/audit)
launch 2 "${audit[@]}" >output 2>said && grep -q '^audit: all 10 models are there already$' output
verdict "the same audit again makes nothing" $? output

finish audit
