"""Figures that compare unlearning methods over the runs of a campaign."""
import matplotlib
import numpy as np

import figures as fig
import iau_campaign as camp
import iau_results as res

N_SPREAD = 5  # the first trials of a search, at the same strengths in every run
LEAST_GAP = 0.1  # points; where smaller gaps are drawn on the logarithmic axis
PALETTE = [f"C{i}" for i in range(10)]
MARKERS = "osD^vP"


def styles(groups):
    """A colour and marker for each method, which no other has."""
    methods = [g for g in groups if g.kind == "method"]
    return {g.model: (PALETTE[i % len(PALETTE)], MARKERS[i // len(PALETTE) % len(MARKERS)])
            for i, g in enumerate(methods)}


def mean(campaign, group, name):
    known = camp.values(campaign, group, name) if name in campaign.columns else []
    return float(np.mean(known)) if len(known) else None


def twin_accuracy(campaign, row):
    """Accuracy on forgotten samples of the retrained twin of a row's origin in the same task."""
    columns = campaign.columns
    for i, kind in enumerate(columns["kind"]):
        if kind == "retrain" and columns["task"][i] == columns["task"][row] and \
                columns["origin"][i] == columns["origin"][row] and \
                not camp.is_repeat(columns["model"][i]):
            return columns["accuracy_forget"][i]
    return np.nan


def forget_gap(accuracy, target):
    return np.maximum(100 * np.abs(np.asarray(accuracy) - target), LEAST_GAP)


def trial_curve(campaign, group):
    """A method's searched strengths, means over runs: (gap on forgotten, accuracy on test samples).

    No points where trials were not measured on test samples.
    """
    trials, points = campaign.trials, {}
    if "accuracy_test" not in trials:
        return np.empty((0, 2))
    for row in group.rows:
        target = twin_accuracy(campaign, row)
        own = (trials["model"] == group.model) & (trials["task"] == campaign.columns["task"][row])
        for i in np.flatnonzero(own & np.isfinite(trials["accuracy_test"])):
            if trials["trial"][i] <= N_SPREAD:
                points.setdefault(trials["strength"][i], []).append(
                    (forget_gap(trials["accuracy_forget"][i], target),
                     100 * trials["accuracy_test"][i]))
    return np.array([np.mean(points[s], axis=0) for s in sorted(points)]).reshape(-1, 2)


def own_point(campaign, group):
    gaps = [forget_gap(campaign.columns["accuracy_forget"][row], twin_accuracy(campaign, row))
            for row in group.rows]
    return float(np.nanmean(gaps)), 100 * mean(campaign, group, "accuracy_test")


def tradeoff(campaign, groups):
    """Distance from retraining on the forgotten samples against accuracy on test samples."""
    figure, axes = fig.new_figure(1, 1, 5.6)
    ax = axes[0, 0]
    low, floor = 100.0, 0.0
    for group in groups:
        if mean(campaign, group, "accuracy_test") is None:
            return None
        x, y = own_point(campaign, group)
        if group.kind == "method":
            color, marker = styles(groups)[group.model]
            curve = trial_curve(campaign, group)
            if len(curve) > 1:
                ax.plot(curve[:, 0], curve[:, 1], color=color, lw=1.1, alpha=0.7, zorder=2)
                ax.scatter(curve[:, 0], curve[:, 1], s=9, color=color, marker=marker, zorder=2)
            ax.scatter([x], [y], s=64, color=color, marker=marker, edgecolors="white", zorder=4,
                       label=group.label())
            low = min(low, y)
        elif group.kind == "origin":
            ax.scatter([x], [y], s=90, color=res.COLORS["origin"][1], marker="X", zorder=3,
                       label=group.label())
        elif camp.is_repeat(group.model):
            floor = max(floor, x)
        else:
            ax.axhline(y, color=res.COLORS["retrain"][0], lw=1.2, ls=(0, (3, 2)), zorder=1)
            ax.text(0.995, y, group.label(), transform=ax.get_yaxis_transform(), ha="right",
                    va="bottom", color=res.COLORS["retrain"][0])
    if floor:
        ax.axvspan(LEAST_GAP / 2, floor, color=res.COLORS["retrain"][0], alpha=0.12, zorder=0,
                   label="noise floor")
    ax.set_xscale("log")
    ax.set_xlim(LEAST_GAP * 0.8, 110)
    ax.xaxis.set_major_formatter("{x:g}")
    top = ax.get_ylim()[1]
    ax.set_ylim(max(ax.get_ylim()[0], min(low, top - 20) - 2), top)
    ax.set_xlabel("distance from the retrained model in accuracy on forgotten samples, points")
    ax.set_ylabel("accuracy on test samples, %")
    ax.set_title("Forgetting against usefulness: better is left and up")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def costs(campaign, groups):
    """Seconds to make each model, beside retraining; logarithmic."""
    shown = [(g, mean(campaign, g, "seconds_total")) for g in groups if not camp.is_repeat(g.model)]
    shown = [(g, s) for g, s in shown if s]
    if not shown:
        return None
    figure, axes = fig.new_figure(1, 1, 1.0 + 0.27 * len(shown))
    ax = axes[0, 0]
    rows = np.arange(len(shown))[::-1]
    origin = campaign.columns["origin"]
    twins = {origin[g.rows[0]]: s for g, s in shown if g.kind == "retrain"}
    ax.barh(rows, [s for _, s in shown], height=0.68,
            color=[res.COLORS[g.kind][0] for g, _ in shown])
    for row, (group, seconds) in zip(rows, shown):
        twin = twins.get(origin[group.rows[0]]) if group.kind == "method" else None
        share = f"  {100 * seconds / twin:.3g} % of retraining" if twin else ""
        fig.note(ax, res.seconds(seconds) + share, (seconds, row), color=fig.INK)
    ax.set_xscale("log")
    ax.set_xlim(right=max(s for _, s in shown) * 30)
    ax.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: res.seconds(x)))
    ax.set_yticks(rows, [g.label() for g, _ in shown], color=fig.INK)
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.grid(False, axis="y")
    ax.tick_params(length=0)
    ax.set_title("Time to make the model, mean over runs")
    return figure
