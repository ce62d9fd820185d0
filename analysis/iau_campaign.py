"""Reads a campaign.h5 with h5py alone, and gathers its rows over seeds."""
import dataclasses
import re

import h5py
import numpy as np

import iau_results as res

MAIN = [f"accuracy_{s}" for s in res.SETS] + [res.TRUE_ACCURACY, res.ATTACK_AUC, "gap_average"]
RANKS = ["removal", "removal_gap", "efficiency", "utility", "average", "average_gap"]
APART = ("trials", "failed")  # tables of their own
REPEAT = re.compile(r"_seed(\d+|\*)$")  # further retrained models, for the noise floor
FORMAT = "iau-campaign"


@dataclasses.dataclass
class Campaign:
    path: str
    columns: dict  # name -> array, a value a row; ranks as rank_NAME
    trials: dict  # name -> array, a value a strength that was tried; {} without
    failed: dict  # name -> array, a value a method that failed in a task; {} without
    settings: list  # names of the columns that the grid varies
    about: dict  # metric -> res.Metric, without a value
    tasks: tuple  # merged, all
    provenance: dict

    def metric_names(self):
        return list(self.about)


@dataclasses.dataclass
class Group:
    """Rows that differ in seeds only."""
    model: str
    kind: str
    settings: tuple  # (name, value) pairs
    rows: list

    def label(self):
        return " · ".join([self.model] + [f"{k.split('.')[-1]} {v}" for k, v in self.settings])


def is_campaign(path):
    """Whether a file calls itself the results of a campaign."""
    try:
        with h5py.File(path, "r") as file:
            return res.text(file.attrs.get("format", "")) == FORMAT
    except OSError:
        return False


def column(data):
    return data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]


def ranks(group):
    return {f"rank_{name}": data for name, data in group.items()}


def is_repeat(model):
    """Whether a model is there for the noise floor only."""
    return REPEAT.search(model) is not None


def read(path):
    """Read a campaign file whole. Raises ResultsError with one line for the user."""
    try:
        with h5py.File(path, "r") as file:
            columns = {name: column(data) for key, group in file.items() if key not in APART
                       for name, data in (ranks(group) if key == "ranking" else group).items()}
            apart = [{name: column(data) for name, data in file.get(key, {}).items()}
                     for key in APART]
            about = {}
            for name, data in file["metrics"].items():
                words = (str(res.text(data.attrs.get(a, ""))) for a in res.ABOUT)
                about[name] = res.Metric(float("nan"), *words)
            counts = tuple(int(file.attrs[a]) for a in ("tasks_merged", "tasks"))
            return Campaign(path, columns, *apart, list(file["settings"]), about, counts,
                            res.attributes(file["provenance"]))
    except (OSError, KeyError, ValueError, TypeError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise res.ResultsError(f"{path}: cannot be read as a campaign file: {cause}") from None


def groups(campaign):
    """Rows in the order of the file, gathered over seeds; a shared model counts once a seed.

    unlearn.methods is left out: a row's model says which method it is. Further retrained models of
    an origin are one group, whose gaps are the noise floor.
    """
    out, seen = {}, set()
    names = [n for n in campaign.settings if n != "unlearn.methods"]
    columns = campaign.columns
    for i, model in enumerate(columns["model"]):
        whole = tuple((n, plain(columns[n][i])) for n in names)
        identity = (model, columns["model_digest"][i], whole)
        if identity in seen:
            continue
        seen.add(identity)
        settings = tuple(pair for pair in whole if not pair[0].endswith("seed"))
        name = REPEAT.sub("_seed*", model)
        group = out.setdefault((name, settings), Group(name, columns["kind"][i], settings, []))
        group.rows.append(i)
    return list(out.values())


def plain(value):
    return value.item() if hasattr(value, "item") else value


def values(campaign, group, name):
    """A metric's known values in a group's rows."""
    picked = np.asarray(campaign.columns[name], dtype=float)[group.rows]
    return picked[~np.isnan(picked)]


def mean_text(x, digits=4):
    """Mean and standard deviation as text, "" without a value."""
    if len(x) == 0:
        return ""
    mean = res.number(float(np.mean(x)), digits)
    return mean if len(x) < 2 else f"{mean} ± {np.std(x, ddof=1):.{digits}f}"
