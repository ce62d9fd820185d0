"""ROC curves of a campaign: means over runs, a row of panels for each origin and setting."""
import dataclasses
import glob
import os

import numpy as np

import figures as fig
import iau_campaign as camp
import iau_results as res

ATTACK = "confidence"
AUC = f"mia_{ATTACK}_auc"
MAX_CURVES = 8  # of a panel
MAX_ROWS = 4
GRID = np.union1d(np.linspace(0, 1, 501), np.geomspace(1e-4, 1, 401))  # false positive rates


@dataclasses.dataclass
class Family:
    """An origin, its retrained twin and the models unlearned from it, at the same settings."""
    origin: str
    settings: tuple
    groups: list = dataclasses.field(default_factory=list)

    def title(self):
        return " · ".join([f"From {self.origin}"] +
                          [f"{k.split('.')[-1]} {v}" for k, v in self.settings])


def read_curves(campaign):
    """The curves in the results files beside the campaign's. The AUC tells apart what the same
    model is asked for in different tasks."""
    folder = os.path.dirname(campaign.path) or "."
    curves = {}
    for path in sorted(glob.glob(os.path.join(folder, "tasks", "*", "results.h5"))):
        curves |= res.read_attack(path, ATTACK)
    return curves


def curves_of(campaign, group, curves):
    """The ROC of a group's runs, as far as their files are there: [(auc, fpr, tpr)]."""
    columns = campaign.columns
    keys = [(columns["model"][i], columns["model_digest"][i], columns[AUC][i]) for i in group.rows]
    return [(key[2], *curves[key]) for key in keys if key in curves]


def tpr_at(fpr, tpr, grid=GRID):
    """The TPR that is reached at each FPR of a grid, or below it."""
    return tpr[np.maximum(np.searchsorted(fpr, grid, side="right") - 1, 0)]


def mean_curve(model, runs):
    """The vertical mean of runs, with least and most of them as its band."""
    y = np.array([tpr_at(fpr, tpr) for _, fpr, tpr in runs])
    label = f"{model.name}  {camp.mean_text([auc for auc, *_ in runs], 3)}"
    band = (y.min(axis=0), y.max(axis=0)) if len(runs) > 1 else ()
    return fig.RocCurve(label, model, GRID, y.mean(axis=0), band)


def families(campaign):
    """Groups by origin and settings, without the retrained models for the noise floor."""
    out = {}
    for group in camp.groups(campaign):
        row = group.rows[0]
        origin = campaign.columns["origin"][row]
        if not camp.is_repeat(group.model):
            out.setdefault((origin, group.settings),
                           Family(origin, group.settings)).groups.append(group)
    return list(out.values())


def gap(campaign, group):
    known = camp.values(campaign, group, "gap_average") if "gap_average" in campaign.columns else []
    return np.mean(known) if len(known) else np.inf


def shown(campaign, family, curves):
    """What is drawn of a family, with its runs: its origin and twin, and the nearest methods."""
    found = [(g, curves_of(campaign, g, curves)) for g in family.groups]
    found = [pair for pair in found if pair[1]]
    found.sort(key=lambda pair: (pair[0].kind == "method", gap(campaign, pair[0])))
    return found[:MAX_CURVES]


def mean_curves(found, origin):
    """A curve a group, in the order and colours of a run's figures."""
    runs = {g.model: r for g, r in found}
    models = [res.Model(g.model, g.kind, about={"origin": origin, "order": i})
              for i, (g, _) in enumerate(found)]
    return [mean_curve(m, runs[m.name]) for m in res.in_order(models)]


def count_text(counts):
    low, high = min(counts), max(counts)
    return f"{high} run{'s' * (high > 1)}" if low == high else f"{low} to {high} runs"


def campaign(results):
    """The figure, and how many origins and settings are left out; (None, 0) without any curve."""
    if AUC not in results.columns:
        return None, 0
    curves = read_curves(results)
    drawn = [(f, found) for f in families(results) if (found := shown(results, f, curves))]
    if not drawn:
        return None, 0
    left_out = max(len(drawn) - MAX_ROWS, 0)
    drawn = drawn[:MAX_ROWS]
    figure, axes = fig.new_figure(len(drawn), 2, 5 * len(drawn))
    for (left, right), (family, found) in zip(axes, drawn):
        lines = mean_curves(found, family.origin)
        fig.roc_panel(left, lines)
        fig.roc_panel(right, lines, log=True, legend=False)
        left.set_title(f"{family.title()}: mean over {count_text([len(r) for _, r in found])}")
        right.set_title("The same where few false alarms are allowed")
    return figure, left_out
