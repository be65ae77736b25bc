"""Compare runs: read, judge, and write a folder of tables and pictures."""

from pathlib import Path

from petl_modules.comparison.clusters import NOT_FOUND, find_clusters
from petl_modules.comparison.corrected_t import LEVEL
from petl_modules.comparison.differences import Comparer, find_baseline
from petl_modules.comparison.finding import find_runs
from petl_modules.comparison.groups import group_results
from petl_modules.comparison.page import make_page, notes_of
from petl_modules.comparison.pictures import draw_folds, draw_pareto, shown
from petl_modules.comparison.published import (
    paper_notes,
    put_beside,
    read_published,
)
from petl_modules.comparison.results import MANY, read_results
from petl_modules.comparison.rows import (
    difference_rows,
    run_rows,
    summary_rows,
)
from petl_modules.comparison.tables import (
    cells,
    latex,
    latex_table,
    markdown_table,
)
from petl_modules.exports.cards.markdown import inline
from petl_modules.runs.logs import progress_bar
from petl_modules.utils import (
    UserError,
    build_folder,
    require_new_folder,
    write_csv,
    write_text,
)

PAGE = "comparison.html"


def compare(places, out, baseline=None, margin=0.01, published=None):
    """Compare the runs below some folders.

    Arguments
    ---------
    places : list of str
        Folders of runs, or above them.
    out : str or pathlib.Path
        A new folder for tables, pictures and the page.
    baseline : str or None
        A method, or one of its configurations: the others are compared with
        it. None: there are no differences.
    margin : float
        Differences of the metric within it count as equal.
    published : str or pathlib.Path or None
        Papers' numbers to show beside, see ``read_published``.

    Returns
    -------
    compared : list of tuple
        See ``petl_modules.comparison.rows.summary_rows``.
    results : petl_modules.comparison.results.Results
        What was read.

    Raises
    ------
    FileExistsError
        The folder is not empty.
    UserError
        There are no results, or they cannot be compared.
    """
    out = Path(out)
    require_new_folder(out)
    results = read_results(find_runs(places))
    groups = group_results(results)
    if published is not None:
        groups = put_beside(groups, read_published(published))
    compared = judge(groups, baseline, margin)

    def build(folder):
        folder.mkdir()
        _write(folder, compared, results, baseline, margin)

    build_folder(out, build)
    return compared, results


def judge(groups, baseline, margin):
    """Return groups with their baseline and differences.

    Arguments
    ---------
    groups : list of petl_modules.comparison.groups.Group
        The groups.
    baseline, margin
        See ``compare``.

    Returns
    -------
    list of tuple
        See ``petl_modules.comparison.rows.summary_rows``.

    Raises
    ------
    UserError
        No group has the baseline, or one has several of that method.
    """
    if baseline is None:
        return [(group, None, {}) for group in groups]
    found = [find_baseline(group, baseline) for group in groups]
    if not any(found):
        methods = {c.method for group in groups for c in group.configurations}
        raise UserError(
            f"no finished run of the baseline '{baseline}'; there are: "
            f"{', '.join(sorted(methods))}"
        )
    compared, known = [], {}

    def clusters(run):
        if run.data not in known:
            known[run.data] = find_clusters(Path(run.folder), run.data)
        return known[run.data] if run.data else NOT_FOUND

    for group, base in zip(groups, found):
        differences = {}
        if base is not None:
            comparer = Comparer(group, base, margin, clusters)
            others = [c for c in group.configurations if c is not base]
            differences = {
                one.name: comparer.compare(one)
                for one in progress_bar(
                    others, unit="method", disable=len(others) <= MANY
                )
            }
        compared.append((group, base, differences))
    return compared


def _write(folder, compared, results, baseline, margin):
    """Write all files of a comparison."""
    write_csv(folder / "runs.csv", run_rows(results))
    write_csv(folder / "table.csv", summary_rows(compared))
    if rows := difference_rows(compared):
        write_csv(folder / "differences.csv", rows)
    facts = facts_of(results, compared)
    guide = guide_of(baseline, margin)
    write_text(folder / "table.md", _markdown(compared, facts, guide))
    write_text(folder / "table.tex", _latex(compared))
    rows = [(group, shown(group, base)) for group, base, _ in compared]
    draw_pareto(folder / "pareto.png", rows)
    draw_folds(folder / "folds.png", rows)
    left_out = results.unfinished
    page = make_page(compared, facts, guide, left_out)
    write_text(folder / PAGE, page)


def facts_of(results, compared):
    """Return what was read, in one line."""
    runs = {result.run.folder for result in results.folds}
    text = (
        f"{len(results.folds)} folds of {len(runs)} runs; groups of one data "
        f"set, encoder and protocol: {len(compared)}."
    )
    if results.unfinished:
        text += f" Left out, as not finished: {len(results.unfinished)}."
    return text


def guide_of(baseline, margin):
    """Return how to read the tables, as sentences."""
    lines = [
        "± is the population standard deviation over folds, seeds and draws, "
        "as in a run's own summary; parameters, seconds and memory are means "
        "of a fold. Memory is that of tensors on a GPU, and that of the whole "
        "process on a CPU. An empty cell was not recorded.",
        "Groups stand alone: nothing is claimed over several data sets.",
    ]
    if baseline is None:
        return [*lines, "--baseline METHOD adds differences to one method."]
    return [
        *lines,
        f"The {LEVEL:.0%} interval is that of the corrected resampled t-test "
        "(Nadeau and Bengio 2003) over pairs of the same fold, seed and draw, "
        "with n_test / n_train from the numbers of clips that each fold's "
        "result.json has.",
        f"The bootstrap ({LEVEL:.0%} interval) draws speakers, recordings or "
        "clips of the test part, and seeds. With one seed it does not know the "
        "chance of training; with one fold the t-test does not know that of the test clips.",
        f"Equal is a difference of up to ±{margin:g} of the metric (--margin "
        f"{100 * margin:g}, in points). "
        "P are posterior probabilities of the t-test's model. The verdict is "
        "better, equal or worse if all of each interval says so; else it "
        'cannot be told from these runs. "Told from" is the smallest mean '
        "difference that the t-test would tell.",
        "Each method is judged by itself: of 20 that are as good as the "
        "baseline, the intervals of one leave out zero.",
    ]


def _markdown(compared, facts, guide):
    """Return ``table.md``."""
    parts = ["# Comparison of runs", facts]
    for group, baseline, differences in compared:
        better = "lower" if group.sign < 0 else "higher"
        parts.append(f"## {inline(group.title)}")
        parts.append(
            f"{inline(group.protocol)}. {inline(group.metric)}: {better} is "
            "better."
        )
        parts.append(markdown_table(*cells(group, baseline, differences)))
        notes = _bullets([*paper_notes(group), *notes_of(differences)])
        parts += ["\n".join(notes)] if notes else []
    parts.append("\n".join(["## How to read the tables\n", *_bullets(guide)]))
    return "\n\n".join(parts) + "\n"


def _bullets(lines):
    return [f"- {inline(line)}" for line in lines]


def _latex(compared):
    """Return ``table.tex``: a tabular for each group."""
    parts = []
    for group, baseline, differences in compared:
        title = latex(f"{group.title}: {group.protocol}").replace("\n", " ")
        parts.append(f"% {title}")
        parts.append(latex_table(*cells(group, baseline, differences)))
    return "\n\n".join(parts) + "\n"
