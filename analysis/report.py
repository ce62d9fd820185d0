#!/usr/bin/env python3
"""Write the report of a results file or a campaign: one HTML page, figures inside, or a picture.

usage: report.py RESULTS.h5|CAMPAIGN.h5 -o REPORT.html [--bench BENCH_LAYERS.json]
                 [--scaling SCALING.json ...]
       report.py --scaling SCALING.json ... -o REPORT.html
       report.py RESULTS.h5|CAMPAIGN.h5 --picture SUMMARY.png
       report.py --bench BENCH_LAYERS.json --bench-picture LAYERS.png
"""
import argparse
import io
import json

import iau_results as res

try:
    import cluster_parts
    import figures
    import figures_methods
except ImportError as error:
    package = f"python3-{error.name}"
    raise SystemExit(f"report.py: error: {error.name} is missing (Debian: {package})") from None

import iau_campaign as camp
from html_parts import esc, folded, page, picture, section, swatch, table, text_cell, words

COST_WORDS = {"forwards": "forward passes", "gradients": "gradients",
              "hvps": "Hessian-vector products", "payload_bytes": "bytes reduced",
              "seconds_total": "seconds"}


def percent(value):
    return "-" if value is None else f"{100 * value:.1f} %"


def main_method(results):
    """The method the summary speaks of: the first one with metrics."""
    return next((m for m in results.of_kind("method") if m.metrics), None)


def references(results, model, metric):
    """What the model's origin and its retrained twin get, where known: [(word, value)]."""
    pairs = (("before", results.origin_of(model)), ("retrained", results.retrain_of(model)))
    return [(word, m.value(metric)) for word, m in pairs if m and m.value(metric) is not None]


def accuracy_sentence(results, model, part, what):
    metric = f"accuracy_{part}"
    value = model.value(metric)
    if value is None:
        return ""
    known = references(results, model, metric)
    text = f"Accuracy on {what} is <b>{percent(value)}</b>"
    if known:
        text += " (" + ", ".join(f"{word}: {percent(v)}" for word, v in known) + ")"
    if "retrained" in dict(known):
        gap = 100 * (value - dict(known)["retrained"])
        side = "above" if gap > 0 else "below"
        off = f"{abs(gap):.1f} points {side} retraining"
        text += ", " + (off if abs(gap) >= 0.05 else "as retrained")
    return text + "."


def sentences(results, model):
    """The outcome of one method in plain words."""
    said = [accuracy_sentence(results, model, "forget", "the forgotten samples"),
            accuracy_sentence(results, model, "test", "test samples never seen in training")]
    auc, twin = model.value(res.ATTACK_AUC), results.retrain_of(model)
    speed_up = results.speed_up(model)
    if auc is not None:
        known = references(results, model, res.ATTACK_AUC)
        others = "".join(f", {word} {value:.3f}" for word, value in known)
        said.append("An attacker who looks at the model's confidence tells forgotten from unseen "
                    f"samples with AUC <b>{auc:.3f}</b> (0.5 is guessing{others}).")
    if speed_up:
        own, other = (res.seconds(m.cost["seconds_total"]) for m in (model, twin))
        ratio = f": {speed_up:,.0f} times faster" if speed_up >= 2 else ""
        said.append(f"It took <b>{own}</b>, where retraining took {other}{ratio}.")
    return [s for s in said if s]


def tile(what, value, note):
    return (f'<div class="tile"><div class="what">{esc(what)}</div>'
            f'<div class="value">{esc(value)}</div><div class="note">{esc(note)}</div></div>')


def tiles(results, model):
    def compared(metric, show):
        return " · ".join(f"{word} {show(v)}" for word, v in references(results, model, metric))

    parts = []
    for part in "forget", "test":
        if model.value(f"accuracy_{part}") is not None:
            name = f"accuracy_{part}"
            parts.append(tile(f"Accuracy, {res.SETS[part]} samples", percent(model.value(name)),
                              compared(name, percent)))
    if model.value(res.ATTACK_AUC) is not None:
        show = "{:.3f}".format
        parts.append(tile("Attack AUC, ideal as retrained", show(model.value(res.ATTACK_AUC)),
                          compared(res.ATTACK_AUC, show)))
    if results.speed_up(model):
        ratio = results.speed_up(model)
        compared_time = (f"{ratio:,.0f}x faster than retraining" if ratio >= 2 else
                         f"{100 / ratio:.0f} % of retraining")
        parts.append(tile("Time", res.seconds(model.cost["seconds_total"]), compared_time))
    return f'<h3>{swatch(model)}</h3><div class="tiles">{"".join(parts)}</div>'


def failed_part(results):
    rows = [[esc(name), text_cell(why)] for name, why in results.failed.items()]
    return section("Methods that failed", table(["method", "why"], rows)) if rows else ""


def summary_part(results):
    method = main_method(results)
    if not method:
        return section("Summary", "<p>The file holds no unlearned model with metrics.</p>")
    items = "".join(f"<h3>{swatch(m)}</h3><p>{' '.join(sentences(results, m))}</p>"
                    for m in results.of_kind("method") if m.metrics)
    return tiles(results, method) + section(
        "In plain words", items,
        '<p class="note">The retrained model, trained afresh without the forgotten samples, is '
        "what a perfect method would give: closer to it is better, not higher or lower.</p>")


def roc_part(results):
    attacks = list(dict.fromkeys(a for m in results.models for a in m.roc))
    attacks.sort(key=lambda a: a != "confidence")
    if not attacks:
        return ""
    first, *others = [picture(figures.roc(results, a), f"ROC of the {a} attack") for a in attacks]
    names = ", ".join(attacks[1:]).replace("_", " ")
    more = folded(f"The other attacks: {names}", "".join(others)) if others else ""
    return section("Membership attack", "<p>Forgotten samples against test samples: the dotted "
                   "line is guessing. After good unlearning the curve lies on that of the "
                   "retrained model.</p>",
                   first, more)


def accuracy_part(results):
    figure = figures.accuracies(results)
    if not figure:
        return ""
    return section("Accuracy before, after, and retrained", "<p>Dashed: the retrained model. The "
                   "forgotten samples should end up there, and so should the others.</p>",
                   picture(figure, "Accuracies"))


def training_part(results):
    figure, others = figures.training(results), figures.all_columns(results)
    if not figure:
        return ""
    more = folded("All other columns", picture(others, "Other columns")) if others else ""
    return section("Training", picture(figure, "Training curves"), more)


def steps_part(results):
    models = [m for m in results.models if m.steps]
    names = figures.columns(results, "steps")
    if not models or not names:
        return ""
    rows = []
    for model in models:
        columns = {c: v for c, v in model.steps.items() if v.ndim == 1}

        def cell(column, i):
            return res.number(float(columns[column][i])) if i < len(columns.get(column, ())) else ""

        for i in range(max(map(len, columns.values()), default=0)):
            step = cell("step", i) or str(i + 1)
            rows.append([swatch(model), step] + [cell(name, i) for name in names])
    return section("Unlearning steps", "<p>Norms and cosine of the gradients over retained and "
                   "forgotten samples, the distance the parameters moved, and losses.</p>",
                   table(["model", "step"] + [words(c) for c in names], rows))


def cost_part(results):
    models = [m for m in results.models if m.cost]
    if not models:
        return ""
    names = list(dict.fromkeys(c for m in models for c in m.cost))
    main = [c for c in COST_WORDS if c in names]
    phases = [c for c in names if c.startswith("seconds_") and c.endswith("_mean")]
    rest = [c for c in names if c not in main and not c.startswith("seconds_")]
    titles = ["model"] + [COST_WORDS[c] for c in main] + ["speed-up"] + [words(c) for c in rest]
    rows = []
    for m in models:
        cells = [res.cost(m, c) for c in main]
        speed_up = results.speed_up(m)
        rows.append([swatch(m)] + cells + [f"{speed_up:,.1f}x" if speed_up else ""] +
                    [res.cost(m, c) for c in rest])
    figure = figures.costs(results)
    return section("Costs", picture(figure, "Costs of each model") if figure else "",
                   table(titles, rows), phase_table(models, phases))


def phase_table(models, phases):
    if not phases:
        return ""

    def cell(model, phase):
        base = phase[:-len("_mean")]
        if phase not in model.cost:
            return ""
        spread = [model.cost.get(f"{base}_{end}") for end in ("min", "max")]
        small = f"<small>{spread[0]:.3g} to {spread[1]:.3g}</small>" if None not in spread else ""
        return f"{model.cost[phase]:.3g}{small}"

    titles = ["model"] + [words(p[len("seconds_"):-len("_mean")]) for p in phases]
    return "<h3>Seconds by phase: mean over ranks, least to most below</h3>" + table(
        titles, [[swatch(m)] + [cell(m, p) for p in phases] for m in models])


def metric_cell(results, model, name):
    value = model.value(name)
    if value is None:
        return ""
    if model.kind == "retrain":
        return f'<td class="target">{res.number(value)}</td>'
    twin = results.retrain_of(model)
    target = twin.value(name) if twin else None
    if target is None or model.kind != "method":
        return res.number(value)
    return f"{res.number(value)}<small>{value - target:+.4f}</small>"


def metrics_part(results):
    names = results.metric_names()
    if not names:
        return ""
    models = [m for m in results.models if m.metrics]
    rows = []
    for name in names:
        about = results.metric_about(name)
        direction = f"{res.ARROWS.get(about.direction, '')} {about.direction}"
        cells = [f"<code>{esc(name)}</code>", text_cell(direction), esc(res.ideal(about)),
                 text_cell(about.unit)]
        rows.append(cells + [metric_cell(results, m, name) for m in models])
    return section("All metrics", "<p>Each with the direction that is good and its ideal. Green: "
                   "the retrained model; small figures: the difference from it.</p>",
                   table(["metric", "good is", "ideal", "unit"] + list(map(swatch, models)), rows))


def provenance_part(results):
    short = {k: v for k, v in results.provenance.items() if "\n" not in str(v)}
    long = {k: v for k, v in results.provenance.items() if "\n" in str(v)}
    facts = table(["what", ""], [[words(k), text_cell(v, "mono")] for k, v in short.items()])
    about = [m.about for m in results.models]
    keys = list(dict.fromkeys(k for a in about for k, v in a.items() if "\n" not in str(v)))
    rows = [[swatch(m)] + [text_cell(m.about.get(k, ""), "mono") for k in keys]
            for m in results.models]
    models = "<h3>Models</h3>" + table(["model"] + [words(k) for k in keys], rows) if keys else ""
    texts = "".join(f"<h3>{words(k)}</h3><pre>{esc(str(v))}</pre>" for k, v in long.items())
    return section("Where these numbers come from", facts if short else "", models, texts)


def read_json(path, keys, what):
    """Read a JSON file that has these keys, with something in each."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        for key in keys:
            if not data[key]:
                raise KeyError(key)
        return data
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise res.ResultsError(f"{path}: cannot be read as {what}: {error}") from None


def bench_part(bench):
    text = ("<p>Each point is a layer of one shape in one pass; the line is what the machine "
            "could do if arithmetic were limited by its matrix product, and data by its memory. "
            "FLOPs are nominal, those of the plain sums: Winograd and Toom-Cook kernels do fewer "
            "multiplications and may lie above the roof, as may what stays in cache.</p>")
    predicted = ("<p>The efficiency on many ranks is a prediction from times on one rank and an "
                 "assumed network, not a measurement.</p>")
    return section("Speed of the layers", text, predicted if bench.get("prediction") else "",
                   picture(figures.bench_layers(bench), "Layers under the machine's roofs"))


def results_page(results, extra):
    body = "".join(part(results) for part in (
        summary_part, failed_part, accuracy_part, roc_part, training_part, steps_part, cost_part,
        metrics_part, provenance_part))
    return page("Unlearning report", results.path, body + extra)


def write_png(path, figure):
    out = io.BytesIO()
    figure.savefig(out, format="png")
    res.write_whole(path, out.getvalue())


def summary_picture(path):
    """The picture of a run, or of a campaign over seeds."""
    if not camp.is_campaign(path):
        return figures.summary(res.read(path))
    campaign = camp.read(path)
    figure = figures_methods.tradeoff(campaign, camp.groups(campaign))
    if figure is None:
        raise res.ResultsError(f"{path}: no accuracies on test samples to draw")
    return figure


def whole_page(args, bench):
    """The page that the arguments ask for."""
    scalings = [read_json(path, ("name", "network", "curves"), "a scaling.json")
                for path in args.scaling]
    extra = (bench_part(bench) if bench else "") + "".join(map(cluster_parts.scaling_part, scalings))
    if not args.results:
        return page("Speed report", ", ".join(args.scaling + [args.bench or ""]).strip(", "), extra)
    if camp.is_campaign(args.results):
        return cluster_parts.campaign_page(camp.read(args.results), extra)
    return results_page(res.read(args.results), extra)


def main():
    parser = argparse.ArgumentParser(description="Write the report of a results file or campaign.")
    parser.add_argument("results", nargs="?", help="results.h5 or campaign.h5 of iau")
    parser.add_argument("-o", "--out", help="HTML file to write")
    parser.add_argument("--picture", help="PNG file to write: the summary picture")
    parser.add_argument("--bench", help="bench_layers.json of `make bench`, for a section on speed")
    parser.add_argument("--bench-picture", help="PNG file to write: that section's picture")
    parser.add_argument("--scaling", nargs="+", default=[],
                        help="what tests/bench/scaling.py wrote, for sections on scaling")
    args = parser.parse_args()
    if not args.out and not args.picture and not args.bench_picture:
        parser.error("nothing to do: give -o REPORT.html or --picture SUMMARY.png")
    if args.picture and not args.results:
        parser.error("a picture needs RESULTS.h5")
    if args.out and not (args.results or args.scaling or args.bench):
        parser.error("a report needs RESULTS.h5, CAMPAIGN.h5, --scaling or --bench")
    if args.bench_picture and not args.bench:
        parser.error("--bench-picture needs --bench BENCH_LAYERS.json")
    bench = read_json(args.bench, ("machine", "layers"), "a bench_layers.json") if args.bench else None
    if args.bench_picture:
        write_png(args.bench_picture, figures.bench_layers(bench))
    if args.picture:
        write_png(args.picture, summary_picture(args.results))
    if args.out:
        res.write_whole(args.out, whole_page(args, bench).encode())
        print(f"report: {args.out}")


if __name__ == "__main__":
    res.run(main)
