"""The report's page of a campaign, and its section on scaling."""
import figures_cluster
import figures_methods
import figures_roc
import iau_campaign as camp
import iau_results as res
from html_parts import esc, folded, page, picture, section, swatch, table, text_cell, words


def summary_part(campaign):
    merged, every = campaign.tasks
    settings = ", ".join(f"<code>{esc(s)}</code>" for s in campaign.settings)
    left = "" if merged == every else f" <b>{every - merged} tasks are not in it.</b>"
    return section("The campaign", f"<p>{merged} of {every} tasks over {settings}.{left}</p>")


def figure_part(campaign):
    figure = figures_cluster.campaign(campaign)
    if not figure:
        return ""
    return section("Runs and their means", "<p>A dot a run, a line at the mean over seeds. Grey: "
                   "origins; green: retrained models, which good unlearning resembles; orange: "
                   "unlearned models.</p>", picture(figure, "Metrics of all runs"))


def groups_table(campaign, metrics):
    rows = []
    for group in camp.groups(campaign):
        color = figures_cluster.KIND_COLORS.get(group.kind, "#000000")
        name = swatch(res.Model(group.model, color=color))
        settings = ", ".join(f"{k} = {v}" for k, v in group.settings)
        cells = [esc(camp.mean_text(camp.values(campaign, group, m))) for m in metrics]
        rows.append([name, text_cell(settings), str(len(group.rows))] + cells)
    return table(["model", '<span class="text">settings</span>', "runs"] +
                 [words(m) for m in metrics], rows)


def metrics_part(campaign):
    main = [m for m in camp.MAIN if m in campaign.about]
    rest = [m for m in campaign.metric_names() if m not in main]
    more = folded("All other metrics", groups_table(campaign, rest)) if rest else ""
    about = [[f"<code>{esc(m)}</code>", text_cell(a.direction), esc(res.ideal(a)),
              text_cell(a.unit)] for m, a in campaign.about.items()]
    guide = folded("Which way is good", table(["metric", "good is", "ideal", "unit"], about))
    return section("Mean ± standard deviation over seeds", groups_table(campaign, main), more,
                   guide)


def methods_part(campaign):
    """Methods beside each other, where the campaign varies nothing but seeds."""
    groups = camp.groups(campaign)
    if any(g.settings for g in groups) or not any(g.kind == "method" for g in groups):
        return ""
    tradeoff, costs = (f(campaign, groups) for f in (figures_methods.tradeoff, figures_methods.costs))
    lines = ("Lines: the strengths that a method's search tried, means over runs; it looks at "
             "validation samples, never at test samples, on which trials are measured for this "
             "picture alone." if "accuracy_test" in campaign.trials else "Points: means over runs.")
    text = (f"<p>{lines} Green band: how far retrained models of other seeds lie from the first, at "
            "most; gaps below 0.1 are drawn there.</p>")
    return section("Methods beside each other", text,
                   picture(tradeoff, "Forgetting against usefulness") if tradeoff else "",
                   picture(costs, "Time of each method") if costs else "")


def ranking_part(campaign):
    names = [f"rank_{r}" for r in camp.RANKS if f"rank_{r}" in campaign.columns]
    groups = [g for g in camp.groups(campaign)
              if any(len(camp.values(campaign, g, n)) for n in names)]
    if not groups:
        return ""
    groups.sort(key=lambda g: figures_methods.mean(campaign, g, "rank_average_gap") or 1e9)
    rows = [[esc(g.label())] + [esc(camp.mean_text(camp.values(campaign, g, n), 2)) for n in names]
            for g in groups]
    text = ("<p>Ranks among the methods of a run, 1 is best, means over runs; models with the same "
            "value share the mean of their places. Removal: attack AUC, the lower the better, or "
            "its distance from the retrained model's; efficiency: seconds; utility: accuracy on "
            "test samples.</p>")
    return section("Ranking", text, table(["model"] + [words(n.removeprefix("rank_")) for n in names], rows))


def failed_part(campaign):
    rows = [[str(camp.plain(task)), esc(model), text_cell(reason)] for task, model, reason in
            zip(*(campaign.failed.get(name, ()) for name in ("task", "model", "reason")))]
    return section("Methods that failed", table(["task", "method", "why"], rows)) if rows else ""


def roc_part(campaign):
    """Curves of the runs whose results files lie beside the campaign's."""
    figure, left_out = figures_roc.campaign(campaign)
    if not figure:
        return ""
    more = f" {left_out} further origins or settings are not drawn." if left_out else ""
    text = ("<p>Forgotten against test samples by confidence. A line is the mean TPR over runs at "
            "each FPR, its band goes from the least to the most of them; the areas are means ± "
            "standard deviations. The dotted line is guessing; good unlearning lies on the "
            f"retrained model. At most {figures_roc.MAX_CURVES} models an origin are drawn: "
            f"origin, retrained, and the methods of the smallest gaps to it.{more}</p>")
    return section("Membership attack", text, picture(figure, "ROC, means over runs"))


def provenance_part(campaign):
    texts = "".join(f"<h3>{words(k)}</h3><pre>{esc(str(v))}</pre>"
                    for k, v in campaign.provenance.items())
    return section("Where these numbers come from", texts)


def campaign_page(campaign, extra=""):
    body = "".join(part(campaign) for part in (
        summary_part, failed_part, metrics_part, methods_part, ranking_part, roc_part,
        figure_part, provenance_part))
    return page("Unlearning campaign", campaign.path, body + extra)


def scaling_table(measured):
    rows = []
    for c in measured["curves"]:
        base = c["seconds"][0] * (c["ranks"][0] if c["scaling"] == "strong" else 1)
        for ranks, seconds, model in zip(c["ranks"], c["seconds"], c["predicted"]):
            ideal = base / ranks if c["scaling"] == "strong" else base
            rows.append([esc(c["name"]), text_cell(c["scaling"]), str(ranks),
                         f"{1e3 * seconds:.4g}", f"{1e3 * model:.4g}", f"{seconds / model:.2f}",
                         f"{100 * ideal / seconds:.0f} %"])
    return table(["work", '<span class="text">scaling</span>', "ranks", "ms", "model, ms",
                  "ms / model", "efficiency"], rows)


def scaling_part(measured):
    net = measured["network"]
    latency = 1e6 * net["latency_s"]
    text = (f"<p>Points are measured, lines are the model: units on the busiest rank, and an "
            f"all-reduce at {latency:{',.0f' if latency >= 100 else '.3g'}} µs latency and "
            f"{1e-9 * net['bandwidth_bytes_s']:.3g} GB/s a rank, {esc(net['source'])}. Filled: "
            f"the same work on more ranks; hollow: work that grows with the ranks.</p>")
    return section(f"Scaling: {measured['name']}", text,
                   picture(figures_cluster.scaling(measured), "Scaling"), scaling_table(measured))
