"""Tables of a comparison, in Markdown and LaTeX."""

from petl_modules.comparison.published import has_papers, paper_cell
from petl_modules.comparison.rows import difference_values
from petl_modules.exports.cards.markdown import inline
from petl_modules.utils import printable

JUDGED = [
    *("95 % interval", "verdict", "told from", "P better / equal / worse"),
    "bootstrap",
]
MEASURED = {  # title, form and factor of what a fold has cost
    "trainable_parameters": ("parameters", "{:,.0f}", 1),
    "adapter_bytes": ("adapter kB", "{:,.0f}", 1e-3),
    "peak_memory_bytes": ("memory MB", "{:,.0f}", 1e-6),
    "seconds": ("seconds", "{:,.0f}", 1),
}
LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def cells(group, baseline, differences):
    """Return a table of a group: its header, and rows of value and text.

    Arguments
    ---------
    group, baseline, differences
        See ``petl_modules.comparison.rows.summary_rows``.

    Returns
    -------
    header : list of str
    rows : list of list of tuple
        Of each cell what it is sorted by, and its text.
    """
    unit, digits, name = group.unit
    header = ["method", "seeds x folds", f"{group.metric} {name}".strip()]
    papers = has_papers(group)
    header += ["paper"] if papers else []
    if baseline:
        header += [f"difference to {baseline.name}", *JUDGED]
    header += [title for title, _, _ in MEASURED.values()]
    rows = []
    for one in group.configurations:
        mean, spread = one.mean(), one.deviation()
        text = f"{unit * mean:.{digits}f}"
        if spread is not None:
            text += f" ± {unit * spread:.{digits}f}"
        count = f"{one.count('seed')} x {one.count('fold')}"
        row = [(one.name, one.name), (len(one.results), count), (mean, text)]
        row += [paper_cell(one)] if papers else []
        if baseline:
            row += _difference(group, differences.get(one.name), unit, digits)
        for name, (_, form, factor) in MEASURED.items():
            value = one.mean(name)
            known = value is not None
            row.append((value, form.format(factor * value) if known else ""))
        rows.append(row)
    return header, rows


def signed_text(value, digits, sign="+"):
    """Return a number with its sign, but for one that is shown as zero.

    Example
    -------
    >>> signed_text(1.25, 1), signed_text(-1e-9, 2)
    ('+1.2', '0.00')
    """
    value = round(value, digits)
    return f"{value:{sign}.{digits}f}" if value else f"{0:.{digits}f}"


def _difference(group, one, unit, digits):
    """Return the cells of a difference."""
    if one is None:
        return [(None, ""), (None, ""), ("", "baseline"), *[(None, "")] * 3]
    found = difference_values(group, one)

    def signed(value, sign="+"):
        return "" if value is None else signed_text(unit * value, digits, sign)

    def ends(low, high):
        return low, low is not None and f"{signed(low)} to {signed(high)}"

    chances = [found[f"p_{name}"] for name in ("better", "equal", "worse")]
    text = None not in chances and " / ".join(f"{p:.2f}" for p in chances)
    return [
        (one.mean, signed(one.mean)),
        ends(found["low"], found["high"]),
        (one.verdict, one.verdict),
        (one.least, signed(one.least, "")),
        (chances[0], text),
        ends(found["bootstrap_low"], found["bootstrap_high"]),
    ]


def latex(text):
    """Return a text that LaTeX shows as it is.

    Example
    -------
    >>> print(latex("lora-at=[query] & 5 %_"))
    lora-at=[query] \\& 5 \\%\\_
    """
    return "".join(LATEX.get(c, c) for c in printable(text))


def markdown_table(header, rows):
    """Return the table of ``cells`` in Markdown."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    shown = [map(inline, header), lines[1]]
    shown += [[inline(text or "") for _, text in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)


def latex_table(header, rows):
    """Return the table of ``cells`` in LaTeX, which needs no package."""
    shown = [header, *([text or "" for _, text in row] for row in rows)]
    lines = [" & ".join(map(latex, row)) + r" \\" for row in shown]
    lines = [line.replace("±", r"$\pm$") for line in lines]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\hline",
            lines[0],
            r"\hline",
            *lines[1:],
            r"\hline",
            r"\end{tabular}",
        ]
    )
