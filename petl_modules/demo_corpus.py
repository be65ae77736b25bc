"""A small corpus of generated sounds in the layout of ESC-50.

Authors
 * The PETL audio recipes team 2026
"""

import csv
import io
import json
from pathlib import Path

import numpy as np
import soundfile

from petl_modules.files import build_folder, is_taken, write_json, write_text
from petl_modules.synthesis import CLASSES, RATE, SAMPLES, VERSION, synthesize

COLUMNS = "filename,fold,target,category,esc10,src_file,take".split(",")
WAV_BYTES = 44 + 2 * SAMPLES
MARKER = "generated.json"


def write_corpus(folder, seed=0, takes=3):
    """Write generated sounds of ten classes and five folds like ESC-50.

    The folder appears whole or not at all. If it is there already and
    holds this very corpus, it is left as it is.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where ``meta/esc50.csv`` and ``audio/`` go.
    seed : int
        Another seed gives other sounds.
    takes : int
        Clips of each class in each fold, 1 to 26. They count as takes of one
        recording, so a recording never spans two folds.

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
    if not 1 <= takes <= 26:
        raise ValueError(f"takes is {takes}; choose a number from 1 to 26")
    made = {"by": "petl_modules.synthesis", "version": VERSION}
    made.update(seed=seed, takes=takes)
    if is_taken(folder):
        _check(folder, made)
    else:
        build_folder(folder, lambda whole: _write(whole, made))
    return folder


def _write(folder, made):
    """Write table, sounds and the note of how they were ``made``."""
    rows = _rows(made["takes"])
    (folder / "audio").mkdir(parents=True)
    for row in rows:
        take = ord(row["take"]) - ord("A")
        key = (made["seed"], row["target"], row["fold"], take)
        rng = np.random.default_rng(np.random.SeedSequence(key))
        samples = synthesize(row["category"], rng)
        path = folder / "audio" / row["filename"]
        soundfile.write(path, samples, RATE, subtype="PCM_16")
    write_text(folder / "meta" / "esc50.csv", _csv(rows))
    write_json(folder / MARKER, made)


def _rows(takes):
    """The rows of ``esc50.csv``, in the order of their file names."""
    rows = []
    for category, (target, _) in CLASSES.items():
        for fold in range(1, 6):
            source = 100000 + 10 * target + fold
            for take in map(chr, range(ord("A"), ord("A") + takes)):
                name = f"{fold}-{source}-{take}-{target}.wav"
                values = (name, fold, target, category, True, source, take)
                rows.append(dict(zip(COLUMNS, values)))
    return sorted(rows, key=lambda row: row["filename"])


def _csv(rows):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _check(folder, made):
    """Raise unless ``folder`` is the complete corpus described by ``made``."""
    remedy = "remove the folder or choose another one"
    try:
        found = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        raise FileExistsError(
            f"{folder} is no folder of generated sounds (it has no readable "
            f"{MARKER}) and is not overwritten; {remedy}"
        ) from None
    if found != made:
        raise FileExistsError(
            f"{folder} holds other generated sounds: {found}, "
            f"wanted {made}; {remedy}"
        )
    rows = _rows(made["takes"])
    sounds = [folder / "audio" / row["filename"] for row in rows]
    bad = [path.name for path in sounds if _size(path) != WAV_BYTES]
    table = folder / "meta" / "esc50.csv"
    if not table.is_file() or table.read_text("utf-8") != _csv(rows):
        bad.append(table.name)
    if bad:
        raise FileExistsError(
            f"{folder} has {len(bad)} files missing or changed: "
            f"{', '.join(bad)}; {remedy}"
        )


def _size(path):
    return path.stat().st_size if path.is_file() else None
