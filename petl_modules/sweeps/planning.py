"""Plan a sweep: its cells, with every mistake found before anything runs."""

import hashlib
from pathlib import Path

from petl_modules.runs.logs import progress_bar
from petl_modules.sweeps.cell import Cell
from petl_modules.sweeps.composition import compose_for
from petl_modules.sweeps.points import KNOWN, points_of
from petl_modules.sweeps.values import folder_part
from petl_modules.utils import HparamsError, UserError, listed

MOST = 20  # mistakes that are named
FEW = 10  # combinations that are checked without a bar
SHOWN = 5  # combinations that are named beside one of them


def plan_cells(sweep):
    """Return the cells of a sweep.

    Each combination of data set, method and base is composed once.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Returns
    -------
    list of petl_modules.sweeps.Cell
        Run by run, in the order of the grid.

    Raises
    ------
    HparamsError
        The file has mistakes; names them all.
    """
    points = points_of(sweep)
    # Before there are trials, a search is checked by its grid and its ends
    checked = points or points_of(sweep._replace(search={}))
    compositions = _compose(sweep, checked)
    cells, taken = [], {}
    for point in points:
        composition = compositions[_kind(point)]
        given = {k: v for k, v in point.items() if k not in ("dataset", "base")}
        method = given.pop("method")
        others = {k: v for k, v in given.items() if k not in KNOWN}
        backbone = composition.backbone_of(point)
        folder = Path(
            sweep.output_folder,
            composition.name,
            backbone,
            folder_part(method, others),
            folder_part(_seed(point, composition), {}),
        )
        place = str(folder).casefold()  # as some file systems see it
        if place in taken:
            _refuse_shared(sweep.file, folder, taken[place], point)
        taken[place] = point
        options = {**composition.options, **given}
        draws = others.get("few_shot_draws")
        draws = draws or composition.settings.get("few_shot_draws", 1)
        whole = Cell(
            dataset=composition.name,
            backbone=backbone,
            method=method,
            script=composition.script,
            file=composition.file,
            options=options,
            folder=str(folder),
            directory=str(sweep.file.parent),
            draws=int(draws),
            archives=sweep.stage.get(point["dataset"], ()),
            preparation=_digest(composition.preparation),
            metric=_metric(composition.settings),
        )
        folds = composition.folds_of(point)
        cells += [whole._replace(fold=fold) for fold in folds or [None]]
    return cells


def _kind(point):
    """Return what a composition is of."""
    return point["dataset"], point["method"], point.get("base")


def _compose(sweep, points):
    """Return the compositions of all points, by kind."""
    values = {}
    for point in points:
        found = values.setdefault(_kind(point), {})
        for key, text in point.items():
            if key not in ("dataset", "method", "base"):
                found.setdefault(key, {})[text] = None
        for key, ends in sweep.search.items():
            found.setdefault(key, {}).update(dict.fromkeys(ends.ends))
    compositions, mistakes = {}, {}
    few = len(values) <= FEW
    for kind, found in progress_bar(
        values.items(), desc="checking", unit="method", disable=few
    ):
        texts = {key: [*one] for key, one in found.items()}
        try:
            compositions[kind] = compose_for(sweep, kind, texts)
        except UserError as error:
            for text in error.args:
                mistakes.setdefault(text, []).append(kind)
    if mistakes:
        lines = [
            f"{_shared(kinds, [*values])}: {text}"
            for text, kinds in mistakes.items()
        ]
        raise HparamsError(f"{sweep.file} has mistakes:\n{listed(lines, MOST)}")
    return compositions


def _shared(kinds, every):
    """Return in few words which of all kinds have a mistake.

    Example
    -------
    >>> every = [(d, m, None) for d in ("ESC50", "GSC") for m in ("lora", "ssf")]
    >>> _shared(every, every), _shared(every[:2], every), _shared(every[1::2], every)
    ('all', 'ESC50', 'ssf')
    >>> _shared(every[1:3], every)
    'ESC50, ssf; GSC, lora'
    """
    if len(kinds) == len(every):
        return "all"
    for part in (0, 1):  # all kinds of some data sets, or of some methods
        names = dict.fromkeys(kind[part] for kind in kinds)
        if sum(kind[part] in names for kind in every) == len(kinds):
            return ", ".join(names)
    shown = [", ".join(filter(None, kind)) for kind in kinds[:SHOWN]]
    if len(kinds) > SHOWN:
        shown.append(f"{len(kinds) - SHOWN} more")
    return "; ".join(shown)


def _seed(point, composition):
    return point.get("seed") or str(composition.settings["seed"])


def _metric(settings):
    """Return the name and the mode of the metric that selects an epoch."""
    best = settings["best_metric"]
    return best["name"], best["mode"]


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse_shared(file, folder, one, other):
    """Raise the error of two runs of a grid that would share a folder."""
    differing = [key for key in one if one[key] != other[key]]
    texts = [
        ", ".join(f"{key}: {point[key]}" for key in differing)
        for point in (one, other)
    ]
    raise HparamsError(
        f"{file}: two runs would share the folder {folder}: {texts[0]}; and "
        f"{texts[1]}. Name results of one of them in a sweep file of its own, "
        "with another output_folder"
    )
