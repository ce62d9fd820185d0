#!/usr/bin/env python3
"""Strong and weak scaling of training and unlearning on LeNet5, beside the communication model.

usage: scaling.py BENCH OUT.json --ranks 1,2,4 [--launch 'mpirun -q -n {ranks}'] [--name TEXT]
                  [--latency-us L --bandwidth-gb-s B] [--steps N] [--samples N] [--repeats N]

BENCH is build/tests/bench/bench, with the program `layers` beside it. {ranks} in the launch line is
replaced; without it nothing is launched for one rank. The model's network is that given by its
one-way latency and bandwidth, else it is fitted to two ranks' reductions of one number and of the
model's gradient. Needs the standard library only; analysis/report.py --scaling OUT.json draws it.
"""
import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile

import comm_model

MODEL = "lenet5"
UNITS = 4  # units of a step on each rank where batches grow with the ranks


def environment():
    """One thread a rank; the BLAS is free to choose its kernels."""
    env = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    for name in ("OPENBLAS_CORETYPE", "OMPI_MCA_mpi_yield_when_idle"):
        env.pop(name, None)
    return env


def lines(command):
    run = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=False,
                         stdin=subprocess.DEVNULL)
    if run.returncode != 0:
        sys.exit(f"scaling.py: error: {shlex.join(command)} ended with status {run.returncode}")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


class Runs:
    """Rows of the program `bench` on any number of ranks."""

    def __init__(self, args, directory):
        self.args, self.directory = args, directory

    def rows(self, ranks, *rows):
        """Seconds of each row's repeat, or of a step where it trains: the medians."""
        launch = shlex.split(self.args.launch.replace("{ranks}", str(ranks)))
        if ranks == 1 and "{ranks}" not in self.args.launch:
            launch = []
        out = lines(launch + [self.args.bench, self.directory, str(self.args.repeats), *rows])
        batches = [int(r.split(":batch=")[1].split(":")[0]) if ":batch=" in r else 0 for r in rows]
        return [x["median"] if x["unit"] == "s" else batch / x["median"]
                for x, batch in zip(out, batches)]


def one_rank(bench):
    """What a unit takes on one core, and the memory's speed: from the program `layers`."""
    layers = os.path.join(os.path.dirname(bench), "layers")
    out = lines([layers, MODEL])
    return out[0], next(x for x in out if x["kind"] == "model")


def network(args, machine, model, reductions):
    """The model's network: as given, or fitted to reductions on two ranks."""
    memory = 1e9 * machine["copy_gb_s"]
    if args.bandwidth_gb_s:
        return {"latency_s": 1e-6 * args.latency_us, "memory_bytes_s": memory,
                "bandwidth_bytes_s": 1e9 * args.bandwidth_gb_s, "source": "as given"}
    small, large = reductions.get(2) or reductions[max(reductions)]
    ranks = 2 if 2 in reductions else max(reductions)
    latency = small / (2 * comm_model.log2_up(ranks))
    share = (ranks - 1) / ranks * comm_model.BYTES * model["n_param"]
    bandwidth = 2 * share / max(large - small - 3 * share / memory, 1e-9)
    return {"latency_s": latency, "memory_bytes_s": memory, "bandwidth_bytes_s": bandwidth,
            "source": f"fitted to reductions on {ranks} ranks"}


def plan(args, model):
    """Kinds of work: name, kind, scaling, and for p ranks the row to run and the model's work."""
    lanes, steps, n = model["lanes"], args.steps, args.samples

    def train(batch):
        return f"{MODEL}-train:n={steps * batch}:batch={batch}", comm_model.training(model, batch)

    def forget(samples):
        return f"iau:n={samples}", comm_model.unlearning(model, samples)

    grown = UNITS * lanes
    return [("training, batch 64", "training", "strong", lambda p: train(64)),
            ("training, batch 256", "training", "strong", lambda p: train(256)),
            (f"training, batch {grown} a rank", "training", "weak", lambda p: train(grown * p)),
            (f"unlearning, n = {n:,}", "unlearning", "strong", lambda p: forget(n)),
            (f"unlearning, n = {n // 2:,} a rank", "unlearning", "weak",
             lambda p: forget(n // 2 * p))]


def measure(args):
    with tempfile.TemporaryDirectory(dir=args.scratch) as directory:
        runs = Runs(args, directory)
        machine, model = one_rank(args.bench)
        counts = [int(p) for p in args.ranks.split(",")]
        reductions = {p: runs.rows(p, "reduce:n=1", f"reduce:n={model['n_param']}")
                      for p in counts if p > 1}
        if not args.bandwidth_gb_s and not reductions:
            sys.exit("scaling.py: error: a network cannot be fitted on one rank")
        net = network(args, machine, model, reductions)
        curves = []
        for name, kind, scaling, at in plan(args, model):
            seconds = [runs.rows(p, at(p)[0])[0] for p in counts]
            predicted = [comm_model.seconds(at(p)[1], net, p) for p in counts]
            curves.append({"name": name, "kind": kind, "scaling": scaling, "model": MODEL,
                           "ranks": counts, "seconds": seconds, "predicted": predicted})
    return {"name": args.name or platform.node(), "machine": machine, "network": net,
            "reductions": [{"ranks": p, "small_s": s, "large_s": l, "bytes": 8 * model["n_param"]}
                           for p, (s, l) in reductions.items()], "curves": curves}


def show(result):
    net = result["network"]
    print(f"{result['name']}: latency {1e6 * net['latency_s']:.3g} us, bandwidth "
          f"{1e-9 * net['bandwidth_bytes_s']:.3g} GB/s, {net['source']}")
    for r in result["reductions"]:
        print(f"reduction on {r['ranks']} ranks: {1e6 * r['small_s']:.4g} us for 8 bytes, "
              f"{1e3 * r['large_s']:.4g} ms for {r['bytes']:,}")
    print(f"{'work':32} {'ranks':>6} {'ms':>10} {'model, ms':>10} {'ratio':>6} {'efficiency, %':>14}")
    for c in result["curves"]:
        base = c["seconds"][0] * (c["ranks"][0] if c["scaling"] == "strong" else 1)
        for p, s, m in zip(c["ranks"], c["seconds"], c["predicted"]):
            ideal = base / p if c["scaling"] == "strong" else base
            print(f"{c['name']:32} {p:6} {1e3 * s:10.4g} {1e3 * m:10.4g} {s / m:6.2f} "
                  f"{100 * ideal / s:14.1f}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:])
    parser.add_argument("bench")
    parser.add_argument("out")
    parser.add_argument("--ranks", required=True)
    parser.add_argument("--launch", default="")
    parser.add_argument("--name", default="")
    parser.add_argument("--latency-us", type=float, default=0)
    parser.add_argument("--bandwidth-gb-s", type=float, default=0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--samples", type=int, default=40000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", help="a folder that all ranks see; default: that of OUT.json")
    args = parser.parse_args()
    args.scratch = args.scratch or os.path.dirname(os.path.abspath(args.out))
    result = measure(args)
    show(result)
    with open(args.out, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
