"""Write a miniature of a dataset."""

import json
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from petl_modules.miniatures.layouts import LAYOUTS
from petl_modules.utils import build_folder, is_taken, write_json, write_text

VERSION = 2  # raise it when the same seed gives other sounds
MARKER = "generated.json"


def write_miniature(dataset, folder, seed=0, **sizes):
    """Write generated sounds in the layout of a dataset.

    The folder is written atomically: complete or not at all. A folder that
    holds the same miniature already is kept.

    Arguments
    ---------
    dataset : str
        A key of ``LAYOUTS``: the name of a recipe's folder.
    folder : str or pathlib.Path
        Where the dataset's files go.
    seed : int
        Seed of sounds and speakers.
    **sizes : int
        Arguments of the layout's function.

    Returns
    -------
    folder : pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds anything else, or lacks a file.
    """
    folder = Path(folder)
    if dataset not in LAYOUTS:
        raise ValueError(
            f"no miniature '{dataset}'; there are: {', '.join(LAYOUTS)}"
        )
    plan = LAYOUTS[dataset](seed, **sizes)
    made = {"by": "petl_modules.miniatures", "version": VERSION}
    made.update(dataset=dataset, seed=seed, **sizes)
    if is_taken(folder):
        _check(folder, plan, made)
    else:
        build_folder(folder, lambda whole: _write(whole, plan, made))
    return folder


def draw(plan, path, seed):
    """Synthesise one file of a miniature.

    Arguments
    ---------
    plan : petl_modules.miniatures.plan.Plan
        The miniature.
    path : str
        A key of its sounds.
    seed : int
        The miniature's seed.

    Returns
    -------
    samples : numpy.ndarray
        Mean 0, peak between 0.08 and 0.9.
    """
    place = [*plan.sounds].index(path)
    _, sound = plan.sounds[path]
    return sound(rng=np.random.default_rng((seed, 30, place)))


def _write(folder, plan, made):
    """Write sounds and tables, and ``made`` with the file sizes as JSON."""
    sizes = {}
    bar = tqdm(
        plan.sounds.items(),
        made["dataset"],
        unit="clip",
        leave=False,
        disable=None,  # where the output is no terminal
    )
    for path, (rate, _) in bar:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        samples = draw(plan, path, made["seed"])
        soundfile.write(file, samples, rate, subtype="PCM_16")
        sizes[path] = file.stat().st_size
    for path, text in plan.texts.items():
        write_text(folder / path, text)
    write_json(folder / MARKER, {**made, "bytes": sizes})


def _check(folder, plan, made):
    """Check that ``folder`` holds the miniature that ``made`` describes."""
    remedy = "remove the folder or choose another one"
    try:
        found = json.loads((folder / MARKER).read_text("utf-8"))
        sizes = found.pop("bytes")
    except (OSError, ValueError, KeyError, AttributeError):
        raise FileExistsError(
            f"{folder} is no folder of generated sounds (it has no readable "
            f"{MARKER}) and is not overwritten; {remedy}"
        ) from None
    if found != made or [*sizes] != [*plan.sounds]:
        raise FileExistsError(
            f"{folder} holds other generated sounds: {found}, "
            f"wanted {made}; {remedy}"
        )
    bad = [path for path in sizes if _size(folder / path) != sizes[path]]
    for path, text in plan.texts.items():
        file = folder / path
        if not file.is_file() or file.read_text("utf-8") != text:
            bad.append(path)
    if bad:
        raise FileExistsError(
            f"{folder} has {len(bad)} files missing or changed: "
            f"{', '.join(bad[:5])}; {remedy}"
        )


def _size(path):
    """Return a file's size in bytes; None if it is missing."""
    return path.stat().st_size if path.is_file() else None
