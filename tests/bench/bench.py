#!/usr/bin/env python3
"""Speed of the program beside PyTorch, and of two ranks beside one: runs both in turn on one core
each, prints a table of medians and ratios, and writes them as JSON.

usage: bench.py BENCH_PROGRAM OUT.json [ROUNDS]

Needs the standard library only; rows with PyTorch are left out, with a word, where it is missing.
Launch settings come from the environment: MPIRUN (see the Makefile), IAU_BENCH_REPEATS.
"""
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REPEATS = os.environ.get("IAU_BENCH_REPEATS", "3")
PEER = os.path.join(HERE, "torch_peer.py")

# Our row, the peer's row, what is wanted of the ratio (design targets).
BESIDE_TORCH = [
    ("lenet5-train", "lenet5-train", 5), ("lenet5-gr", "lenet5-gr", 5),
    ("lenet5-infer", "lenet5-infer", 4), ("mlp-train", "mlp-train", 2), ("mlp-gr", "mlp-gr", 3),
    ("iau", "iau", 15), ("iau-cached", "iau", 200)]
# Printed name, our row on two ranks and on one.
TWO_RANKS = [
    ("lenet5-train-2ranks", "lenet5-train", 1.5), ("lenet5-train-256-2ranks", "lenet5-train-256", 1.8),
    ("unlearn-2ranks", "iau", 1.9)]


def environment():
    """One thread everywhere, and the BLAS free to choose its kernels."""
    env = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    for name in ("OPENBLAS_CORETYPE", "OMPI_MCA_mpi_yield_when_idle"):
        env.pop(name, None)
    return env


def measure(command):
    """The median that a command prints in its one JSON line."""
    run = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"bench.py: error: {' '.join(command)} ended with status {run.returncode}")
    return json.loads(run.stdout.strip().splitlines()[-1])


def ours(program, directory, row, ranks):
    if ranks == 1:
        launch = ["taskset", "-c", "0"]
    else:
        launch = shlex.split(os.environ.get("MPIRUN", "mpirun -q"))
        launch = [word for word in launch if word not in ("--oversubscribe", "--bind-to", "none")]
        launch += ["--map-by", "slot:PE=1", "--bind-to", "core", "-n", str(ranks)]
    return measure(launch + [program, directory, REPEATS, row])


def torch(row):
    return measure(["taskset", "-c", "0", sys.executable, PEER, "--repeats", REPEATS, row])


def has_torch():
    return subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def alternate(rounds, first, second):
    """Run two measurements in turn; medians of their medians, and the unit."""
    a, b = [], []
    for _ in range(rounds):
        a.append(first())
        b.append(second())
    return (statistics.median(x["median"] for x in a), statistics.median(x["median"] for x in b),
            a[0]["unit"])


def report(rows, name, unit, value, peer, target):
    ratio = peer / value if unit == "s" else value / peer
    rows.append({"work": name, "unit": unit, "ours": value, "peer": peer, "ratio": ratio})
    verdict = "reached" if ratio >= target else "missed"
    print(f"{name:26} {value:12.5g} {peer:12.5g} {unit:10} {ratio:8.2f} {target:8g}  {verdict}",
          flush=True)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    program, out = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) == 4 else 3
    rows = []
    print(f"{platform.node()}, {os.cpu_count()} cores; one thread a process; medians of {rounds} "
          f"rounds in turn, {REPEATS} repeats each")
    print(f"{'work':26} {'ours':>12} {'peer':>12} {'unit':10} {'ratio':>8} {'target':>8}")
    with tempfile.TemporaryDirectory() as directory:
        if has_torch():
            for row, peer, target in BESIDE_TORCH:
                value, other, unit = alternate(
                    rounds, lambda: ours(program, directory, row, 1), lambda: torch(peer))
                report(rows, row, unit, value, other, target)
        else:
            print("skipped the rows beside PyTorch: python3-torch is not installed")
        if (os.cpu_count() or 1) >= 2:
            for name, row, target in TWO_RANKS:
                value, other, unit = alternate(
                    rounds, lambda: ours(program, directory, row, 2),
                    lambda: ours(program, directory, row, 1))
                report(rows, name, unit, value, other, target)
        else:
            print("skipped the rows on two ranks: there is one core")
    with open(out, "w", encoding="utf-8") as f:
        json.dump(rows, f, indent=1)
    print(f"written to {out}")


if __name__ == "__main__":
    main()
