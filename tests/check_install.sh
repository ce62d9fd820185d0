#!/bin/bash
# Installing and removing the program, and the packages that `make deps` asks for.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"
unset MAKEFLAGS MAKELEVEL

# --- install and uninstall; what is built is taken as it is
put() {
    make -C "$ROOT" --no-print-directory -o all BUILD="$(dirname "$IAU")" DESTDIR="$scratch/root" PREFIX=/usr "$1" >said 2>&1
}
mkdir -p root/usr/bin && touch root/usr/bin/other
put install && [ -x root/usr/bin/iau ] && cmp -s "$IAU" root/usr/bin/iau && cmp -s "$ROOT/src/app/iau.1" root/usr/share/man/man1/iau.1
verdict "make install: program and man page" $?
put uninstall && [ "$(find root -type f)" = root/usr/bin/other ]
verdict "make uninstall: they are gone, and nothing else" $? <(cat said; find root)
put uninstall
verdict "make uninstall of nothing" $?

# --- the man page is that of this program
sed 's/\\-/-/g' "$ROOT/src/app/iau.1" >page
"$IAU" --version >output
grep -qE "^\.TH IAU 1 [0-9]{4}-[0-9]{2}-[0-9]{2} \"$(sed -n '1s/\(iau [0-9.]*\).*/\1/p' output)\" " page
verdict "the man page has a date and the program's version" $? page
for command in import train audit campaign inspect; do
    "$IAU" $command --help >output
    while read -r option; do
        grep -qE -- "$option([^a-z-]|$)" page
        verdict "the man page has $option" $?
    done < <(sed '/^Settings, with/,$d' output | grep -oE '^ +(-[a-z], )?--[a-z][a-z-]+' | grep -oE -- '--.*')
done
grep -q '"gcc ' <(cpp -P -DIAU_VERSION='""' -DIAU_ARCH='""' -I"$ROOT/include" "$ROOT/src/app/version.c")
verdict "gcc is called gcc" $?
if command -v clang >/dev/null; then
    grep -q '"clang ' <(clang -E -P -DIAU_VERSION='""' -DIAU_ARCH='""' -I"$ROOT/include" "$ROOT/src/app/version.c")
    verdict "clang is called clang" $?
else
    skip "the name of another compiler: needs clang"
fi

# --- packages, with an apt that has nothing and writes down what it is asked for
mkdir bin
printf '#!/bin/sh\nexit 1\n' >bin/dpkg-query
printf '#!/bin/sh\necho here\n' >bin/apt-cache
printf '#!/bin/sh\nshift; echo "$@" >>"%s/asked"\n' "$scratch" >bin/apt-get
printf '#!/bin/sh\necho 0\n' >bin/id
chmod +x bin/*
# asks GOALS...: what apt-get is asked for by `make deps GOALS`, whose other work is left out.
asks() {
    rm -f asked
    PATH=$scratch/bin:$PATH make -C "$ROOT" --no-print-directory -o check -o check-slurm -o all BUILD="$(dirname "$IAU")" deps "$@" >said 2>&1
    verdict "make deps $*" $?
}
asks
grep -q ' libhdf5-dev ' asked && grep -q ' libcunit1-dev ' asked && ! grep -qE 'python3-torch|slurm-wlm|shellcheck' asked
verdict "make deps: what is needed" $? asked
asks check
grep -q ' libhdf5-dev ' asked && grep -q ' python3-torch ' asked && grep -q ' slurm-wlm ' asked
verdict "make deps check: what only tests use, too" $? asked
asks check-slurm
grep -q ' slurm-wlm ' asked
verdict "make deps check-slurm: the same" $? asked
mkdir few
for tool in bash dirname awk tr; do
    ln -s "$(command -v $tool)" few/$tool
done
PATH=$scratch/few "$ROOT/jobs/install_packages.sh" >output 2>said
[ $? -eq 1 ] && grep -q '^deps: no apt on this machine; install by hand' said &&
    grep -qE '^  Debian: apt-get install build-essential .* libhdf5-dev ' said && ! grep -E '^  Debian:' said | grep -q 'python3-torch' &&
    [ "$(grep -cE '^    for tests only: .*(torch|CUnit|cunit)' said)" -ge 3 ]
verdict "elsewhere: all names, and which are for tests only" $?

finish install
