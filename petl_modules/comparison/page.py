"""The report as one HTML file, which loads nothing."""

import base64
import html
import io
from functools import partial

from petl_modules.comparison.corrected_t import BETTER, UNKNOWN, WORSE
from petl_modules.comparison.pictures import (
    draw_folds,
    draw_pareto,
    names_of,
    shown,
)
from petl_modules.comparison.published import paper_notes
from petl_modules.comparison.tables import cells
from petl_modules.utils import printable

# A browser then refuses every connection, whatever the names in the page are
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 96em;
  padding: 0 1em; color: #222; }
h2 { border-top: 1px solid #ccc; margin-top: 2em; padding-top: .6em; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .45em; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e4e4e4; background: #fff; }
th { cursor: pointer; background: #f4f4f4; white-space: normal;
  vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  white-space: normal; overflow-wrap: anywhere; min-width: 8em; }
td.better { color: #0a6b2d; } td.worse { color: #a11; } td.unknown { color: #777; }
img { max-width: 100%; } img.row { min-width: 56em; }
p.small, li { color: #555; }
"""
SCRIPT = """
for (const head of document.querySelectorAll('th')) head.onclick = () => {
  const body = head.closest('table').tBodies[0], place = head.cellIndex;
  const down = head.dataset.down = head.dataset.down === '1' ? '0' : '1';
  const key = row => row.cells[place].dataset.by;
  const order = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  const rows = [...body.rows].sort((a, b) => {
    const one = key(a), other = key(b);
    if (one === '' || other === '') return (one === '') - (other === '');
    return (down === '1' ? -1 : 1) * order(one, other);
  });
  body.append(...rows);
};
"""
CLASSES = {BETTER: "better", WORSE: "worse", UNKNOWN: "unknown"}


def make_page(compared, facts, guide, left_out):
    """Return the report as HTML.

    Arguments
    ---------
    compared : list of tuple
        See ``petl_modules.comparison.rows.summary_rows``.
    facts : str
        What was read, in one line.
    guide : list of str
        How to read the tables.
    left_out : list of str
        Runs and folds that are left out.

    Returns
    -------
    str
    """
    parts = [_tag("h1", "Comparison of runs"), _tag("p", facts)]
    names = names_of([(group, shown(group, one)) for group, one, _ in compared])
    for group, baseline, differences in compared:
        parts += _section(group, baseline, differences, names)
    parts.append(_tag("h2", "How to read the tables"))
    parts.append(_list(guide))
    if left_out:
        parts.append(_tag("h2", "Left out: not finished"))
        parts.append(_list(left_out))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        "<title>Comparison of runs</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _section(group, baseline, differences, names):
    """Return the parts of a group; ``names`` are those of all groups."""
    configurations = shown(group, baseline)
    parts = [
        _tag("h2", group.title),
        _tag(
            "p",
            f"{group.protocol}. {group.metric}: "
            f"{'lower' if group.sign < 0 else 'higher'} is better.",
        ),
        _table(*cells(group, baseline, differences)),
    ]
    if notes := [*paper_notes(group), *notes_of(differences)]:
        parts.append(_list(notes))
    metric = group.metric
    for draw, kind, what in (
        (
            partial(draw_pareto, names=names),
            "row",
            f"{metric} against parameters, memory and time",
        ),
        (draw_folds, "one", f"{metric} of each fold and seed"),
    ):
        stream = io.BytesIO()
        draw(stream, [(group, configurations)])
        content = base64.b64encode(stream.getvalue()).decode()
        text = f"{group.title}: {what}"
        parts.append(
            f'<div class="wide"><img class="{kind}" alt="{_plain(text)}" '
            f'src="data:image/png;base64,{content}"></div>'
        )
    total = len(group.configurations)
    if len(configurations) < total:
        text = f"The pictures show {len(configurations)} of {total} methods."
        parts.append(_tag("p", text))
    return parts


def notes_of(differences):
    """Return what limits the differences of a group, each once."""
    notes = {}
    for name, one in differences.items():
        for note in one.notes:
            notes.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}" for note, names in notes.items()]


def _table(header, rows):
    """Return a table that a click on a column's head sorts."""
    head = "".join(_tag("th", name) for name in header)
    lines = []
    for row in rows:
        line = ""
        for value, text in row:
            by = "" if value is None else value
            mark = CLASSES.get(text, "")
            kind = f' class="{mark}"' if mark else ""
            line += (
                f'<td data-by="{_plain(by)}"{kind}>{_plain(text or "")}</td>'
            )
        lines.append(f"<tr>{line}</tr>")
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _list(lines):
    """Return a list of texts."""
    return f"<ul>\n{''.join(_tag('li', line) for line in lines)}</ul>"


def _tag(name, text):
    return f"<{name}>{_plain(text)}</{name}>"


def _plain(text):
    """Return a text that HTML shows as it is."""
    return html.escape(printable(text))
