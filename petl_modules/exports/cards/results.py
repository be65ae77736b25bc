"""The section of a model card about protocol and results."""

import statistics

from petl_modules.exports.cards.markdown import inline
from petl_modules.runs.report import COSTS

HELD = {
    "all": (
        "This model is the mean of the logits of all its folds. **It has no "
        "test result**: the test clips of every fold were trained on by the "
        "others."
    ),
    "average": (
        "This model is the mean of the weights of all its folds. **It has no "
        "test result**: the test clips of every fold were trained on by the "
        "others. Whether it is as good as its folds is not known."
    ),
}


def results_section(about):
    """Return the paragraphs about protocol and results.

    Arguments
    ---------
    about : dict
        See ``petl_modules.inference.facts.results_of``.

    Returns
    -------
    list of str
        Markdown.
    """
    held = HELD.get(about["fold"]) or f"This model is that of {about['fold']}."
    folds = about["folds"]
    if said := about.get("combined"):
        return [
            f"This model is a weighted sum of what others have learnt: `{said}`"
            " (run/fold). **It has no test result.** Whether it is as good as "
            "they are is not known."
        ]
    if not folds:
        return ["No results are known."]
    protocol = about["protocol"] or (
        "The run was not finished when this was written; its protocol is not "
        "known"
    )
    return [f"{inline(protocol)}.", _table(about, folds), held]


def _table(about, folds):
    """Return the table of the folds, and their mean."""
    name = about["metric"]["name"]
    form = "{:.4f}" if name in COSTS else "{:.2%}"

    def cell(value):
        return "-" if value is None else form.format(value)

    lines = [f"| fold | validation {name} | test {name} |", "|---|---:|---:|"]
    for fold in folds:
        mark = " (this model)" if fold["fold"] == about["fold"] else ""
        cells = cell(fold["valid"]), cell(fold["test"])
        lines.append(f"| {fold['fold']}{mark} | {cells[0]} | {cells[1]} |")
    tests = [fold["test"] for fold in folds]
    if len(tests) > 1:
        mean, deviation = statistics.fmean(tests), statistics.pstdev(tests)
        text = f"{cell(mean)} ± {cell(deviation)}"
        lines.append(f"| mean ± standard deviation | | {text} |")
        best = (min if about["metric"]["mode"] == "min" else max)(tests)
        lines.append(f"| best | | {cell(best)} |")
    return "\n".join(lines)
