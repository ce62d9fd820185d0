#!/usr/bin/env python3
"""Print the main table of a results file: accuracies, attack and costs, one model a row; or of a
campaign: mean and standard deviation over seeds (csv: every row by itself).

usage: table.py RESULTS.h5|CAMPAIGN.h5 [--format text|markdown|latex|csv] [--metrics NAME,...]
                [--all]
"""
import argparse
import csv
import io

import iau_campaign as camp
import iau_results as res

MAIN = camp.MAIN
CAMPAIGN_MORE = {"seconds_total": "seconds", "rank_average": "avg rank",
                 "rank_average_gap": "avg rank by gap"}
COSTS = {"gradients": "gradients", "hvps": "hvps", "seconds_total": "seconds"}


def short(metric):
    """A column's title: the metric without the words that every column shares."""
    if metric == res.ATTACK_AUC:
        return "attack AUC"
    return metric.replace("accuracy_", "acc ").replace("mia_", "attack ").replace("_", " ")


def build(results, metrics, raw):
    """Titles and rows of text. `raw` keeps full precision and machine names for CSV."""
    costs = [c for c in COSTS if any(c in m.cost for m in results.models)]
    speed_ups = [results.speed_up(m) for m in results.models]
    show = repr if raw else res.number
    titles = ["model"] + [m if raw else short(m) for m in metrics] + [COSTS[c] for c in costs]
    if any(speed_ups):
        titles.append("speed_up" if raw else "speed-up")
    rows = []
    for model, speed_up in zip(results.models, speed_ups):
        plain = raw or model.kind in ("method", model.name)
        cells = [model.name if plain else f"{model.name} ({model.kind})"]
        cells += [show(model.value(m)) if model.value(m) is not None else "" for m in metrics]
        for cost in costs:
            cells.append(res.cost(model, cost, raw))
        if any(speed_ups):
            cells.append("" if speed_up is None else repr(speed_up) if raw else f"{speed_up:.1f}x")
        rows.append(cells)
    return titles, rows


def build_campaign(campaign, metrics, raw):
    """The same for a campaign: a row a model and settings, over seeds; `raw`: a row a run."""
    columns = campaign.columns
    if raw:
        names = ["task", "model", "kind", *campaign.settings, *metrics]
        names += [c for c in COSTS if c in columns]
        return names, [[str(camp.plain(columns[n][i])) for n in names]
                       for i in range(len(columns["task"]))]
    more = {c: t for c, t in CAMPAIGN_MORE.items() if c in columns}
    rows = [[g.label(), str(len(g.rows))] +
            [camp.mean_text(camp.values(campaign, g, m)) for m in metrics] +
            [camp.mean_text(camp.values(campaign, g, c), 2) for c in more]
            for g in camp.groups(campaign)]
    return ["model", "runs"] + [short(m) for m in metrics] + list(more.values()), rows


def guides(about, before, after):
    """Two rows that say which way is good, and the ideal, with empty cells around."""
    directions = ["as retrain" if "retrain" in a.direction else a.direction for a in about]
    lead, fill = [""] * before, [""] * after
    return [["good is"] + lead + directions + fill,
            ["ideal"] + lead + [res.ideal(a) for a in about] + fill]


def as_text(titles, rows, notes):
    every = [titles] + rows + notes
    widths = [max(len(row[i]) for row in every) for i in range(len(titles))]

    def line(row):
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(titles), rule, *map(line, rows), rule, *map(line, notes)])


def as_markdown(titles, rows, notes):
    slanted = [[f"*{cell}*" if cell else "" for cell in note] for note in notes]
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1)] + rows + slanted
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)


LATEX = {c: "\\" + c for c in "_%&#$"} | {"±": r"$\pm$", "·": r"$\cdot$"}


def as_latex(titles, rows, notes):
    def line(row):
        escaped = ["".join(LATEX.get(c, c) for c in cell) for cell in row]
        return "  " + " & ".join(escaped) + r" \\"

    head = r"\begin{tabular}{l" + "r" * (len(titles) - 1) + "}"
    rule, end = r"  \hline", r"\end{tabular}"
    body = [line(titles), rule, *map(line, rows), rule, *map(line, notes)]
    return "\n".join([head, rule, *body, rule, end])


def as_csv(titles, rows, _notes):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([titles] + rows)
    return out.getvalue().rstrip("\n")


FORMATS = {"text": as_text, "markdown": as_markdown, "latex": as_latex, "csv": as_csv}


def main():
    parser = argparse.ArgumentParser(description="Print the main table of a results file.")
    parser.add_argument("results", help="results.h5 or campaign.h5 of iau")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--metrics", help="names as in /evaluation, separated by commas")
    parser.add_argument("--all", action="store_true", help="every metric in the file")
    args = parser.parse_args()
    is_campaign = camp.is_campaign(args.results)
    results = camp.read(args.results) if is_campaign else res.read(args.results)
    known = results.metric_names()
    chosen = known if args.all else [m for m in MAIN if m in known]
    metrics = args.metrics.split(",") if args.metrics else chosen
    for name in metrics:
        if name not in known:
            there = ", ".join(known)
            raise res.ResultsError(f"{args.results}: no metric {name} (there are: {there})")
    raw = args.format == "csv"
    titles, rows = (build_campaign if is_campaign else build)(results, metrics, raw)
    about = [results.about[m] if is_campaign else results.metric_about(m) for m in metrics]
    before = 1 if is_campaign else 0
    notes = guides(about, before, len(titles) - 1 - before - len(metrics))
    print(FORMATS[args.format](titles, rows, notes))


if __name__ == "__main__":
    res.run(main)
