"""What a search has found, by validation: tables, a picture, best values."""

import math
import statistics

from petl_modules.runs.plots import new_figure
from petl_modules.runs.report import COSTS
from petl_modules.runs.yaml_text import dump_yaml
from petl_modules.sweeps.states import DONE
from petl_modules.utils import printable, write_csv, write_text

BEST = 5  # trials of a combination that are shown
TALLEST = 40  # combinations in the picture
HEAD = """\
# The best values of each combination, by validation. Under 'set' of a sweep file
# without 'search', with another output_folder and other seeds, they are tested.
"""


def write_report(folder, trials):
    """Write what a search has found.

    Arguments
    ---------
    folder : pathlib.Path
        Where ``trials.csv``, ``trials.png`` and ``best.yaml`` go.
    trials : list of petl_modules.sweeps.trials.Trial
        All trials.

    Returns
    -------
    str
        The best trials of each combination, as lines.
    """
    groups = {}
    for trial in trials:
        groups.setdefault(title_of(trial), []).append(trial)
    write_csv(folder / "trials.csv", _rows(groups))
    ranked = {title: rank(own) for title, own in groups.items()}
    ranked = {title: own for title, own in ranked.items() if own}
    if not ranked:
        return "no trial has finished"
    best = {}
    for first, *_ in ranked.values():
        others = {k: t for k, t in first.combination.items() if k != "method"}
        texts = {key: _number(text) for key, text in first.texts.items()}
        place = ", ".join(_named(others))
        best.setdefault(place, {})[first.combination["method"]] = texts
    write_text(folder / "best.yaml", HEAD + dump_yaml(best))
    draw_trials(folder / "trials.png", ranked)
    lines = []
    for title, own in ranked.items():
        lines.append(f"{title}: the best of {len(groups[title])} trials")
        lines += [f"  {_reached(trial)}" for trial in own[:BEST]]
    return "\n".join([*lines, f"values, table and picture: {folder}"])


def rank(trials):
    """Return the trials that are done, the best first, by validation."""
    done = [trial for trial in trials if trial.state == DONE]
    sign = -1 if done and done[0].cells[0].metric[1] == "max" else 1
    return sorted(done, key=lambda trial: sign * trial.mean)


def trial_line(trial):
    """Return what has become of a trial, as a line."""
    return f"{title_of(trial)}: {_reached(trial)}"


def title_of(trial):
    """Return a trial's combination as a text."""
    return ", ".join(_named(trial.combination))


def _named(texts):
    """Return texts, with their keys where these do not go without saying."""
    plain = ("dataset", "method", "base", "backbone")
    return [t if k in plain else f"{k}: {t}" for k, t in texts.items()]


def _reached(trial):
    """Return the values of a trial and what it has reached."""
    values = ", ".join(f"{key}={text}" for key, text in trial.texts.items())
    if trial.state != DONE:
        return f"{values}: {trial.state}"
    name, _ = trial.cells[0].metric
    unit, digits, sign = (1, 4, "") if name in COSTS else (100, 2, " %")
    text = f"{unit * trial.mean:.{digits}f}"
    if (spread := _deviation(trial)) is not None:
        text += f" ± {unit * spread:.{digits}f}"
    return f"{values}: validation {name} {text}{sign}"


def _deviation(trial):
    """Return the population standard deviation; one fold alone has none."""
    return statistics.pstdev(trial.scores) if len(trial.scores) > 1 else None


def _rows(groups):
    """Return the rows of ``trials.csv``."""
    return [
        {
            **trial.combination,
            "trial": number,
            **trial.texts,
            "state": trial.state,
            "metric": f"valid_{trial.cells[0].metric[0]}",
            "validation": trial.mean if trial.scores else None,
            "validation_std": _deviation(trial),
            "folds": len(trial.scores),
        }
        for own in groups.values()
        for number, trial in enumerate(own, 1)
    ]


def _number(text):
    """Return a searched value as YAML writes it: a number."""
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def draw_trials(path, ranked):
    """Draw validation against each searched key.

    Arguments
    ---------
    path : pathlib.Path or io.BytesIO
        Where the PNG image goes.
    ranked : dict
        Trials that are done by their combination's title, the best first.
    """
    rows = [*ranked.items()][:TALLEST]
    keys = [*rows[0][1][0].texts]
    figure = new_figure(3.6 * len(keys), 3 * len(rows))
    table = figure.subplots(len(rows), len(keys), squeeze=False)
    for panels, (title, own) in zip(table, rows):
        name, _ = own[0].cells[0].metric
        for axes, key in zip(panels, keys):
            places = [trial.values[key] for trial in own]
            means = [trial.mean for trial in own]
            axes.plot(places, means, "o", color="C0", alpha=0.6)
            axes.plot(places[:1], means[:1], "D", color="C3", label="best")
            if min(places) > 0 and math.log10(max(places) / min(places)) > 1:
                axes.set_xscale("log")
            axes.set_xlabel(printable(key).replace("$", r"\$"))
            axes.set_ylabel(f"validation {name}")
            axes.set_title(printable(title).replace("$", r"\$"), fontsize=9)
            axes.grid(alpha=0.3)
    table[0][0].legend()
    figure.savefig(path, dpi=150)
