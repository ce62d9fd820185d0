#!/bin/bash
# Requests to forget, one after another: each starts from what a method made of the model before, and is compared with a
# model that is retrained without all that has gone so far.
#   jobs/sequence.sh CONFIG.yaml METHOD FOLDER IDS_FILE... [--section.key=value ...]
# METHOD is an entry of `methods`, which starts from the config's first origin; IDS_FILE holds the sample ids of a request,
# as text, one a line.
# Environment: IAU, the program; LAUNCH, what starts it (mpirun -q --bind-to none -n 2); ORIGIN, the first origin's name.
# A sequence that was stopped goes on when it is called again. analysis/drift.py shows how far it came.
set -eu -o pipefail

if [ $# -lt 4 ]; then
    sed -n '2,8s/^# *//p' "$0" >&2
    exit 2
fi
config=$1 method=$2 folder=$3
shift 3
requests=() settings=()
for argument in "$@"; do
    case $argument in
    --*) settings+=("$argument") ;;
    *) requests+=("$argument") ;;
    esac
done
IAU=${IAU:-iau}
ORIGIN=${ORIGIN:-origin}
for file in "${requests[@]}"; do
    if head -c 4 "$file" 2>/dev/null | grep -aq HDF; then
        echo "jobs/sequence.sh: $file is HDF5; give the ids as text, one a line" >&2
        exit 2
    fi
done
read -ra launch <<<"${LAUNCH-mpirun -q --bind-to none -n 2}"

mkdir -p "$folder"
before=()
for i in "${!requests[@]}"; do
    here=$folder/request-$((i + 1))
    echo "request $((i + 1)) of ${#requests[@]}: ${requests[i]}"
    "${launch[@]}" "$IAU" run "$config" "${settings[@]}" --forget.ratio=0 --forget.classes= "--forget.ids=${requests[i]}" \
        "--unlearn.methods=$method" "--output.dir=$here" "${before[@]}"
    awk 1 "${requests[@]:0:i+1}" >"$folder/gone-$((i + 1)).ids.tmp"
    mv "$folder/gone-$((i + 1)).ids.tmp" "$folder/gone-$((i + 1)).ids"
    before=("--data.without=$folder/gone-$((i + 1)).ids" "--origins.$ORIGIN.file=$here/$method.h5")
done
