#!/usr/bin/env python3
"""Say in which settings and which numbers two files of iau differ: results, models or campaigns.

usage: compare.py A.h5 B.h5 [--all] [--tolerance T]

Seconds, ranks by them, memory, dates and machines are left out unless --all asks for them. Numbers count as equal
within T times the larger of the two (0: bit by bit). Exit status 0 where nothing differs, 1 where
something does, 2 for files that cannot be compared.
"""
import argparse
import re
import sys

import h5py
import numpy as np

import iau_results as res

WHERE_AND_WHEN = {  # provenance that says nothing about the numbers
    "date", "host", "hosts", "layout", "ranks", "threads", "mpi", "hdf5", "cpu", "blas", "blas_core",
    "config", "data_file", "compiler", "arch", "vector_width", "version", "program_digest", "data",
    "data_digest", "forget_digest"}  # the digests are among the settings


def is_timing(path):
    name = path.rsplit("/", 1)[-1]
    return (name.startswith("seconds_") or name.endswith(("_s", "_bytes")) or
            re.fullmatch(r"ranking/(.*/)?(efficiency|average|average_gap)", path) is not None or
            name in ("seconds", "samples_per_s")) and name != "payload_bytes"


def text_lines(text):
    """Settings stored as text: a `key = value` a line."""
    pairs = (line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return dict(pairs)


class File:
    """Settings, provenance and numbers of a file, by name."""

    def __init__(self, path):
        self.path = path
        self.settings, self.provenance, self.numbers, self.about = {}, {}, {}, {}
        try:
            with h5py.File(path, "r") as file:
                self.format = res.text(file.attrs.get("format", ""))
                self.read(file)
        except (OSError, RuntimeError) as error:
            raise res.ResultsError(f"{path}: {str(error).splitlines()[0]}") from None
        if self.format not in ("iau-results", "iau-model", "iau-campaign"):
            raise res.ResultsError(f"{path}: no results, model or campaign file of iau")

    def read(self, file):
        if "settings" in file.attrs:
            self.add_settings("", res.text(file.attrs["settings"]))
        for name, node in (file["methods"].items() if "methods" in file else ()):
            self.add_settings(name, res.text(node.attrs.get("settings", "")))
        if "provenance" in file:
            self.provenance = res.attributes(file["provenance"])
            if self.format == "iau-campaign":
                config = self.provenance.get("config", "").splitlines()
                self.add_settings("", "\n".join(x.replace(": ", " = ", 1) for x in config))
        file.visititems(self.add_array)

    def add_settings(self, model, text):
        for key, value in text_lines(text).items():
            self.settings.setdefault(key, {})[model] = value

    def add_array(self, path, node):
        if isinstance(node, h5py.Dataset):
            self.numbers[path] = (node.asstr()[()] if h5py.check_string_dtype(node.dtype)
                                  else node[()])
            self.about[path] = res.text(node.attrs.get("direction", ""))


def by_value(models):
    """{model: value} as text: one value, or which models have which."""
    values = {}
    for model, value in models.items():
        values.setdefault(value, []).append(model)
    if len(values) == 1 or all(m == [""] for m in values.values()):
        return next(iter(values))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in values.items())


def differing_settings(a, b):
    """Settings that differ in a model that both have, or that one side lacks."""
    rows = []
    for key in dict.fromkeys([*a.settings, *b.settings]):
        left, right = a.settings.get(key, {}), b.settings.get(key, {})
        both = [m for m in left if m in right]
        models = [m for m in both if left[m] != right[m]]
        if models:
            rows.append((key, by_value({m: left[m] for m in models}),
                         by_value({m: right[m] for m in models})))
        elif not both and (not left or not right):
            rows.append((key, by_value(left) if left else "not set",
                         by_value(right) if right else "not set"))
    return rows


def differing_provenance(a, b, every):
    keys = dict.fromkeys([*a.provenance, *b.provenance])
    return [(k, str(a.provenance.get(k, "not set")), str(b.provenance.get(k, "not set")))
            for k in keys if (every or k not in WHERE_AND_WHEN) and k != "config" and
            a.provenance.get(k) != b.provenance.get(k)]


def difference(x, y, tolerance):
    """None where two arrays agree, else a row's cells: A, B, and what lies between them."""
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape:
        return f"shape {x.shape}", f"shape {y.shape}", ""
    if x.dtype.kind not in "iuf" or y.dtype.kind not in "iuf":
        differ = x != y
        return None if not differ.any() else ("", "", f"{differ.sum()} of {x.size} differ")
    x, y = x.astype(float), y.astype(float)
    apart = np.abs(x - y)
    differ = ~((apart <= tolerance * np.maximum(np.abs(x), np.abs(y))) | (np.isnan(x) & np.isnan(y)))
    if not differ.any():
        return None
    if x.ndim == 0:
        return res.number(float(x)), res.number(float(y)), f"{float(y - x):+.4g}"
    worst = float(np.nanmax(np.where(differ, apart, 0)))
    return "", "", f"{differ.sum()} of {x.size} differ, by at most {worst:.4g}"


def differing_numbers(a, b, args):
    rows = []
    for path in dict.fromkeys([*a.numbers, *b.numbers]):
        if is_timing(path) and not args.all:
            continue
        if path not in a.numbers or path not in b.numbers:
            sides = ["there" if path in f.numbers else "not there" for f in (a, b)]
            rows.append((path, *sides, ""))
            continue
        cells = difference(a.numbers[path], b.numbers[path], args.tolerance)
        if cells:
            arrow = res.ARROWS.get(a.about[path], "")
            rows.append((f"{path} {arrow}".strip(), *cells))
    return rows


def short(cell):
    """Of a digest the beginning is enough."""
    is_digest = len(cell) == 64 and set(cell) <= set("0123456789abcdef")
    return cell[:12] if is_digest else cell


def print_rows(title, titles, rows):
    if not rows:
        return
    every = [titles, *(tuple(map(short, row)) for row in rows)]
    widths = [min(max(len(row[i]) for row in every), 60) for i in range(len(titles))]
    print(f"{title}: {len(rows)}")
    for row in every:
        print("  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description="Compare two files of iau.")
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--all", action="store_true", help="seconds, memory and machines, too")
    parser.add_argument("--tolerance", type=float, default=0, help="relative; default: bit by bit")
    args = parser.parse_args()
    try:
        a, b = File(args.a), File(args.b)
        if a.format != b.format:
            raise res.ResultsError(f"{args.a} is {a.format}, {args.b} is {b.format}")
    except res.ResultsError as error:
        print(f"compare.py: error: {error}", file=sys.stderr)
        return 2
    settings = differing_settings(a, b)
    provenance = differing_provenance(a, b, args.all)
    numbers = differing_numbers(a, b, args)
    print_rows("settings that differ", ("setting", "A", "B"), settings)
    print_rows("provenance that differs", ("what", "A", "B"), provenance)
    print_rows("numbers that differ", ("number", "A", "B", "B - A"), numbers)
    if not settings and not provenance and not numbers:
        print(f"no difference in {len(a.settings)} settings and {len(a.numbers)} numbers or arrays")
        return 0
    return 1


if __name__ == "__main__":
    res.run(main)
