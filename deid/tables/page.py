"""The report as one HTML page with pictures, for a person who must decide: no script, no link, nothing fetched.

Only numbers, model names and column names of the report are shown, each escaped; a report holds no value of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{border:1px solid #ccc;padding:.2em .7em;text-align:left}"
    "svg{display:block;margin:.5em 0}h2{margin-top:1.6em}.was{fill:#c9cfd6}.now{fill:#2f6f9f}text{font-size:12px}"
)
_RISKS = {
    "k": "smallest class (k)",
    "classes": "classes",
    "uniques": "people alone in their class",
    "row_uniques": "rows no other row equals on all columns",
    "prosecutor_max": "prosecutor risk, largest",
    "prosecutor_mean": "prosecutor risk, mean",
    "journalist_max": "journalist risk, largest",
    "journalist_mean": "journalist risk, mean",
    "marketer": "marketer risk",
    "linkable_by_values": "linked between two projects by values",
}
_LEGEND = (
    '<svg role="img" width="300" height="20"><rect class="was" x="0" y="6" width="24" height="8"/>'
    '<text x="30" y="15">before</text><rect class="now" x="100" y="6" width="24" height="8"/>'
    '<text x="130" y="15">after</text></svg>'
)
_BANDS = ((1, 1), (2, 2), (3, 4), (5, 9), (10, 19), (20, 49), (50, 99), (100, None))


def risk_page(report: Mapping[str, Any]) -> str:
    """The whole page for one report (INTERFACES, Report)."""
    recipe, removed = report["recipe"], report["removed"]
    body = [
        f"<h1>{escape(str(recipe['name']))}, version {escape(str(recipe['version']))}</h1>",
        f"<p>{report['output']['records']} of {report['input']['records']} rows leave. "
        + "; ".join(f"{escape(name.replace('_', ' '))}: {count}" for name, count in removed.items())
        + f"</p><p><code>{escape(str(report['output']['digest']))}</code></p>",
    ]
    if "models" in report:
        rows = [(name, _number(model["wanted"]), _number(model["reached"])) for name, model in report["models"].items()]
        body += ["<h2>Models</h2>", _table(("model", "wanted", "reached"), rows)]
    if "risk" in report:
        body += _risk(report["risk"]["before"], report["risk"]["after"])
    body += _utility(report.get("utility", {}))
    if "leakcheck" in report:
        found = report["leakcheck"]["findings"]
        body.append(f"<h2>Leak check</h2><p>{'clean' if not found else f'{found} findings'}</p>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>De-identification report</title>"
        f"<style>{_STYLE}</style>{''.join(body)}</html>\n"
    )


def _risk(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    rows = [
        (title, _number(before.get(name)), _number(after.get(name)))
        for name, title in _RISKS.items()
        if name in before or name in after
    ]
    for model in ("l", "t"):
        columns = after.get(model, {})
        rows += [(f"{model} of {name}", _number(before[model][name]), _number(columns[name])) for name in columns]
    names = {"zayatz": "Zayatz", "pitman": "Pitman", "snb": "SNB", "chosen": "chosen"}
    alone = [risk.get("population_uniques", {}) for risk in (before, after)]
    rows += [
        (f"people alone in the population ({title})", _number(alone[0].get(name)), _number(alone[1].get(name)))
        for name, title in names.items()
        if any(name in found for found in alone)
    ]
    bands = [_band(low, high) for low, high in _BANDS]
    return [
        "<h2>Risk before and after</h2>",
        _table(("", "before", "after"), rows),
        "<h2>People by size of their class</h2>",
        _LEGEND,
        _bars(bands, _people(before), _people(after)),
    ]


def _utility(utility: Mapping[str, Any]) -> list[str]:
    if not utility:
        return []
    named = {"ncp": "NCP", "arx_loss": "ARX's Loss", "discernibility": "discernibility"}
    rows = [(title, _number(utility[name])) for name, title in named.items() if name in utility]
    body = ["<h2>What was lost</h2>", _table(("measure", "value"), rows)]
    for key, title in (("ncp_of_column", "NCP of each column"), ("marginals", "Shares of values that moved")):
        if columns := utility.get(key):
            body += [f"<h2>{title}</h2>", _bars(list(columns), [], list(columns.values()))]
    if pairs := utility.get("correlations"):
        labels = [" × ".join(pair["columns"]) for pair in pairs]
        drawn = _bars(labels, [pair["before"] for pair in pairs], [pair["after"] for pair in pairs])
        body += ["<h2>Cramér's V of pairs of columns</h2>", _LEGEND, drawn]
    return body


def _people(risk: Mapping[str, Any]) -> list[float]:
    """The share of people whose class has a size in each band."""
    sizes = [(one["size"], one["size"] * one["classes"]) for one in risk["theta"]]
    total = sum(rows for _, rows in sizes)
    return [
        sum(rows for size, rows in sizes if size >= low and (high is None or size <= high)) / total
        for low, high in _BANDS
    ]


def _bars(labels: Sequence[str], before: Sequence[float], after: Sequence[float]) -> str:
    """Horizontal bars from 0 to 1, grey before and blue after."""
    lines = []
    for row, label in enumerate(labels):
        top = row * 26
        lines.append(f'<text x="195" y="{top + 15}" text-anchor="end">{escape(label)}</text>')
        for at, values in enumerate((before, after)):
            if values:
                width = max(0.0, min(values[row], 1.0)) * 400
                style = ("was", "now")[at]
                lines.append(f'<rect class="{style}" x="200" y="{top + 3 + at * 9}" width="{width:.1f}" height="8"/>')
        lines.append(f'<text x="610" y="{top + 16}">{_number(after[row])}</text>')
    return f'<svg role="img" width="680" height="{len(labels) * 26 + 4}">{"".join(lines)}</svg>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _band(low: int, high: int | None) -> str:
    return f"{low} or more" if high is None else str(low) if low == high else f"{low} to {high}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
