#!/usr/bin/env python3
"""PyTorch doing the work of `make bench`, to compare on one machine. One JSON line a row.

usage: torch_peer.py [--threads N] [--repeats R] [ROW...]

ROW is lenet5-train, lenet5-gr (with gradient restriction), lenet5-infer, the same three of mlp, and
of resnet18 and vgg19 (need torchvision), iau (one unlearning step on LeNet5: 38,000 retained and
2,000 forgotten samples, each set as one batch, as the method's reference code does it) or
iau-batched (the same sums in batches of 1,000). Without ROW: all of lenet5, mlp but inference, iau.

A line: {"work", "threads", "torch", "repeats", "unit", "median", "best"}; unit is samples/s, or s
for iau. For one core run it under `taskset -c 0` with OMP_NUM_THREADS=1, and leave
OPENBLAS_CORETYPE unset. Pixels are random: the arithmetic does not depend on them.
"""
import argparse
import json
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy
except ImportError:
    sys.exit("torch_peer.py: error: PyTorch is missing (Debian: python3-torch)")

ALPHA, LR, BATCH, BATCH_INFER = 0.005, 1e-3, 64, 1000
N_RETAIN, N_FORGET = 38000, 2000
DEFAULT_ROWS = ["lenet5-train", "lenet5-gr", "lenet5-infer", "mlp-train", "mlp-gr", "iau"]


def build_lenet5():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10))


def build_mlp():
    return nn.Sequential(
        nn.Linear(600, 256), nn.Tanh(), nn.Linear(256, 128), nn.Tanh(), nn.Linear(128, 100))


def build_resnet18():
    """The CIFAR form: a 3x3 stem and no max-pool."""
    from torchvision.models import resnet18

    net = resnet18(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


def build_vgg19():
    """The CIFAR form: batch norm, and one dense layer at the end."""
    from torchvision.models import vgg19_bn

    net = vgg19_bn(num_classes=10)
    net.avgpool, net.classifier = nn.Identity(), nn.Linear(512, 10)
    return net


# name: (builder, shape of a sample, classes, samples a repeat)
MODELS = {
    "lenet5": (build_lenet5, (3, 32, 32), 10, 16000),
    "mlp": (build_mlp, (600,), 100, 40000),
    "resnet18": (build_resnet18, (3, 32, 32), 10, 192),
    "vgg19": (build_vgg19, (3, 32, 32), 10, 256),
}


def make_data(shape, n_class, n):
    source = torch.Generator().manual_seed(0)
    x = torch.randn((n, *shape), generator=source)
    return x, torch.randint(n_class, (n,), generator=source)


def train(net, optimizer, x, y):
    optimizer.zero_grad()
    cross_entropy(net(x), y).backward()
    optimizer.step()


def train_restricted(net, optimizer, x, y):
    """Cross-entropy plus ALPHA times the tensors' gradient norms, by double backward."""
    loss = cross_entropy(net(x), y)
    gradients = torch.autograd.grad(loss, net.parameters(), create_graph=True)
    optimizer.zero_grad()
    (loss + ALPHA * sum(g.norm() for g in gradients)).backward()
    optimizer.step()


def infer(net, _optimizer, x, _y):
    with torch.no_grad():
        net(x)


KINDS = {"train": (train, BATCH), "gr": (train_restricted, BATCH), "infer": (infer, BATCH_INFER)}


def measure_throughput(model, kind, repeats):
    """Samples per second of each repeat, after a few batches to warm up."""
    build, shape, n_class, n = MODELS[model]
    step, batch = KINDS[kind]
    n = max(n // batch, 1) * batch
    x, y = make_data(shape, n_class, n)
    net = build()
    net.train(kind != "infer")
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)

    def sweep(count):
        for i in range(0, count, batch):
            step(net, optimizer, x[i : i + batch], y[i : i + batch])

    sweep(min(n, 4 * batch))
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        sweep(n)
        rates.append(n / (time.perf_counter() - start))
    return rates


def measure_iau(batch, repeats):
    """Seconds of each unlearning step: mean gradient over D_r less that over D_f, one Adam step."""
    x, y = make_data((3, 32, 32), 10, N_RETAIN + N_FORGET)
    retain = (1 / N_RETAIN, N_FORGET, N_FORGET + N_RETAIN)
    forget = (-1 / N_FORGET, 0, N_FORGET)
    times = []
    for _ in range(repeats):
        net = build_lenet5()
        optimizer = torch.optim.Adam(net.parameters(), lr=LR)
        start = time.perf_counter()
        for weight, begin, end in (retain, forget):
            for i in range(begin, end, batch or end - begin):
                rows = slice(i, min(i + (batch or end - begin), end))
                (weight * cross_entropy(net(x[rows]), y[rows], reduction="sum")).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return times


def measure(row, repeats):
    if row in ("iau", "iau-batched"):
        values = measure_iau(1000 if row == "iau-batched" else 0, repeats)
        return {"unit": "s", "median": statistics.median(values), "best": min(values)}
    values = measure_throughput(*row.rsplit("-", 1), repeats)
    return {"unit": "samples/s", "median": statistics.median(values), "best": max(values)}


def main():
    known = ["iau", "iau-batched"] + [f"{model}-{kind}" for model in MODELS for kind in KINDS]
    parser = argparse.ArgumentParser(description="Time PyTorch at the work of `make bench`.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(known))
    args = parser.parse_args()
    for row in args.rows:
        if row not in known:
            parser.error(f"unknown row {row}; there are: {', '.join(known)}")
    if args.repeats < 1 or args.threads < 1:
        parser.error("--repeats and --threads are at least 1")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    for row in args.rows or DEFAULT_ROWS:
        about = {"work": row, "threads": args.threads, "torch": torch.__version__}
        result = measure(row, args.repeats)
        print(json.dumps({**about, "repeats": args.repeats, **result}), flush=True)


if __name__ == "__main__":
    main()
