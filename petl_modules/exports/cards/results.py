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
    fold, folds = about.get("fold"), about.get("folds")
    held = HELD.get(fold) or f"This model is that of {inline(fold)}."
    if said := about.get("combined"):
        return [
            "This model is a weighted sum of what others have learnt: "
            f"{inline(said)} (run/fold). **It has no test result.** Whether it "
            "is as good as they are is not known."
        ]
    if not folds:
        return ["No results are known."]
    protocol = about.get("protocol") or (
        "The run was not finished when this was written; its protocol is not "
        "known"
    )
    return [f"{inline(protocol)}.", _table(about, folds), held]


def _table(about, folds):
    """Return the table of the folds, and their mean."""
    form = "{:.4f}" if about["metric"]["name"] in COSTS else "{:.2%}"
    name = inline(about["metric"]["name"])

    def cell(value):
        return "-" if value is None else form.format(value)

    lines = [f"| fold | validation {name} | test {name} |", "|---|---:|---:|"]
    for fold in folds:
        mark = " (this model)" if fold["fold"] == about.get("fold") else ""
        cells = cell(fold["valid"]), cell(fold["test"])
        lines.append(
            f"| {inline(fold['fold'])}{mark} | {cells[0]} | {cells[1]} |"
        )
    tests = [fold["test"] for fold in folds]
    if len(tests) > 1:
        mean, deviation = statistics.fmean(tests), statistics.pstdev(tests)
        text = f"{cell(mean)} ± {cell(deviation)}"
        lines.append(f"| mean ± standard deviation | | {text} |")
        best = (min if about["metric"]["mode"] == "min" else max)(tests)
        lines.append(f"| best | | {cell(best)} |")
    return "\n".join(lines)
