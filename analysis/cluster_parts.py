"""The report's page of a campaign, and its section on scaling."""
import figures_cluster
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


def provenance_part(campaign):
    texts = "".join(f"<h3>{words(k)}</h3><pre>{esc(str(v))}</pre>"
                    for k, v in campaign.provenance.items())
    return section("Where these numbers come from", texts)


def campaign_page(campaign, extra=""):
    body = "".join(part(campaign) for part in (
        summary_part, figure_part, metrics_part, provenance_part))
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
    text = (f"<p>Points are measured, lines are the model: units on the busiest rank, and an "
            f"all-reduce at {1e6 * net['latency_s']:.3g} µs latency and "
            f"{1e-9 * net['bandwidth_bytes_s']:.3g} GB/s a rank, {esc(net['source'])}. Filled: "
            f"the same work on more ranks; hollow: work that grows with the ranks.</p>")
    return section(f"Scaling: {measured['name']}", text,
                   picture(figures_cluster.scaling(measured), "Scaling"), scaling_table(measured))
