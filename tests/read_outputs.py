"""Reads what a run of LeNet5 wrote with h5py alone, and computes it again in numpy and PyTorch.

usage: read_outputs.py DATASET FOLDER
One line a check: `ok ...`, `FAIL ...` or `SKIP ...`.
"""
import sys

import h5py
import numpy as np


def check(name, passed, detail=""):
    print("ok" if passed else "FAIL", name, "" if passed else detail)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def read_params(path, group="params"):
    with h5py.File(path) as f:
        return {name: f[group][name][()] for name in f[group]}


def read_part(path, part):
    """Samples as the model sees them, and their labels: raw 0 around them, then normalised."""
    with h5py.File(path) as f:
        x = np.pad(f[part]["x"][()], ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.float64)
        mean, std = (f.attrs[name].reshape(1, -1, 1, 1) for name in ("mean", "std"))
        return (x / 255 - mean) / std, f[part]["y"][()]


def read_split(path):
    """Rows of the training set, D_f, D_r and the validation set, by numpy's legacy shuffle."""
    with h5py.File(path) as f:
        n = f["train/x"].shape[0]
    order = np.arange(n)
    np.random.RandomState(1).shuffle(order)
    train, valid = order[: n - int(n * 0.2)], order[n - int(n * 0.2):]
    again = np.arange(len(train))
    np.random.RandomState(1).shuffle(again)
    n_forget = int(len(train) * 0.05)
    return {"train": train, "forget": train[again[:n_forget]], "retain": train[again[n_forget:]], "valid": valid}


def conv(x, weight, bias):
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("ncyxij,kcij->nkyx", windows, weight, optimize=True) + bias[:, None, None]


def relu_pool(x):
    n, c, h, w = x.shape
    return np.maximum(x, 0).reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def forward(p, x):
    p = {name: value.astype(np.float64) for name, value in p.items()}
    x = relu_pool(conv(x, p["conv1.weight"], p["conv1.bias"]))
    x = relu_pool(conv(x, p["conv2.weight"], p["conv2.bias"])).reshape(len(x), -1)
    for name in ("fc1", "fc2"):
        x = np.maximum(x @ p[name + ".weight"].T + p[name + ".bias"], 0)
    return x @ p["fc3.weight"].T + p["fc3.bias"]


def loss_of(logits, y):
    top = logits.max(axis=1)
    return np.mean(np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - logits[np.arange(len(y)), y])


def check_layout(folder):
    with h5py.File(folder + "/results.h5") as f:
        wanted = ["cost", "epochs", "evaluation", "methods", "provenance", "roc", "steps"]
        check("groups of results.h5", set(wanted) <= set(f), list(f))
        models = ["iau", "origin_gr", "retrain_gr"]
        check("every model has its evaluation, method, cost and curves",
              all(sorted(f[g]) == models for g in ("evaluation", "methods", "cost", "roc")))
        check("epochs of what trains, steps of what unlearns",
              sorted(f["epochs"]) == models[1:] and list(f["steps"]) == ["iau"])
        check("every model says what it is", all(len(text(m.attrs["what"])) > 40 for m in f["methods"].values()))
        metrics = [m for group in f["evaluation"].values() for m in group.values()]
        check("metrics are finite scalars", all(m.shape == () and np.isfinite(m[()]) for m in metrics))
        check("metrics say direction, ideal and unit",
              all({"direction", "ideal", "unit"} <= set(m.attrs) for m in metrics))
        check("one metric in words", text(f["evaluation/iau/accuracy_test"].attrs["direction"]) == "higher"
              and f["evaluation/iau/accuracy_test"].attrs["ideal"] == 1)
        columns = [c for top in ("epochs", "steps") for group in f[top].values() for c in group.values()]
        check("columns have one axis", all(c.ndim == 1 for c in columns))
        check("norms, cosine and distance of a step",
              {"norm_retain", "norm_forget", "norm_step", "cosine", "distance"} <= set(f["steps/iau"]))
        curves = [(a["fpr"][()], a["tpr"][()]) for m in f["roc"].values() for a in m.values()]
        check("ROC curves rise from 0 to 1",
              all(c[0] == 0 and c[-1] == 1 and (np.diff(c) >= 0).all() for pair in curves for c in pair))
        fpr, tpr = (f["roc/iau/confidence/" + axis][()] for axis in ("fpr", "tpr"))
        area = float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))
        check("the area under a curve is the metric", abs(area - f["evaluation/iau/mia_confidence_auc"][()]) < 1e-9)
        check("costs", f["cost/iau/gradients"][()] == f["provenance"].attrs["n_forget"]
              and f["cost/origin_gr/hvps"][()] > 0 and f["cost/iau/payload_bytes"][()] > 0)
        known = {"config", "version", "data_digest", "ranks", "threads", "host", "mpi", "blas", "same_bytes"}
        check("provenance", known <= set(f["provenance"].attrs), list(f["provenance"].attrs))


def check_metrics(dataset, folder):
    parts = {part: read_part(dataset, part) for part in ("train", "test")}
    rows = read_split(dataset)
    shapes = {name: value.shape for name, value in read_params(folder + "/iau.h5").items()}
    check("PyTorch's names and shapes", shapes == {
        "conv1.weight": (6, 1, 5, 5), "conv1.bias": (6,), "conv2.weight": (16, 6, 5, 5), "conv2.bias": (16,),
        "fc1.weight": (120, 400), "fc1.bias": (120,), "fc2.weight": (84, 120), "fc2.bias": (84,),
        "fc3.weight": (10, 84), "fc3.bias": (10,)}, shapes)
    with h5py.File(folder + "/results.h5") as f:
        for model, metric in f["evaluation"].items():
            p = read_params(f"{folder}/{model}.h5")
            logits = {part: forward(p, x) for part, (x, _) in parts.items()}
            for name in ("test", "retain", "forget", "valid"):
                part = "test" if name == "test" else "train"
                pick = slice(None) if name == "test" else rows[name]
                z, y = logits[part][pick], parts[part][1][pick]
                accuracy, loss = np.mean(z.argmax(axis=1) == y), loss_of(z, y)
                check(f"{model}: accuracy_{name} by numpy", accuracy == metric["accuracy_" + name][()],
                      f"{accuracy} {metric['accuracy_' + name][()]}")
                check(f"{model}: loss_{name} by numpy", abs(loss / metric["loss_" + name][()] - 1) < 1e-5,
                      f"{loss} {metric['loss_' + name][()]}")


def check_torch(dataset, folder):
    try:
        import torch
    except ImportError:
        print("SKIP IAU's step by PyTorch: needs python3-torch")
        return
    nn = torch.nn

    class LeNet5(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
            self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

        def forward(self, x):
            for layer in (self.conv1, self.conv2):
                x = torch.max_pool2d(torch.relu(layer(x)), 2)
            x = torch.relu(self.fc1(x.flatten(1)))
            return self.fc3(torch.relu(self.fc2(x)))

    torch.set_num_threads(1)
    model = LeNet5().double()
    origin = {name: torch.from_numpy(value) for name, value in read_params(folder + "/origin_gr.h5").items()}
    model.load_state_dict(origin)
    x, y = (torch.from_numpy(a) for a in read_part(dataset, "train"))
    rows = read_split(dataset)

    def gradient_sum(pick):
        model.zero_grad()
        nn.functional.cross_entropy(model(x[pick]), y[pick].long(), reduction="sum").backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    whole, forget, retain = (gradient_sum(rows[name]) for name in ("train", "forget", "retain"))
    stored = read_params(folder + "/origin_gr.h5", "gradient_sum")
    norm = np.sqrt(sum(float((g ** 2).sum()) for g in whole.values()))
    error = np.sqrt(sum(float(((g - torch.from_numpy(stored[name])) ** 2).sum()) for name, g in whole.items())) / norm
    check("the stored gradient sum by PyTorch", error < 1e-5, str(error))

    unlearned = read_params(folder + "/iau.h5")
    worst = 0
    for name, w in origin.items():
        q = retain[name] / len(rows["retain"]) - forget[name] / len(rows["forget"])
        step = torch.from_numpy(unlearned[name]).double() - (w.double() - 1e-3 * q / (q.abs() + 1e-8))
        worst = max(worst, float(step[q.abs() > 1e-5].abs().max()))
    check("IAU's step by PyTorch", worst < 2e-6, str(worst))


check_layout(sys.argv[2])
check_metrics(sys.argv[1], sys.argv[2])
check_torch(sys.argv[1], sys.argv[2])
