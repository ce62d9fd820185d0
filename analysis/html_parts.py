"""Pieces of an HTML page: style, sections, tables, figures inside."""
import base64
import html
import io

import figures

STYLE = """
:root { --ink: #1d2430; --muted: #667085; --line: #e4e7ec; --soft: #f7f8fa; --good: #0a8f6c;
  --accent: #2f6fd0; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--soft); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 20px 0 4px; }
p { margin: 6px 0 12px; max-width: 82ch; }
.lead { color: var(--muted); margin-bottom: 22px; }
section, .tile { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
section { padding: 22px 24px; margin: 18px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; }
.tile { padding: 14px 18px; }
.tile .what { color: var(--muted); font-size: 13px; }
.tile .value { font-size: 28px; font-weight: 650; letter-spacing: -.02em; line-height: 1.25; }
.tile .note { font-size: 13px; color: var(--muted); }
.note { color: var(--muted); font-size: 13.5px; }
img { width: 100%; height: auto; display: block; margin: 10px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { color: var(--muted); font-weight: 600; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
td.target { color: var(--good); font-weight: 600; }
td small { color: var(--muted); display: block; font-size: 11px; line-height: 1.2; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; overflow-x: auto; font-size: 12.5px; }
code, .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
td.mono { white-space: normal; overflow-wrap: anywhere; }
details { margin-top: 10px; } summary { cursor: pointer; color: var(--accent); }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""

esc = html.escape


def picture(figure, alt):
    """A figure as SVG inside the page, and out of matplotlib's memory."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    figures.plt.close(figure)
    data = base64.b64encode(out.getvalue()).decode()
    return f'<img alt="{esc(alt)}" src="data:image/svg+xml;base64,{data}">'


def section(title, *parts):
    return f"<section><h2>{esc(title)}</h2>{''.join(p for p in parts if p)}</section>"


def words(name):
    return esc(name.replace("_", " "))


def text_cell(value, style=""):
    return f'<td class="text {style}">{esc(str(value))}</td>'


def swatch(model):
    return f'<span class="swatch" style="background:{model.color}"></span>{esc(model.name)}'


def table(titles, rows):
    """`titles` and cells are HTML already; a cell may bring its own <td>."""
    head = "".join(f"<th>{t}</th>" for t in titles)
    lines = ["".join(c if c.startswith("<td") else f"<td>{c}</td>" for c in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")


def folded(title, body):
    return f"<details><summary>{esc(title)}</summary>{body}</details>"


def page(title, lead, body):
    return ('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{esc(title)}</title>"
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{STYLE}</style></head><body><main><h1>{esc(title)}</h1>"
            f'<p class="lead">{esc(lead)}</p>{body}</main></body></html>\n')
