"""Check a dataset's counts and audio, and write its manifest."""

import os
from collections import Counter
from pathlib import Path

from speechbrain.utils.logger import get_logger

from petl_modules.data import UsedPart, check_audio
from petl_modules.data.levels import odd_classes
from petl_modules.data.prepare.chance_folds import make_folds
from petl_modules.data.prepare.duplicates import check_duplicates
from petl_modules.data.prepare.manifest import (
    bad_audio_path,
    manifest_path,
    read_manifest,
    read_remarks,
    read_skipped,
    write_manifest,
)
from petl_modules.data.prepare.names import appearance
from petl_modules.utils import AudioError, DataError, listed, show

logger = get_logger(__name__)


def absolute(data_folder):
    """Return a folder's absolute path, without resolving links."""
    return Path(os.path.abspath(data_folder))


def check_counts(name, counts, expected, allow_partial):
    """Compare counts with the full dataset's, or print the counts of a subset.

    Arguments
    ---------
    name : str
        The dataset.
    counts : dict
        A number, or a dict of numbers, by what is counted.
    expected : dict
        The full dataset's counts, for some or all keys of ``counts``.
    allow_partial : bool
        Print the counts and do not compare them.

    Raises
    ------
    DataError
        If the counts differ.

    Example
    -------
    >>> check_counts("Set", {"clips": 3, "parts": {"a": 1, "b": 2}}, {}, True)
    A part of Set: 3 clips; parts a: 1, b: 2
    """
    if allow_partial:
        show(f"A part of {name}: {_as_text(counts)}")
        return
    found, wanted = {}, {}
    for what, number in expected.items():
        if isinstance(number, dict):  # report only the entries that differ
            keys = {**number, **counts[what]}
            pairs = {
                k: (counts[what].get(k, 0), number.get(k, 0)) for k in keys
            }
            pairs = {k: pair for k, pair in pairs.items() if pair[0] != pair[1]}
            found[what] = {k: pair[0] for k, pair in pairs.items()}
            wanted[what] = {k: pair[1] for k, pair in pairs.items()}
        elif counts[what] != number:
            found[what], wanted[what] = counts[what], number
    if any(wanted.values()):
        raise DataError(
            f"{name} does not hold the whole dataset. Found: {_as_text(found)}. "
            f"Expected: {_as_text(wanted)}. Fetch it again, or give "
            "--allow_partial True to use a subset."
        )


def _as_text(counts):
    """Return counts as text; of a long list, the smallest and the largest."""
    texts = []
    for what, number in counts.items():
        if not isinstance(number, dict):
            texts.append(f"{number} {what}")
        elif len(number) > 12:
            low, high = min(number.values()), max(number.values())
            texts.append(f"{len(number)} {what} of {low} to {high}")
        elif number:
            each = ", ".join(f"{k}: {n}" for k, n in number.items())
            texts.append(f"{what} {each}")
    return "; ".join(texts)


def count(records, key):
    """Count the records with each value of a key, sorted by value."""
    return dict(sorted(Counter(r[key] for r in records.values()).items()))


def warn_of_leaks(records, key, part):
    """Warn about recordings or speakers that are in more than one part.

    Arguments
    ---------
    records : dict
        Records by id.
    key : str
        A key whose clips should stay together: ``recording``, ``speaker``.
    part : str
        The key of the part, ``fold`` or ``split``.
    """
    parts, names = {}, {}
    for record in records.values():
        same = appearance(record[key])
        names.setdefault(same, record[key])
        parts.setdefault(same, set()).add(record[part])
    leaks = [
        f"{key} {names[same]!r} is in {part}s "
        f"{', '.join(map(str, sorted(found)))}"
        for same, found in parts.items()
        if len(found) > 1
    ]
    if leaks:
        logger.warning(
            f"clips of one {key} are in several {part}s, so test "
            f"results come out too good:\n{listed(leaks)}"
        )


def finish(
    name,
    folder,
    manifest_folder,
    records,
    allow_partial=False,
    skip_bad_audio=False,
    n_folds=None,
    features=None,
):
    """Check the audio and write the manifest, if no up-to-date manifest exists.

    The manifest's name has a hash of the records, the folder, the options, the
    part of a clip that is used, and each file's size and time: a change of any of them gives a new manifest.
    What is odd about clips that can be used is logged as a warning, and kept
    in ``<stem>.remarks.txt`` for later runs.

    Arguments
    ---------
    name : str
        The dataset.
    folder : pathlib.Path
        The data folder.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    records : dict
        Records by id, ``wav`` relative to the data folder.
    allow_partial : bool
        Whether the dataset may be incomplete. If not, it is a whole published
        one, see ``check_duplicates``.
    skip_bad_audio : bool
        Leave unreadable clips out of the manifest, list them in
        ``<stem>.bad_audio.txt`` and log a warning.
    n_folds : int or None
        Number of folds to make by chance, see ``make_folds``. None: the
        records have their parts.
    features : callable or None
        What will be made of the clips, see ``petl_modules.data.load_features``.
        The part of a clip that they use is judged, and two clips are one sound
        if it is equal. None: the whole clip.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file: a ``Record`` by id, sorted by id.

    Raises
    ------
    AudioError
        A file is missing or unreadable; with ``skip_bad_audio``, all are.
    PermissionError or DataError
        The manifest cannot be written.
    DataError
        Folds cannot be made, or one sound has several labels.
    """
    records = dict(sorted(records.items()))
    if n_folds is not None:
        make_folds(records, n_folds)  # too few clips: known before all are read
    paths = [folder / record["wav"] for record in records.values()]
    options = [bool(allow_partial), bool(skip_bad_audio)]
    facts = [str(folder), options, records, UsedPart.of(features)]
    manifest = manifest_path(manifest_folder, name.lower(), facts, paths)
    if not manifest.exists():
        checked = check_audio(
            paths, f"Checking {name}", skip_bad_audio, features
        )
        whole, skipped, found = {}, {}, {}
        for (clip, record), facts in zip(records.items(), checked):
            if isinstance(facts, AudioError):
                skipped[clip] = " ".join(str(facts).split())
                continue
            others = {k: v for k, v in record.items() if k != "wav"}
            wav = f"{{data_root}}/{record['wav']}"
            told = {"duration": facts.duration, "digest": facts.digest}
            if facts.used_digest:
                told["used_digest"] = facts.used_digest
            whole[clip] = {"wav": wav, **told, **others}
            found[clip] = facts
        if n_folds is not None:
            make_folds(whole, n_folds)  # equal sounds together
        write_manifest(manifest, whole, skipped, _remarks(whole, found))
    check_duplicates(read_manifest(manifest), published=not allow_partial)
    for remark in read_remarks(manifest):
        logger.warning(f"{name}: {remark}")
    if skipped := read_skipped(manifest):
        logger.warning(
            f"{len(skipped)} of {len(records)} clips of {name} cannot be read "
            f"and are left out, see {bad_audio_path(manifest)}:\n"
            f"{listed(skipped, limit=5)}"
        )
    return manifest


def _remarks(records, facts):
    """Return what is odd about clips and classes, one text a kind.

    Arguments
    ---------
    records : dict
        Records by id.
    facts : dict
        Their ``AudioFacts`` by id.

    Returns
    -------
    list of str
    """
    clips, levels = {}, {}
    for clip, found in facts.items():
        label = records[clip].get("label")
        levels.setdefault(label, []).append(found.level)
        for remark in found.remarks:
            clips.setdefault(remark, []).append(clip)
    remarks = [
        f"{len(ids)} of {len(facts)} clips: {remark}:\n{listed(ids, limit=5)}"
        for remark, ids in clips.items()
    ]
    if classes := odd_classes(levels):
        remarks.append(
            "the level alone tells some classes from the others. If the sounds "
            "are not so different, but were recorded or saved in another way, "
            f"bring them to one level:\n{listed(classes)}"
        )
    return remarks
