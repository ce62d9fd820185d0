#!/bin/bash
# Installs the Debian packages of packages.txt that are missing; where there is no apt or no right to use it,
# prints their names for dnf, Spack and environment modules and ends with an error. `make deps` calls it, and
# with the argument `extra` where tests are to run, too: then what is marked so is also installed.
set -eu
list=$(dirname "$0")/packages.txt
export DEBIAN_FRONTEND=noninteractive

# column N [TEST]: that column of the list, one name a line, each once; TEST is an awk condition on the need.
column() {
    awk -v n="$1" "!/^#/ && NF && \$n != \"-\" && (${2:-1}) { print \$n }" "$list" | tr ',' '\n' |
        awk '!seen[$0]++'
}

keep_missing() {
    local name
    while read -r name; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

keep_available() {
    local name
    while read -r name; do
        [ -z "$(apt-cache madison "$name" 2>/dev/null)" ] || echo "$name"
    done
}

one_line() {
    tr '\n' ' '
}

# ask NAME COMMAND N: how to get column N of the list there; what only tests use stands apart.
ask() {
    echo "  $1: $2 $(column "$3" "\$1 != \"test\" && \$1 != \"extra\"" | one_line)"
    echo "    for tests only: $(column "$3" "\$1 == \"test\" || \$1 == \"extra\"" | one_line)"
}

explain() {
    {
        echo "deps: $1; install by hand, or ask for:"
        ask Debian "apt-get install" 2
        ask dnf "dnf install" 3
        ask Spack "spack install" 4
        ask modules "module load" 5
        echo "  a name that is not given for a system comes with another package there, or has none"
    } >&2
    exit 1
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    explain "no apt on this machine"
fi
mapfile -t needed < <(column 2 "\$1 != \"extra\"" | keep_missing)
extra=()
[ "${1:-}" != extra ] || mapfile -t extra < <(column 2 "\$1 == \"extra\"" | keep_missing)
if [ $((${#needed[@]} + ${#extra[@]})) -eq 0 ]; then
    echo "deps: all packages are installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
    if ! command -v sudo >/dev/null || ! sudo -v; then
        [ ${#needed[@]} -eq 0 ] || explain "missing ${needed[*]}, and no right to install here"
        echo "deps: all packages are installed but for ${extra[*]}; tests that want them are skipped"
        exit 0
    fi
fi
"${as_root[@]}" apt-get -qq update || explain "missing ${needed[*]} ${extra[*]}, and apt-get update failed"
mapfile -t extra < <(printf '%s\n' "${extra[@]}" | keep_available)
if [ $((${#needed[@]} + ${#extra[@]})) -eq 0 ]; then
    echo "deps: all packages are installed that this system has"
    exit 0
fi
echo "deps: installing ${needed[*]} ${extra[*]}"
"${as_root[@]}" apt-get -qq install -y --no-install-recommends "${needed[@]}" "${extra[@]}" ||
    explain "missing ${needed[*]} ${extra[*]}, and apt-get install failed"
