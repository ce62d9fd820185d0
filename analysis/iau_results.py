"""Reads a results.h5 with h5py alone: models in order, their metrics, curves and costs."""
import contextlib
import dataclasses
import itertools
import os
import sys

import h5py

# What is known about names; anything else in a file is shown under its own name.
SETS = {"retain": "retained", "forget": "forgotten", "valid": "validation", "test": "test"}
GROUPS = ("methods", "evaluation", "epochs", "steps", "cost", "roc")  # a model a group in each
KINDS = {"origin": 0, "method": 1, "retrain": 2}
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))  # where the colours of a kind begin again
COLORS = {
    "origin": ["#8a94a6", "#4d5766"],
    "retrain": ["#0a8f6c", "#6aa52c"],
    "method": ["#d9541e", "#2f6fd0", "#b4489e", "#c98f00", "#5b4bc4", "#2b97b8", "#8c5a2b"],
}
ATTACK_AUC = "mia_confidence_auc"
TRUE_ACCURACY = "accuracy_forget_true"  # only where forgotten samples had wrong labels
ABOUT = ("direction", "ideal", "unit")  # attributes of a metric
ARROWS = {"higher": "↑", "lower": "↓"}


class ResultsError(Exception):
    """A file that cannot be used; the text is one line for the user."""


@dataclasses.dataclass
class Metric:
    value: float
    direction: str = ""
    ideal: str = ""
    unit: str = ""


@dataclasses.dataclass
class Model:
    name: str
    kind: str = "method"
    color: str = "#000000"
    dash: object = "-"
    about: dict = dataclasses.field(default_factory=dict)  # attributes of /methods/NAME
    epochs: dict = dataclasses.field(default_factory=dict)  # column -> array
    steps: dict = dataclasses.field(default_factory=dict)
    metrics: dict = dataclasses.field(default_factory=dict)  # name -> Metric
    roc: dict = dataclasses.field(default_factory=dict)  # attack -> (fpr, tpr)
    cost: dict = dataclasses.field(default_factory=dict)  # name -> number

    def value(self, metric):
        """A metric's number, or None."""
        return self.metrics[metric].value if metric in self.metrics else None


@dataclasses.dataclass
class Results:
    path: str
    models: list
    provenance: dict
    failed: dict = dataclasses.field(default_factory=dict)  # method -> why it has no figures

    def of_kind(self, kind):
        return [m for m in self.models if m.kind == kind]

    def origin_of(self, model):
        """The trained model that `model` belongs to, or None."""
        origins = self.of_kind("origin")
        named = [m for m in origins if m.name in (model.name, model.about.get("origin"))]
        return (named or (origins if len(origins) == 1 else []) or [None])[0]

    def retrain_of(self, model):
        """The retrained model that `model` is to resemble, or None."""
        retrains, origin = self.of_kind("retrain"), self.origin_of(model)
        named = [m for m in retrains if origin and m.about.get("origin") == origin.name]
        return (named or (retrains if len(retrains) == 1 else []) or [None])[0]

    def speed_up(self, model):
        """How many times faster than its retrained twin the model was made, or None."""
        twin = self.retrain_of(model)
        if model.kind != "method" or not twin:
            return None
        own, other = model.cost.get("seconds_total"), twin.cost.get("seconds_total")
        return other / own if own and other else None

    def metric_names(self):
        """All metrics in any model, accuracies first, then losses, attacks and the rest."""
        names = list(dict.fromkeys(name for m in self.models for name in m.metrics))
        families = ["accuracy_", "loss_", "mia_"]

        def rank(name):
            family = next((i for i, f in enumerate(families) if name.startswith(f)), len(families))
            part = next((i for i, s in enumerate(SETS) if name.endswith("_" + s)), len(SETS))
            return family, part, names.index(name)

        return sorted(names, key=rank)

    def metric_about(self, name):
        """Direction, ideal and unit of a metric, from the first model that has it."""
        return next(m.metrics[name] for m in self.models if name in m.metrics)


def text(value):
    """An attribute as text or number."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value


def attributes(node):
    return {name: text(value) for name, value in node.attrs.items()}


def read_arrays(file, group, name):
    """The data sets below /group/name as {name: array}."""
    node = file.get(f"{group}/{name}")
    if not isinstance(node, h5py.Group):
        return {}
    return {key: node[key][()] for key in node if isinstance(node[key], h5py.Dataset)}


def read_metrics(file, name):
    node, metrics = file.get(f"evaluation/{name}"), {}
    for key in node if isinstance(node, h5py.Group) else ():
        if isinstance(node[key], h5py.Dataset) and node[key].shape == ():
            about = attributes(node[key])
            words = (str(about.get(a, "")) for a in ABOUT)
            metrics[key] = Metric(float(node[key][()]), *words)
    return metrics


def read_roc(file, name):
    node, curves = file.get(f"roc/{name}"), {}
    for attack in node if isinstance(node, h5py.Group) else ():
        if isinstance(node[attack], h5py.Group) and {"fpr", "tpr"} <= set(node[attack]):
            curves[attack] = node[attack]["fpr"][()], node[attack]["tpr"][()]
    return curves


def kind_of(name, about):
    """What a model is: said by /methods, else guessed from its name."""
    if about.get("kind") in KINDS:
        return about["kind"]
    return next((kind for kind in ("origin", "retrain") if name.startswith(kind)), "method")


def read_model(file, name):
    node = file.get(f"methods/{name}")
    about = attributes(node) if node is not None else {}
    costs = {k: float(v) for k, v in read_arrays(file, "cost", name).items() if v.shape == ()}
    return Model(name, kind_of(name, about), about=about, cost=costs,
                 epochs=read_arrays(file, "epochs", name), steps=read_arrays(file, "steps", name),
                 metrics=read_metrics(file, name), roc=read_roc(file, name))


def in_order(models):
    """Each origin, the methods that start from it, and its retrained twin; colours and dashes on
    the way."""
    origins = [m.name for m in models if m.kind == "origin"]

    def rank(model):
        home = model.name if model.kind == "origin" else model.about.get("origin")
        place = origins.index(home) if home in origins else len(origins)
        return place, KINDS[model.kind], model.about.get("order", 0)

    models = sorted(models, key=rank)
    styles = {kind: itertools.cycle(itertools.product(DASHES, names))
              for kind, names in COLORS.items()}
    for model in models:
        model.dash, model.color = next(styles[model.kind])
    return models


@contextlib.contextmanager
def opened(path):
    """A results file to read from; what goes wrong becomes a ResultsError."""
    if not os.path.exists(path):
        raise ResultsError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ResultsError(f"{path}: cannot be read as a results file: {cause}") from None


def read(path):
    """Read a results file whole. Raises ResultsError with one line for the user."""
    with opened(path) as file:
        groups = [g for g in GROUPS if isinstance(file.get(g), h5py.Group)]
        names = list(dict.fromkeys(name for g in groups for name in file[g]))
        if not names:
            raise ResultsError(f"{path}: not a results file: no /evaluation or /epochs in it")
        provenance = attributes(file["provenance"]) if "provenance" in file else {}
        models = [read_model(file, name) for name in names]
        failed = {m.name: m.about["failed"] for m in models if "failed" in m.about}
        return Results(path, in_order([m for m in models if m.name not in failed]), provenance,
                       failed)


def read_attack(path, attack):
    """One attack's curves of all models: {(model, its digest, AUC): (fpr, tpr)}."""
    curves = {}
    with opened(path) as file:
        for name in file.get("roc", ()):
            if attack in file[f"roc/{name}"]:
                digest = text(file[f"methods/{name}"].attrs["model_digest"])
                auc = float(file[f"evaluation/{name}/mia_{attack}_auc"][()])
                curve = file[f"roc/{name}/{attack}"]
                curves[name, digest, auc] = curve["fpr"][()], curve["tpr"][()]
    return curves


def number(value, digits=4):
    """A number for people: counts with thousands marks, the rest with a few digits."""
    if value is None:
        return "-"
    if abs(value) < 1e15 and value == int(value):
        return f"{int(value):,}"
    return f"{value:.{digits}f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.{digits}g}"


def ideal(about):
    """A metric's ideal: a number, or which model's value."""
    try:
        return number(float(about.ideal))
    except ValueError:
        return "retrain" if "retrain" in about.ideal else about.ideal


def cost(model, name, raw=False):
    """A cost as text, "" where it is not known; `raw` keeps full precision."""
    value = model.cost.get(name)
    if value is None:
        return ""
    if raw:
        return repr(value)
    return f"{value:.3f}" if name.startswith("seconds_") else number(value)


def seconds(value):
    """A duration for people."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 600 else f"{value / 60:.3g} min"


def size(value):
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.3g} {unit}"
        value /= 1000


def write_whole(path, data):
    """Replace a file by `data`, whole or not at all."""
    aside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(aside, "wb") as file:
            file.write(data)
        os.replace(aside, path)
    except OSError as error:
        if os.path.exists(aside):
            os.remove(aside)
        raise ResultsError(f"{path}: cannot be written: {error.strerror}") from None


def run(main):
    """Run a script's main; a ResultsError becomes one line and exit status 1."""
    try:
        sys.exit(main())
    except ResultsError as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
