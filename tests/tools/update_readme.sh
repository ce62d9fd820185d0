#!/bin/sh
# Replaces the settings reference in README.md, between its two markers, by what PROGRAM prints.
# usage: update_readme.sh PROGRAM README.md
set -eu
new=$(mktemp)
trap 'rm -f "$new"' EXIT
awk -v program="$1" '
    /<!-- settings: begin/ { print; print ""; while ((program | getline line) > 0) print line; skip = 1 }
    /<!-- settings: end/ { print ""; skip = 0 }
    !skip || /<!-- settings: begin/ { if (!/<!-- settings: begin/) print }' "$2" >"$new"
cat "$new" >"$2"
