"""Prepare speakers of your own: a folder for each speaker, or a CSV file.

Authors
 * The PETL audio recipes team 2026
"""

import os
import posixpath
import re

from petl_modules.data.prepare import (
    absolute,
    count,
    finish,
    is_sound,
    path_problem,
    read_list,
    read_table,
    refuse,
    refuse_look_alikes,
    walk,
)
from petl_modules.utils import DataError, listed, show
from petl_modules.verification import find_trials, read_trials

UNWRITABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
PARTS = {"train", "valid", "dev", "test", "eval"}  # no speakers' names
LAYOUT = """Give --data_folder a folder such as

    {folder}/
        eve/monday/*.wav
        tim/1.wav

with a folder for each speaker, and in it, if you have them, one for each
recording; or a CSV file with --table FILE: the columns path (below the data
folder), speaker and, if you have it, recording."""


def prepare_speaker(
    data_folder, manifest_folder, table=None, trials=None, skip_bad_audio=False
):
    """Check the sounds and write their manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, speaker[, recording]
    [, split]}}``; an id is a path below the data folder without its suffix.
    With a list of trials, its speakers are the test part; else
    ``petl_modules.data.HeldOutSpeakers`` draws it.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    table : str or pathlib.Path or None
        A CSV file. None: each folder of the data folder is a speaker.
    trials : str or pathlib.Path or None
        A list of trials, see ``petl_modules.verification.find_trials``.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    speakers : list
        The speakers that are not tested by a list, sorted.

    Raises
    ------
    FileNotFoundError
        The folder or a list is not there.
    PermissionError
        A folder or list cannot be read, or the manifest not written.
    DataError
        A list, the folders or the audio (``AudioError``) are not right.
    """
    folder = absolute(data_folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}. {LAYOUT.format(folder=folder)}"
        )
    if table is None:
        records = find_clips(folder)
    else:
        table = absolute(str(table))
        content = read_list(table)
        if content is None:
            raise FileNotFoundError(f"--table: there is no file {table}")
        records = parse_clips(content, table, folder)
    refuse_look_alikes(records, "speaker")
    speakers = count(records, "speaker")
    if len(speakers) < 2:
        raise DataError(
            f"only one speaker was found: {', '.join(speakers)}. "
            + LAYOUT.format(folder=folder)
        )
    show(f"{len(records)} clips of {len(speakers)} speakers")
    if not any("recording" in record for record in records.values()):
        show(
            "no recordings are given: trials may compare clips of one, which "
            "is easier than to compare two"
        )
    if file := find_trials(folder, trials):
        speakers = _split(records, file)
    # There are no counts to compare with
    options = {"allow_partial": True, "skip_bad_audio": skip_bad_audio}
    manifest = finish("speakers", folder, manifest_folder, records, **options)
    return manifest, list(speakers)


def _split(records, file):
    """Give the records their split, and return the speakers to train on."""
    trials = read_trials(file, records.get)
    clips = {*trials.first, *trials.second}
    tested = {records[clip]["speaker"] for clip in clips}
    for record in records.values():
        record["split"] = "test" if record["speaker"] in tested else "train"
    name = f" ({trials.name})" if trials.name else ""
    show(f"{len(trials)} trials of {len(tested)} speakers in {file}{name}")
    return [s for s in count(records, "speaker") if s not in tested]


def find_clips(folder):
    """Take each folder as a speaker, and folders in it as recordings.

    Links are followed, hidden files and those of the system are skipped, and
    files that are not audio are counted.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    records : dict
        ``{id: {wav, speaker[, recording]}}``.

    Raises
    ------
    PermissionError
        A folder cannot be read.
    DataError
        Sounds outside the folders, folders without sounds, two sounds that
        differ in their suffix only, or names that cannot be used.
    """
    records, problems, empty, others = {}, [], set(), 0
    for path in walk(folder):
        speaker, *below = path.split("/")
        problem = None
        if below == [""]:
            empty.add(speaker)
        elif path.endswith("/"):
            continue
        elif not os.path.exists(folder / path):
            problem = "a link to nothing"
        elif not is_sound(path):
            others += 1
        elif not below:
            problem = "outside the folders of speakers"
        else:
            empty.discard(speaker)
            clip = os.path.splitext(path)[0]
            problem = _name_problem(path, records.get(clip))
            records[clip] = {"wav": path, "speaker": speaker}
            if len(below) > 1:
                records[clip]["recording"] = posixpath.dirname(path)
        problems += [f"{folder / path}: {problem}"] if problem else []
    problems += [
        f"{folder / speaker}: no sounds; move it out if it is no speaker"
        for speaker in sorted(empty)
    ]
    if PARTS >= (names := {record["speaker"] for record in records.values()}):
        problems += [f"{', '.join(sorted(names))}: parts, not speakers"]
    if problems or not records:
        found = listed(problems, limit=20) if records else "  no sounds"
        raise DataError(
            f"{folder} cannot be read as speakers:\n{found}\n"
            + LAYOUT.format(folder=folder)
        )
    if others:
        show(f"{others} files skipped, not audio")
    return records


def _name_problem(path, other):
    """Return what is wrong with a clip's name, or None."""
    if UNWRITABLE.search(path):
        return "give it a name in UTF-8, without control characters"
    if other:
        return f"differs from {other['wav']} in its suffix only: keep one"
    return None


def parse_clips(content, table, folder):
    """Read a list of clips and report all of its problems.

    Arguments
    ---------
    content : bytes
        The CSV file.
    table : str or pathlib.Path
        The file's name, for error messages.
    folder : pathlib.Path
        The data folder. Paths may be absolute ones in it.

    Returns
    -------
    records : dict
        ``{id: {wav, speaker[, recording]}}``.

    Raises
    ------
    DataError
        One line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> from pathlib import Path
    >>> content = b"path,speaker,recording\\na/1.wav,eve,monday"
    >>> parse_clips(content, "my.csv", Path("my_speakers"))
    {'a/1': {'wav': 'a/1.wav', 'speaker': 'eve', 'recording': 'monday'}}
    """
    rows, problems = read_table(content, ("path", "speaker"), ["recording"])
    records, lines = {}, {}
    for line, row in rows:
        path = row["path"].replace("\\", "/")
        for root in (f"{folder}/", f"{folder.resolve()}/"):
            path = path.removeprefix(root)
        speaker = row["speaker"]
        if problem := path_problem(path):
            problems.append((line, f"path {problem}"))
        if not speaker or UNWRITABLE.search(speaker):
            problems.append((line, f"speaker {speaker!r} is no name"))
        path = posixpath.normpath(path)
        clip = os.path.splitext(path)[0]
        above = lines.setdefault(clip, line)
        if above != line:
            problems.append(
                (line, f"{path!r} is listed in line {above} already")
            )
        records[clip] = {"wav": path, "speaker": speaker}
        if row.get("recording"):
            records[clip]["recording"] = row["recording"]
    refuse([(table, *problem) for problem in sorted(problems)], "Correct them.")
    return records
