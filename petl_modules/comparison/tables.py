"""Tables of a comparison: CSV, Markdown and LaTeX."""

from petl_modules.comparison.groups import grid_keys
from petl_modules.exports.cards.markdown import inline
from petl_modules.utils import printable

FIXED = (
    *("run", "dataset", "backbone", "method", "seed", "fold", "draw"),
    *("metric", "value"),
)
RECORDED = (
    *("trainable_parameters", "petl_parameters", "total_parameters"),
    *("adapter_bytes", "seconds", "epochs", "best_epoch", "train_clips"),
    *("test_clips", "peak_memory_bytes", "device", "processes", "commit"),
    "versions",
)
LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def run_rows(results):
    """Return the rows of ``runs.csv``, one a run and a fold.

    Arguments
    ---------
    results : petl_modules.comparison.results.Results
        What was read.

    Returns
    -------
    list of dict
        What is not recorded is None.
    """
    keys = grid_keys(results)
    taken = {*FIXED, *RECORDED, "protocol"}
    columns = {key: f"{key} (key)" if key in taken else key for key in keys}
    rows = []
    for one in results.folds:
        run = one.run
        values = {
            name: results.settings.value(run.kind, run.settings, key)
            for key, name in columns.items()
        }
        known = (run.folder, run.dataset, run.backbone, run.method, run.seed)
        measured = (one.fold, one.draw, run.metric, one.value)
        rows.append(
            {
                **dict(zip(FIXED[:4], known)),
                **values,
                **dict(zip(FIXED[4:], (run.seed, *measured))),
                **{name: getattr(one, name) for name in RECORDED},
                "protocol": run.protocol,
            }
        )
    return rows


def summary_rows(compared):
    """Return the rows of ``table.csv``, one a configuration.

    Arguments
    ---------
    compared : list of tuple
        A group, its baseline or None, and its differences by name.

    Returns
    -------
    list of dict
    """
    return [
        {
            "dataset": group.dataset,
            "backbone": group.backbone,
            "method": one.method,
            "configuration": one.name,
            "seeds": one.count("seed"),
            "folds": one.count("fold"),
            "draws": one.count("draw"),
            "metric": group.metric,
            "mean": one.mean(),
            "std": one.deviation(),
            **{
                name: one.mean(name)
                for name in (
                    *("trainable_parameters", "petl_parameters"),
                    *("adapter_bytes", "seconds", "peak_memory_bytes"),
                )
            },
            **difference_values(group, differences.get(one.name)),
            "protocol": group.protocol,
        }
        for group, _, differences in compared
        for one in group.configurations
    ]


def difference_rows(compared):
    """Return the rows of ``differences.csv``; see ``summary_rows``."""
    return [
        {
            "dataset": group.dataset,
            "backbone": group.backbone,
            "configuration": name,
            **difference_values(group, one),
            "n_test / n_train": one.ratio,
            "bootstrap of": one.clusters,
            "notes": "; ".join(one.notes),
            "protocol": group.protocol,
        }
        for group, _, differences in compared
        for name, one in differences.items()
    ]


def difference_values(group, one):
    """Return a difference as values by column; None where there is none.

    The difference is that of the metric: below 0 is better where a lower
    metric is. So are the intervals.
    """
    judged = one.judged if one else None
    low, high = interval(group, judged and (judged.low, judged.high))
    drawn = interval(group, one.drawn if one else None)
    return {
        "baseline": one.baseline if one else None,
        "pairs": one.pairs if one else None,
        "difference": one.mean if one else None,
        **{"low": low, "high": high},
        **{"bootstrap_low": drawn[0], "bootstrap_high": drawn[1]},
        **{
            name: getattr(judged, name) if judged else None
            for name in ("p_value", "p_better", "p_equal", "p_worse")
        },
        "verdict": one.verdict if one else None,
    }


def interval(group, ends):
    """Return an interval of gains as one of the metric's differences."""
    if not ends:
        return None, None
    return ends if group.sign > 0 else (-ends[1], -ends[0])


def cells(group, baseline, differences):
    """Return a table of a group: its header, and rows of value and text.

    Arguments
    ---------
    group, baseline, differences
        See ``summary_rows``.

    Returns
    -------
    header : list of str
    rows : list of list of tuple
        Of each cell what it is sorted by, and its text.
    """
    unit, digits, name = group.unit
    header = [
        "method",
        "seeds x folds",
        f"{group.metric} {name}".strip(),
        "parameters",
        "adapter MB",
        "memory MB",
        "seconds",
    ]
    if baseline:
        header += [
            f"difference to {baseline.name}",
            "95 % interval",
            "bootstrap",
            "P better / equal / worse",
            "verdict",
        ]
    rows = []
    for one in group.configurations:
        mean, spread = one.mean(), one.deviation()
        text = f"{unit * mean:.{digits}f}"
        if spread is not None:
            text += f" ± {unit * spread:.{digits}f}"
        count = f"{one.count('seed')} x {one.count('fold')}"
        row = [(one.name, one.name), (len(one.results), count), (mean, text)]
        for name, form, factor in (
            ("trainable_parameters", "{:,.0f}", 1),
            ("adapter_bytes", "{:.2f}", 1e-6),
            ("peak_memory_bytes", "{:,.0f}", 1e-6),
            ("seconds", "{:,.0f}", 1),
        ):
            value = one.mean(name)
            known = value is not None
            row.append((value, form.format(factor * value) if known else ""))
        if baseline:
            row += _difference(group, differences.get(one.name), unit, digits)
        rows.append(row)
    return header, rows


def _difference(group, one, unit, digits):
    """Return the cells of a difference."""
    if one is None:
        return [(None, "")] * 4 + [("", "baseline")]
    found = difference_values(group, one)

    def signed(value):
        return "" if value is None else f"{unit * value:+.{digits}f}"

    def ends(low, high):
        return (low, low is not None and f"{signed(low)} to {signed(high)}")

    chances = [found[f"p_{name}"] for name in ("better", "equal", "worse")]
    known = None not in chances
    return [
        (one.mean, signed(one.mean)),
        ends(found["low"], found["high"]),
        ends(found["bootstrap_low"], found["bootstrap_high"]),
        (
            chances[0],
            known and " / ".join(f"{chance:.2f}" for chance in chances),
        ),
        (one.verdict, one.verdict),
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
