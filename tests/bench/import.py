#!/usr/bin/env python3
"""Speed and memory of `iau import` on large made-up sources of every format.

usage: import.py IAU FOLDER [--gb GB] [FORMAT ...]

Writes a source of about GB gigabytes (default 1; csv three times as much), imports it three times, and prints the median
speed, with the final sync, in MB/s of source, and the most memory the process had. Sources are removed again.
"""
import argparse
import os
import statistics
import subprocess
import time

import h5py
import numpy as np
import scipy.io

parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
parser.add_argument("iau")
parser.add_argument("folder")
parser.add_argument("--gb", type=float, default=1)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("formats", nargs="*")
args = parser.parse_args()
rng = np.random.default_rng(1)
rows = int(args.gb * 1e9 / 3072)
block = 20000


def images(n):
    """Noise around a few pictures: compresses about as badly as photographs."""
    base = rng.integers(0, 256, (8, 3, 32, 32)).astype(np.int16)
    for first in range(0, n, block):
        k = min(block, n - first)
        yield np.clip(base[rng.integers(0, 8, k)] + rng.integers(-20, 21, (k, 3, 32, 32)), 0, 255).astype(np.uint8)


def path(name):
    return os.path.join(args.folder, name)


def cifar(kind):
    heads = 1 if kind == "cifar10" else 2
    with open(path("train.bin"), "wb") as f:
        for x in images(rows):
            y = rng.integers(0, 10, (len(x), heads)).astype(np.uint8)
            f.write(np.concatenate([y, x.reshape(len(x), -1)], axis=1).tobytes())
    return [path("train.bin"), "--test-fraction", "0.1"]


def idx(_):
    with open(path("images"), "wb") as f, open(path("labels"), "wb") as g:
        f.write(b"\0\0\x08\x03" + np.array([3 * rows, 32, 32], ">i4").tobytes())
        g.write(b"\0\0\x08\x01" + np.array([3 * rows], ">i4").tobytes())
        for x in images(rows):
            f.write(x.tobytes())
            g.write(rng.integers(0, 10, 3 * len(x)).astype(np.uint8).tobytes())
    return [path("images"), path("labels"), "--test-fraction", "0.1"]


def svhn(kind):
    x = np.concatenate(list(images(rows // 3))).transpose(2, 3, 1, 0)
    y = rng.integers(1, 11, (x.shape[-1], 1)).astype(np.uint8)
    scipy.io.savemat(path("train.mat"), {"X": x, "y": y}, do_compression=kind == "svhn-deflated")
    return [path("train.mat"), "--test-fraction", "0.1"]


def purchase(_):
    with open(path("dataset"), "wb") as f:
        for _ in range(int(args.gb * 1e9 / 1203 / block) + 1):
            text = np.full((block, 1203), ord(","), np.uint8)
            text[:, 0] = rng.integers(ord("1"), ord("9") + 1, block)
            text[:, 1] = rng.integers(ord("0"), ord("9") + 1, block)
            text[:, 3::2] = rng.integers(ord("0"), ord("1") + 1, (block, 600))
            text[:, -1] = ord("\n")
            text[:, -2] = ord("1")
            f.write(text[:, [0, 1, *range(2, 1203)]].tobytes())
    return [path("dataset"), "--test-fraction", "0.1"]


def csv(_):
    d = 40
    with open(path("table.csv"), "wb") as f:
        f.write((",".join(f"f{i}" for i in range(d)) + ",label\n").encode())
        values = rng.normal(size=(block, d))
        text = "".join(",".join(f"{v:.7g}" for v in row) + f",class {i % 10}\n" for i, row in enumerate(values)).encode()
        for _ in range(int(3 * args.gb * 1e9 / len(text)) + 1):
            f.write(text)
    return [path("table.csv"), "--test-fraction", "0.1"]


def numpy(kind):
    x = np.lib.format.open_memmap(path("x.npy"), "w+", np.float32 if kind == "numpy-f4" else np.uint8,
                                  (rows if kind != "numpy-f4" else rows // 4, 3, 32, 32))
    for first, part in zip(range(0, len(x), block), images(len(x))):
        x[first:first + block] = part
    x.flush()
    np.save(path("y.npy"), rng.integers(0, 10, len(x)))
    return [path("x.npy"), path("y.npy"), "--test-fraction", "0.1"]


def hdf5(_):
    with h5py.File(path("a.h5"), "w") as f:
        x = f.create_dataset("x", (rows, 3, 32, 32), np.uint8)
        for first, part in zip(range(0, rows, block), images(rows)):
            x[first:first + block] = part
        f["y"] = rng.integers(0, 10, rows)
    return [path("a.h5"), "--test-fraction", "0.1"]


KINDS = {"idx": idx, "cifar10": cifar, "cifar100": cifar, "svhn": svhn, "svhn-deflated": svhn, "purchase": purchase,
         "csv": csv, "numpy": numpy, "numpy-f4": numpy, "hdf5": hdf5}


def high_water(pid):
    """Most memory of a process so far in KiB; what wait4 says counts what it was forked from, too."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def measure(kind):
    arguments = KINDS[kind](kind)
    sources = [a for a in arguments if os.path.exists(a)]
    size = sum(os.path.getsize(a) for a in sources)
    command = [args.iau, "-q", "import", kind.split("-")[0], *arguments, "--out", path("out.h5"), "--force"]
    seconds, peak = [], 0
    for _ in range(args.repeats):
        os.sync()
        for source in sources:  # as read once before: the disk is measured by what is written
            with open(source, "rb") as f:
                while f.read(1 << 24):
                    pass
        start = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, high_water(process.pid))
            time.sleep(0.01)
        seconds.append(time.monotonic() - start)
        if process.returncode:
            raise SystemExit(f"{kind}: exit status {process.returncode}")
    middle = statistics.median(seconds)
    print(f"{kind:14s} {size / 1e9:5.2f} GB  {middle:6.2f} s  {size / 1e6 / middle:6.0f} MB/s  "
          f"at most {peak / 1024:.0f} MiB  ({min(seconds):.2f} to {max(seconds):.2f} s)", flush=True)
    for file in [*sources, path("out.h5")]:
        os.remove(file)


for name in args.formats or KINDS:
    measure(name)
