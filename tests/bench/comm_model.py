"""A prediction, not a measurement: speed on many ranks from what one rank took, and a network that
is given by its latency and bandwidth.

Work of U units takes p ranks
    T(p) = ceil(U / p) unit + update + 2 log2(p) latency + 2 (p - 1)/p bytes / bandwidth
           + (p - 1)/p 3 bytes / memory bandwidth,
the last three terms being Rabenseifner's all-reduce (reduce-scatter, then all-gather): its
messages, what a rank sends, and its additions. A unit is its gradient and the conversion to exact
sums, without gathering its samples; a unit is never cut. Efficiency is T(1) / (p T(p)). A rank is
one thread on a core with memory and a link of its own and no noise; real machines share them, so
this is an upper bound.
"""
import math
import os

RANKS = [2**i for i in range(1, 13)]
UNLEARN_RANKS = 1000
# Model and samples of a step; model and samples of a training set, a share of which is forgotten.
TRAINING = [
    ("lenet5", 64), ("lenet5", 256), ("lenet5", 4096), ("resnet18", 128), ("resnet18", 4096)]
UNLEARNING = [
    ("lenet5", 40000), ("lenet5", 1281167), ("resnet18", 40000), ("resnet18", 1281167)]
FORGET = 0.05
# Beside a vector travel loss and hits, and at the end the words for stops and errors.
N_VALUE, N_STOP, BYTES = 2, 8, 8


def log2_up(p):
    return math.ceil(math.log2(p))


def seconds(work, network, p):
    """T(p) of the model above."""
    units = sum(math.ceil(u / p) for u in work["units"])
    share = (p - 1) / p
    return (units * work["unit_s"] + work["update_s"] + 2 * log2_up(p) * network["latency_s"] +
            share * work["bytes"] * (2 / network["bandwidth_bytes_s"] +
                                     3 / network["memory_bytes_s"]))


def training(model, batch):
    """A step: the update is the same on every rank."""
    return {"name": f"{model['model']} training, batch {batch:,}", "kind": "training",
            "model": model["model"], "samples": batch, "units": [math.ceil(batch / model["lanes"])],
            "unit_s": model["gradient_s"] + model["exact_set_s"],
            "update_s": model["exact_to_float_s"] + model["update_s"],
            "bytes": BYTES * (model["n_param"] + model["n_buffer"] + N_VALUE + N_STOP)}


def unlearning(model, n):
    """One pass: gradient sums over all samples and over the forgotten ones, in one reduction."""
    return {"name": f"{model['model']} unlearning, n = {n:,}", "kind": "unlearning",
            "model": model["model"], "samples": n,
            "units": [math.ceil(x / model["lanes"]) for x in (n, FORGET * n)],
            "unit_s": model["gradient_s"] + model["exact_set_s"],
            "update_s": 2 * model["exact_to_float_s"] + model["update_s"],
            "bytes": BYTES * (2 * (model["n_param"] + N_VALUE) + N_STOP)}


def extend(work, network):
    """A kind of work with its times, efficiencies and fastest rank count."""
    alone = seconds(work, network, 1)
    times = {p: seconds(work, network, p) for p in RANKS}
    fastest = min(range(1, RANKS[-1] + 1), key=lambda p: seconds(work, network, p))
    at = seconds(work, network, UNLEARN_RANKS)
    return dict(work, ranks=RANKS, seconds_1=alone, seconds=[times[p] for p in RANKS],
                efficiency=[alone / (p * times[p]) for p in RANKS],
                messages=[2 * log2_up(p) for p in RANKS], fastest_ranks=fastest,
                fastest_speed_up=alone / seconds(work, network, fastest),
                seconds_1000=at, efficiency_1000=alone / (UNLEARN_RANKS * at))


def predict(machine, models):
    """Curves for the work above, of the models that were measured."""
    network = {"latency_s": 1e-6 * float(os.environ.get("IAU_BENCH_LATENCY_US", "2")),
               "bandwidth_bytes_s": 1e9 * float(os.environ.get("IAU_BENCH_BANDWIDTH_GB_S", "12.5")),
               "memory_bytes_s": 1e9 * machine["copy_gb_s"]}
    by_name = {m["model"]: m for m in models}
    work = [training(by_name[name], batch) for name, batch in TRAINING if name in by_name]
    work += [unlearning(by_name[name], n) for name, n in UNLEARNING if name in by_name]
    return {"network": network, "curves": [extend(w, network) for w in work]}


def show(prediction):
    """The curves as a table, and where they end, in words."""
    network = prediction["network"]
    print(f"\nprediction, not measured: efficiency in % on so many ranks, from the times above; "
          f"all-reduce with {1e6 * network['latency_s']:g} us latency, "
          f"{1e-9 * network['bandwidth_bytes_s']:g} GB/s a rank")
    print(f"{'':36}{'MB':>6}" + "".join(f"{p:>6}" for p in RANKS))
    for c in prediction["curves"]:
        print(f"{c['name']:36}{1e-6 * c['bytes']:6.1f}" +
              "".join(f"{100 * e:6.1f}" for e in c["efficiency"]))
    for c in prediction["curves"]:
        if c["kind"] == "training":
            print(f"prediction: {c['name']}: {c['units'][0]} units a step; fastest on "
                  f"{c['fastest_ranks']} ranks, {c['fastest_speed_up']:.3g} times one rank; more "
                  f"ranks gain nothing")
        else:
            print(f"prediction: {c['name']}: on {UNLEARN_RANKS:,} ranks "
                  f"{c['seconds_1000']:.3g} s instead of {c['seconds_1']:.3g} s, efficiency "
                  f"{100 * c['efficiency_1000']:.0f} %")
