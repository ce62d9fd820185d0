#!/usr/bin/env python3
"""Speed of the program beside PyTorch, of two ranks and two threads beside one, and of its layers
beside the machine's matrix product; from these, a prediction for many ranks.

usage: bench.py BENCH_PROGRAM OUT.json [ROUNDS]

Rows run in turn with what they are compared with; their medians and ratios go to OUT.json, what the
program `layers` beside BENCH_PROGRAM measures and the prediction to OUT_layers.json. Needs the
standard library only; rows with PyTorch are left out, with a word, where it is missing. Settings
come from the environment: MPIRUN (see the Makefile), IAU_BENCH_REPEATS, and for the predicted
network IAU_BENCH_LATENCY_US (2) and IAU_BENCH_BANDWIDTH_GB_S (12.5).
"""
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile

import comm_model

HERE = os.path.dirname(os.path.abspath(__file__))
REPEATS = os.environ.get("IAU_BENCH_REPEATS", "3")
PEER = os.path.join(HERE, "torch_peer.py")

# Our row, the peer's row, what is wanted of the ratio (design targets).
BESIDE_TORCH = [
    ("lenet5-train", "lenet5-train", 5), ("lenet5-gr", "lenet5-gr", 5),
    ("lenet5-infer", "lenet5-infer", 4), ("mlp-train", "mlp-train", 2), ("mlp-gr", "mlp-gr", 3),
    ("resnet18-train", "resnet18-train", 2), ("resnet18-gr", "resnet18-gr", 2.5),
    ("vgg19-train", "vgg19-train", 2), ("vgg19-gr", "vgg19-gr", 2),
    ("iau", "iau", 15), ("iau-cached", "iau", 200)]
# Printed name, our row on two ranks and on one.
TWO_RANKS = [
    ("lenet5-train-2ranks", "lenet5-train", 1.5),
    ("lenet5-train-256-2ranks", "lenet5-train-256", 1.8),
    ("unlearn-2ranks", "iau", 1.9), ("resnet18-2ranks", "resnet18-train-128", 1.8)]
# The same with two threads of one rank.
TWO_THREADS = [
    ("lenet5-train-256-2threads", "lenet5-train-256", 1.8), ("unlearn-2threads", "iau", 1.9)]
CONVOLUTIONS = ("resnet18-convolutions", "resnet18", 0.7)  # printed name, model, share of sgemm


def environment(threads):
    """So many threads, each on a core, and the BLAS free to choose its kernels."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS="1")
    if threads > 1:
        env.update(OMP_PLACES="cores", OMP_PROC_BIND="close")
    for name in ("OPENBLAS_CORETYPE", "OMPI_MCA_mpi_yield_when_idle"):
        env.pop(name, None)
    return env


def measure(command, threads=1):
    """What a command prints: a JSON object a line."""
    run = subprocess.run(command, env=environment(threads), stdout=subprocess.PIPE, text=True,
                         check=False)
    if run.returncode != 0:
        sys.exit(f"bench.py: error: {' '.join(command)} ended with status {run.returncode}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def ours(program, directory, row, ranks=1, threads=1):
    """A row's result. One thread is held on a core here, two by OpenMP, ranks by the launcher."""
    launch = ["taskset", "-c", "0"] if threads == 1 else []
    if ranks > 1:
        launch = shlex.split(os.environ.get("MPIRUN", "mpirun -q"))
        launch = [word for word in launch if word not in ("--oversubscribe", "--bind-to", "none")]
        launch += ["--map-by", "slot:PE=1", "--bind-to", "core", "-n", str(ranks)]
    return measure(launch + [program, directory, REPEATS, row], threads)[-1]


def torch(row):
    return measure(["taskset", "-c", "0", sys.executable, PEER, "--repeats", REPEATS, row])[-1]


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


def run_rows(rows, program, directory, rounds):
    """All comparisons that the machine allows."""
    if has_torch():
        for row, peer, target in BESIDE_TORCH:
            value, other, unit = alternate(
                rounds, lambda: ours(program, directory, row), lambda: torch(peer))
            report(rows, row, unit, value, other, target)
    else:
        print("skipped the rows beside PyTorch: python3-torch is not installed")
    if (os.cpu_count() or 1) < 2:
        print("skipped the rows on two ranks and two threads: there is one core")
        return
    pairs = [(*row, {"ranks": 2}) for row in TWO_RANKS]
    pairs += [(*row, {"threads": 2}) for row in TWO_THREADS]
    for name, row, target, two in pairs:
        value, other, unit = alternate(
            rounds, lambda: ours(program, directory, row, **two),
            lambda: ours(program, directory, row))
        report(rows, name, unit, value, other, target)


def rate(layers):
    """Nominal FLOP/s over all passes of all these layers of a model, 0 without any."""
    seconds = sum(x["count"] * x["seconds"] for x in layers)
    return sum(x["count"] * x["flops"] for x in layers) / seconds if layers else 0


def best(lines):
    """The best of some measurements of the same: greatest rates, least seconds."""
    whole = dict(lines[0])
    for key in whole:
        if key in ("gflops", "sgemm_gflops", "copy_gb_s"):
            whole[key] = max(line[key] for line in lines)
        elif key == "seconds" or key.endswith("_s"):
            whole[key] = min(line[key] for line in lines)
    return whole


def run_layers(rows, program, rounds):
    """Time layers and print what a model makes of the machine. Returns what goes into the file."""
    runs = [measure(["taskset", "-c", "0", program]) for _ in range(rounds)]
    machine, *lines = map(best, zip(*runs))
    layers = [x for x in lines if x["kind"] != "model"]
    models = [x for x in lines if x["kind"] == "model"]
    peak = machine["sgemm_gflops"]
    rates = {(m["model"], kind): 1e-9 * rate([x for x in layers if x["kind"] == kind and
                                              x["model"] == m["model"]])
             for m in models for kind in ("conv", "dense")}
    name, model, target = CONVOLUTIONS
    report(rows, name, "GFLOP/s", rates[model, "conv"], peak, target)
    print(f"\nlayers, weighted means in nominal GFLOP/s; sgemm {peak:.0f} "
          f"({machine['blas_core']}), copying {machine['copy_gb_s']:.1f} GB/s")
    print(f"{'model':10} {'conv':>8} {'of sgemm':>9} {'dense':>8} {'of sgemm':>9} "
          f"{'unit, ms':>9} {'exact sums':>11}")
    for m in models:
        own = [rates[m["model"], kind] for kind in ("conv", "dense")]
        shown = "".join(f" {x:8.0f} {x / peak:9.2f}" if x else f" {'-':>8} {'-':>9}" for x in own)
        exact = (m["exact_set_s"] + m["exact_to_float_s"]) / m["gradient_s"]
        print(f"{m['model']:10}{shown} {1e3 * m['gradient_s']:9.3g} {100 * exact:9.2f} %")
    return {"machine": machine, "layers": layers, "models": models}


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1)
    print(f"written to {path}")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    program, out = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) == 4 else 3
    rows = []
    print(f"{platform.node()}, {os.cpu_count()} cores; one thread a process unless named; medians "
          f"of {rounds} rounds in turn, {REPEATS} repeats each")
    print(f"{'work':26} {'ours':>12} {'peer':>12} {'unit':10} {'ratio':>8} {'target':>8}")
    with tempfile.TemporaryDirectory() as directory:
        run_rows(rows, program, directory, rounds)
    measured = run_layers(rows, os.path.join(os.path.dirname(program), "layers"), rounds)
    measured["prediction"] = comm_model.predict(measured["machine"], measured["models"])
    comm_model.show(measured["prediction"])
    write(out, rows)
    write(f"{os.path.splitext(out)[0]}_layers.json", measured)


if __name__ == "__main__":
    main()
