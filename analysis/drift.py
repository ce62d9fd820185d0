#!/usr/bin/env python3
"""Say how far a model drifts from retraining over requests one after another (jobs/sequence.sh).

usage: drift.py FOLDER METHOD [--format text|markdown|csv] [--picture DRIFT.png]
"""
import argparse
import glob
import os

import iau_results as res
import table

COLUMNS = ["accuracy_forget", "accuracy_retain", "accuracy_test", res.ATTACK_AUC, "gap_average",
           "distance_retrain"]


def read(folder, method):
    """[(request, the method's model, its retrained twin)], in order."""
    found = glob.glob(os.path.join(folder, "request-[0-9]*", "results.h5"))
    paths = sorted((int(os.path.dirname(p).rsplit("-", 1)[1]), p) for p in found)
    if not paths:
        raise res.ResultsError(f"{folder}: no request-*/results.h5 in it")
    rows = []
    for i, path in paths:
        results = res.read(path)
        model = next((m for m in results.models if m.name == method), None)
        if model is None or results.retrain_of(model) is None:
            raise res.ResultsError(f"{path}: no {method} in it, or nothing to compare it with")
        rows.append((i, model, results.retrain_of(model)))
    return rows


def cells(model, twin, name):
    """The model's value, and the retrained one's where it has one of its own."""
    own, other = model.value(name), twin.value(name)
    if own is None:
        return ""
    own = res.number(own)
    alone = name.startswith(("gap", "distance")) or other is None
    return own if alone else f"{own} ({res.number(other)})"


def draw(path, rows):
    import figures
    figure, axes = figures.new_figure(1, 3, 3.4)
    x = [i for i, _, _ in rows]
    panels = (("accuracy_forget", "Accuracy on forgotten, %", 100),
              ("accuracy_test", "Accuracy on test, %", 100),
              ("distance_retrain", "Distance of parameters to retrained", 1))
    for ax, (name, title, scale) in zip(axes[0], panels):
        ax.plot(x, [scale * m.value(name) for _, m, _ in rows], marker="o", label=rows[0][1].name,
                color=res.COLORS["method"][0])
        if scale == 100:
            ax.plot(x, [scale * t.value(name) for _, _, t in rows], marker="o", label="retrained",
                    color=res.COLORS["retrain"][0])
        else:
            ax.set_ylim(0, 1.15 * max(m.value(name) for _, m, _ in rows))
        ax.set_title(title)
        ax.set_xlabel("request")
        ax.set_xticks(x)
    axes[0, 0].legend()
    figure.savefig(path)
    figures.plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description="Drift over requests one after another.")
    parser.add_argument("folder", help="FOLDER of jobs/sequence.sh")
    parser.add_argument("method", help="name of the method's entry")
    parser.add_argument("--format", choices=("text", "markdown", "csv"), default="text")
    parser.add_argument("--picture", help="PNG file to write")
    args = parser.parse_args()
    rows = read(args.folder, args.method)
    titles = ["request"] + [table.short(c) for c in COLUMNS]
    lines = [[str(i)] + [cells(m, t, c) for c in COLUMNS] for i, m, t in rows]
    print(table.FORMATS[args.format](titles, lines, []))
    if args.format == "text":
        print("In brackets: the model retrained without all that has gone so far.")
    if args.picture:
        draw(args.picture, rows)


if __name__ == "__main__":
    res.run(main)
