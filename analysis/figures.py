"""Figures of a results file: training curves, accuracies, attack ROC, costs; speed of layers."""
import dataclasses

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import iau_results as res

INK, MUTED, GRID = "#1d2430", "#667085", "#e4e7ec"
plt.rcParams.update({
    "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK,
    "axes.labelcolor": MUTED, "axes.edgecolor": GRID, "axes.titlecolor": INK,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": GRID, "grid.linewidth": 0.8, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.frameon": False, "legend.fontsize": 8,
    "lines.linewidth": 1.8, "figure.facecolor": "white", "svg.hashsalt": "iau",
    "svg.fonttype": "path", "path.simplify_threshold": 0.5})


@dataclasses.dataclass
class RocCurve:
    """A line of a ROC panel: of a run, or a mean over runs with a band around it."""
    label: str
    model: res.Model  # whose colour and dash it has
    fpr: np.ndarray
    tpr: np.ndarray
    band: tuple = ()  # least and most TPR; (): none


def with_values(results, metric):
    return [m for m in results.models if m.value(metric) is not None]


def twins_have(results, metric):
    """The retrained models' values of a metric."""
    return [(m, m.value(metric)) for m in results.of_kind("retrain") if m.value(metric) is not None]


def note(ax, text, at, **style):
    """A small text just right of a point."""
    ax.annotate(text, at, (5, 0), textcoords="offset points", va="center", fontsize=8, **style)


def accuracy_panel(ax, results, part, names=True):
    """One set's accuracy: a bar a model, and the retrained twins' as lines to be reached."""
    metric = f"accuracy_{part}"
    models = with_values(results, metric)
    values = [100 * m.value(metric) for m in models]
    rows = np.arange(len(models))[::-1]
    ax.barh(rows, values, color=[m.color for m in models], height=0.68)
    for twin, value in twins_have(results, metric):
        ax.axvline(100 * value, color=twin.color, lw=1.2, ls=(0, (3, 2)), zorder=3)
    for row, value in zip(rows, values):
        inside = value > 12
        note(ax, f"{value:.1f}", (0 if inside else value, row), color="white" if inside else INK,
             fontweight="bold")
    ax.set_yticks(rows, [m.name for m in models] if names else [""] * len(models), color=INK)
    ax.set_ylim(-0.6, len(models) - 0.4)
    ax.set_xlim(0, min(100, max([1, *values]) * 1.08))
    ax.grid(False, axis="y")
    ax.tick_params(length=0)
    ax.set_title(f"{res.SETS[part].capitalize()} samples")
    ax.set_xlabel("accuracy, %")


def roc_curves(results, attack):
    """The attack's ROC of every model of a run, with the area under it."""
    curves = []
    for model in results.models:
        if attack in model.roc:
            auc = model.value(f"mia_{attack}_auc")
            label = model.name if auc is None else f"{model.name}  {auc:.3f}"
            curves.append(RocCurve(label, model, *model.roc[attack]))
    return curves


def roc_panel(ax, curves, log=False, legend=True):
    """ROC curves, forgotten samples against test samples, with their bands."""
    low = 1e-4
    diagonal = np.geomspace(low, 1, 50) if log else np.array([0, 1])
    ax.plot(diagonal, diagonal, color=MUTED, lw=1, ls=(0, (1, 2)))
    for c in curves:
        style = {"drawstyle": "steps-post"} if log else {}
        width = 2.4 if c.model.kind == "retrain" else 1.5
        ax.plot(c.fpr, c.tpr, color=c.model.color, ls=c.model.dash, label=c.label, lw=width,
                **style)
        if c.band:
            ax.fill_between(c.fpr, *c.band, color=c.model.color, alpha=0.12, lw=0, zorder=1,
                            step="post" if log else None)
    if log:
        ax.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1))
    else:
        ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    ax.set_xlabel("test samples called members (false)")
    ax.set_ylabel("forgotten samples called members (true)")
    if legend:
        n = len(curves)
        size = 8 if n <= 8 else 6 if n <= 16 else 5
        ax.legend(title="area under the curve", title_fontsize=size, fontsize=size,
                  loc="lower right", handlelength=1.2, ncols=1 if n <= 16 else 2)


def curve_panel(ax, results, columns, title, scale=1.0):
    """Columns of /epochs against the epoch; the first column solid, the second dashed."""
    drawn = [c for c in columns if any(c in m.epochs for m in results.models)]
    for model in results.models:
        for column, style in zip(drawn, ("-", (0, (4, 2)), (0, (1, 1.5)))):
            if column not in model.epochs or model.epochs[column].ndim != 1:
                continue
            y = scale * model.epochs[column]
            x = np.asarray(model.epochs.get("epoch", np.arange(1, len(y) + 1)), float)[:len(y)]
            starts = np.flatnonzero(np.diff(x) <= 0) + 1  # an ensemble's models, one after another
            x, y = np.insert(x, starts, np.nan), np.insert(np.asarray(y, float), starts, np.nan)
            label = model.name if column == drawn[0] else None
            marker = {"marker": "o", "ms": 3} if len(y) < 3 else {}
            ax.plot(x, y, ls=style, color=model.color, label=label, **marker)
    ax.set_title(title)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, nbins=6))
    return drawn


def cost_panel(ax, results, name, title, show):
    """One cost, a bar a model, with its value."""
    models = [m for m in results.models if m.cost.get(name, 0) > 0]
    values = [m.cost[name] for m in models]
    rows = np.arange(len(models))[::-1]
    ax.barh(rows, values, color=[m.color for m in models], height=0.68)
    ax.set_xlim(0, max(values, default=1) * 1.3)
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=4))
    ax.xaxis.set_major_formatter(lambda x, _: show(x) if x else "0")
    for row, model, value in zip(rows, models, values):
        speed_up = results.speed_up(model) if name == "seconds_total" else None
        label = show(value) + (f"  ({speed_up:,.0f}x faster)" if speed_up and speed_up >= 2 else "")
        note(ax, label, (value, row), color=INK)
    ax.set_yticks(rows, [m.name for m in models], color=INK)
    ax.set_ylim(-0.6, max(len(models), 1) - 0.4)
    ax.grid(False, axis="y")
    ax.tick_params(length=0)
    ax.set_title(title)


def new_figure(n_row, n_column, height):
    """A figure of the page's width, and its axes as a matrix."""
    return plt.subplots(n_row, n_column, figsize=(11, height), squeeze=False, layout="constrained")


def accuracies(results):
    parts = [p for p in res.SETS if with_values(results, f"accuracy_{p}")]
    if not parts:
        return None
    height = 1.1 + 0.3 * max(len(with_values(results, f"accuracy_{p}")) for p in parts)
    fig, axes = new_figure(1, len(parts), height)
    for i, (ax, part) in enumerate(zip(axes[0], parts)):
        accuracy_panel(ax, results, part, names=i == 0)
    return fig


def roc(results, attack):
    fig, axes = new_figure(1, 2, 5)
    curves = roc_curves(results, attack)
    roc_panel(axes[0, 0], curves)
    roc_panel(axes[0, 1], curves, log=True, legend=False)
    axes[0, 0].set_title(f"Attack by {attack.replace('_', ' ')}")
    axes[0, 1].set_title("The same where few false alarms are allowed")
    return fig


def training(results):
    """Losses and accuracies of all models that were trained; None where no epochs are recorded."""
    if not any(m.epochs for m in results.models):
        return None
    fig, axes = new_figure(1, 2, 3.7)
    panels = ((["loss_train", "loss_valid"], "Loss", 1),
              (["accuracy_valid", "accuracy_test"], "Accuracy, %", 100))
    for ax, (names, title, scale) in zip(axes[0], panels):
        drawn = curve_panel(ax, results, names, title, scale)
        words = [f"{c.split('_')[1]} {style}" for c, style in zip(drawn, ("solid", "dashed"))]
        ax.set_title(f"{title}  ({', '.join(words)})" if words else title)
        if drawn:
            ax.legend(loc="best")
    return fig


def columns(results, group):
    """Names of numeric columns of /epochs or /steps in any model, without the axis."""
    names = dict.fromkeys(c for m in results.models for c, v in getattr(m, group).items()
                          if v.ndim == 1 and v.dtype.kind in "iuf")
    return [c for c in names if c not in ("epoch", "step", "shard", "slice")]


def all_columns(results):
    """Small multiples of every other column of /epochs."""
    known = {"loss_train", "loss_valid", "accuracy_valid", "accuracy_test"}
    names = [c for c in columns(results, "epochs") if c not in known]
    if not names:
        return None
    n_row = (len(names) + 3) // 4
    fig, axes = new_figure(n_row, 4, 2.2 * n_row)
    for ax in axes.flat[len(names):]:
        ax.set_visible(False)
    for ax, name in zip(axes.flat, names):
        curve_panel(ax, results, [name], name.replace("_", " "))
    return fig


def costs(results):
    panels = [(c, t, s) for c, t, s in (("seconds_total", "Time to make the model", res.seconds),
                                        ("gradients", "Gradients computed", res.number),
                                        ("payload_bytes", "Bytes reduced", res.size))
              if any(m.cost.get(c, 0) > 0 for m in results.models)]
    if not panels:
        return None
    fig, axes = new_figure(1, len(panels), 1.0 + 0.3 * len(results.models))
    for ax, (name, title, show) in zip(axes[0], panels):
        cost_panel(ax, results, name, title, show)
    return fig


def summary(results):
    """The one picture of a run: accuracies, attack, training, cost in 1200 x 500 pixels."""
    fig = plt.figure(figsize=(12, 5), dpi=100, layout="constrained")
    grid = fig.add_gridspec(2, 3, width_ratios=(1.15, 1, 1.15))
    first = [p for p in ("forget", "test") if with_values(results, f"accuracy_{p}")]
    for i, part in enumerate(first):
        accuracy_panel(fig.add_subplot(grid[i, 0]), results, part)
    attacks = list(dict.fromkeys(a for m in results.models for a in m.roc))
    if attacks:
        ax = fig.add_subplot(grid[:, 1])
        attack = "confidence" if "confidence" in attacks else attacks[0]
        roc_panel(ax, roc_curves(results, attack))
        ax.set_title(f"Membership attack by {attack.replace('_', ' ')}")
    ax = fig.add_subplot(grid[0, 2])
    if not curve_panel(ax, results, ["accuracy_valid"], "Training: validation accuracy, %", 100):
        curve_panel(ax, results, ["loss_train"], "Training: loss")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower right")
    ax = fig.add_subplot(grid[1, 2])
    cost_panel(ax, results, "seconds_total", "Time to make the model", res.seconds)
    return fig


MODEL_COLORS = {"lenet5": "#2f6fd0", "mlp": "#c98f00", "resnet18": "#d9541e", "vgg19": "#0a8f6c"}
PASS_MARKERS = {"forward": "o", "input gradient": "s", "weight gradient": "^"}


def roofline_panel(ax, bench):
    """Each layer's speed against the FLOPs it does for a byte, under the machine's two roofs."""
    peak, copy = bench["machine"]["sgemm_gflops"], bench["machine"]["copy_gb_s"]
    points = [(x["flops"] / x["bytes"], x["gflops"], x) for x in bench["layers"]]
    low, high = (f(p[0] for p in points) for f in (min, max))
    x = np.geomspace(low / 1.6, high * 1.6, 200)
    ax.plot(x, np.minimum(peak, copy * x), color=INK, lw=1.4, zorder=1)
    for intensity, speed, layer in points:
        ax.scatter(intensity, speed, s=34 if layer["kind"] == "conv" else 22, alpha=0.85, zorder=2,
                   marker=PASS_MARKERS[layer["pass"]], linewidths=1.1,
                   edgecolors=MODEL_COLORS[layer["model"]],
                   facecolors=MODEL_COLORS[layer["model"]] if layer["kind"] == "conv" else "white")
    ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]))
    for axis in ax.xaxis, ax.yaxis:
        axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    ax.annotate(f"sgemm {peak:.0f} GFLOP/s", (x[-1], peak), (-3, -4), fontsize=8, ha="right",
                va="top", textcoords="offset points")
    ridge = peak / copy
    if ridge > x[0]:
        at = np.sqrt(x[0] * ridge)
        ax.annotate(f"copying {copy:.0f} GB/s", (at, copy * at), (8, -4), fontsize=8, va="top",
                    textcoords="offset points")
    shown = [m for m in MODEL_COLORS if any(p[2]["model"] == m for p in points)]
    handles = [plt.Line2D([], [], marker="o", ls="", color=MODEL_COLORS[m], label=m) for m in shown]
    handles += [plt.Line2D([], [], marker=mark, ls="", color=MUTED, label=name)
                for name, mark in PASS_MARKERS.items()]
    handles.append(plt.Line2D([], [], marker="o", ls="", mfc="white", color=MUTED, label="dense"))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4,
              handletextpad=0.2, columnspacing=1.5)
    ax.set_title("Layers on one core")
    ax.set_xlabel("nominal FLOP per byte that must move")
    ax.set_ylabel("nominal GFLOP/s")


def prediction_panel(ax, prediction):
    """Predicted efficiency against ranks; training dashed, unlearning solid."""
    styles = {"training": (0, (3, 2)), "unlearning": "-"}
    seen = {}
    for curve in prediction["curves"]:
        key = curve["model"], curve["kind"]
        nth = seen[key] = seen.get(key, -1) + 1
        ax.plot([1] + curve["ranks"], [100] + [100 * e for e in curve["efficiency"]],
                ls=styles[curve["kind"]], color=MODEL_COLORS[curve["model"]], label=curve["name"],
                lw=1.1 + 0.7 * nth)
    network = prediction["network"]
    ax.set_ylim(0, 105)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda p, _: f"{p:,.0f}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=7.5)
    ax.set_title(f"Prediction: {1e6 * network['latency_s']:g} µs, "
                 f"{1e-9 * network['bandwidth_bytes_s']:g} GB/s a rank")
    ax.set_xlabel("ranks")
    ax.set_ylabel("efficiency, %")


def bench_layers(bench):
    """What bench_layers.json holds: the roofline, and the prediction where there is one."""
    fig, axes = new_figure(1, 2 if bench.get("prediction") else 1, 5.4)
    roofline_panel(axes[0, 0], bench)
    if bench.get("prediction"):
        prediction_panel(axes[0, 1], bench["prediction"])
    return fig
