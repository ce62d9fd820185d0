"""Figures of campaigns, a dot a run, and of scaling, measured beside the model."""
import matplotlib
import numpy as np

import figures as fig
import iau_campaign as camp
import iau_results as res

MAX_ROWS = 40
KIND_COLORS = {kind: colors[0] for kind, colors in res.COLORS.items()}
TITLES = {res.ATTACK_AUC: "attack AUC", res.TRUE_ACCURACY: "forgotten, true labels",
          "gap_average": "gap to retrained"}


def metric_panel(ax, campaign, groups, metric, names):
    """A row a group: a dot a run, a line at their mean."""
    scale = 100 if metric.startswith("accuracy_") else 1
    for row, group in enumerate(reversed(groups)):
        x = scale * camp.values(campaign, group, metric)
        if len(x) == 0:
            continue
        color = KIND_COLORS.get(group.kind, fig.INK)
        ax.scatter(x, np.full(len(x), row), s=22, color=color, alpha=0.55, linewidths=0, zorder=3)
        ax.plot([np.mean(x)] * 2, [row - 0.32, row + 0.32], color=color, lw=2.2, zorder=4)
    labels = [g.label() for g in reversed(groups)] if names else [""] * len(groups)
    ax.set_yticks(range(len(groups)), labels, color=fig.INK)
    ax.set_ylim(-0.7, len(groups) - 0.3)
    ax.tick_params(length=0)
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=4))
    title = TITLES.get(metric) or res.SETS[metric.replace("accuracy_", "")]
    ax.set_title(title + (", %" if scale == 100 else ""))


def campaign(results):
    """The main metrics of every group of runs; None where there are none."""
    groups = camp.groups(results)[:MAX_ROWS]
    metrics = [m for m in camp.MAIN if m in results.about and
               any(len(camp.values(results, g, m)) for g in groups)]
    if not metrics:
        return None
    figure, axes = fig.new_figure(1, len(metrics), 1.1 + 0.26 * len(groups))
    for i, (ax, metric) in enumerate(zip(axes[0], metrics)):
        metric_panel(ax, results, groups, metric, names=i == 0)
    return figure


def scaling_panel(ax, scaling, kind):
    """Seconds against ranks: measured as points, the model as lines; weak scaling hollow."""
    colors = iter(["#2f6fd0", "#d9541e", "#0a8f6c", "#b4489e", "#c98f00"])
    for curve in (c for c in scaling["curves"] if c["kind"] == kind):
        color = next(colors)
        face = color if curve["scaling"] == "strong" else "white"
        ax.plot(curve["ranks"], [1e3 * s for s in curve["predicted"]], color=color, lw=1.3,
                ls="-" if curve["scaling"] == "strong" else (0, (4, 2)))
        ax.scatter(curve["ranks"], [1e3 * s for s in curve["seconds"]], s=36, edgecolors=color,
                   facecolors=face, zorder=3, label=curve["name"])
    ax.set(xscale="log", yscale="log")
    ax.xaxis.set_major_locator(matplotlib.ticker.FixedLocator(scaling["curves"][0]["ranks"]))
    ax.xaxis.set_major_formatter("{x:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    ax.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
    ax.set_xlabel("ranks")
    ax.set_ylabel("ms a step" if kind == "training" else "ms a pass")
    ax.set_title(f"{kind.capitalize()}: {scaling['name']}")


def scaling(measured):
    """What tests/bench/scaling.py wrote: training and unlearning beside the model."""
    figure, axes = fig.new_figure(1, 2, 4.4)
    for ax, kind in zip(axes[0], ("training", "unlearning")):
        scaling_panel(ax, measured, kind)
    return figure
