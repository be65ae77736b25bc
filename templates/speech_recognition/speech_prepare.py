"""Prepare speech of your own: a text beside each recording, or a CSV file.

Authors
 * The PETL audio recipes team 2026
"""

import os
import posixpath
import re

from petl_modules.data.prepare import (
    absolute,
    clean,
    count,
    decode_list,
    find_lexicons,
    finish,
    is_sound,
    path_problem,
    pronounce,
    read_lexicon,
    read_list,
    read_manifest,
    read_table,
    refuse,
    refuse_look_alikes,
    refuse_short,
    text_problems,
    walk,
    warn_of_leaks,
)
from petl_modules.recognition import BLANK, Units, make_labels
from petl_modules.utils import DataError, listed, show

SPLITS = ("train", "valid", "test")
CONDITION = re.compile("[a-z][a-z0-9]*")
LAYOUT = """Give --data_folder a folder such as

    {folder}/
        monday/1.wav    monday/1.txt
        monday/2.wav    monday/2.txt

with a text in UTF-8 beside each recording; or a CSV file with --table FILE:
the columns path (below the data folder), text and, if you have them, speaker,
split (train, valid or test) and condition."""


def prepare_speech(
    data_folder,
    manifest_folder,
    table=None,
    n_folds=10,
    units="characters",
    lexicon=(),
    pieces=500,
    skip_bad_audio=False,
):
    """Check recordings and texts and write a manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, text[, phones][, speaker]
    [, condition], split or fold}}``; an id is a path below the data folder
    without its suffix.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    table : str or pathlib.Path or None
        A CSV file. None: each recording has a text beside it.
    n_folds : int
        Number of folds to make by chance, if no split is listed: clips of one
        speaker stay together.
    units : str
        What is recognised: ``characters``, those that occur; ``phones``; or
        ``sentencepiece``, pieces of words of the training texts (of all
        texts, if no split is listed).
    lexicon : list of str
        For phones: files of pronunciations, in the data folder or elsewhere.
        The first pronunciation of a word counts.
    pieces : int
        For sentencepiece: number of units.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    labels : list of str
        The blank, then the units; see ``petl_modules.recognition.Units``.

    Raises
    ------
    FileNotFoundError
        The folder, a list or a lexicon is not there.
    PermissionError
        A file cannot be read, or the manifest not written.
    DataError
        A list, texts or the audio (``AudioError``) are not right.
    """
    folder = absolute(data_folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}. {LAYOUT.format(folder=folder)}"
        )
    if table is None:
        records, places = find_clips(folder)
    else:
        table = absolute(str(table))
        content = read_list(table)
        if content is None:
            raise FileNotFoundError(f"--table: there is no file {table}")
        records, places = parse_clips(content, table, folder)
    spoken = {c: r for c, r in records.items() if "speaker" in r}
    refuse_look_alikes(spoken, "speaker")
    known = f" of {len(count(spoken, 'speaker'))} speakers" if spoken else ""
    show(f"{len(records)} clips{known}")
    if units == "phones":
        words = read_lexicon(find_lexicons(lexicon, folder))
        labels = [BLANK, *pronounce(records, places, words)]
    else:
        texts = [
            record["text"]
            for record in records.values()
            if units == "characters" or record.get("split", "train") == "train"
        ]
        labels = make_labels(units, texts, pieces, manifest_folder)
    if units == "characters":
        show(f"{len(labels) - 1} characters: {''.join(labels[1:])!r}")
    is_split = any("split" in record for record in records.values())
    # There are no counts to compare with
    options = {"allow_partial": True, "skip_bad_audio": skip_bad_audio}
    options["n_folds"] = None if is_split else n_folds
    manifest = finish("speech", folder, manifest_folder, records, **options)
    found = read_manifest(manifest)
    refuse_short(found, places, Units(units, labels))
    warn_of_leaks(found, "text", "split" if is_split else "fold")
    return manifest, labels


def find_clips(folder):
    """Find recordings, each with a text file beside it.

    Links are followed, hidden files and those of the system are skipped, and
    other files are counted.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    records : dict
        ``{id: {wav, text}}``.
    places : dict
        ``{id: (file, line)}`` of the texts.

    Raises
    ------
    PermissionError
        A folder or file cannot be read.
    DataError
        A recording has no text, a text no recording, two recordings differ
        in their suffix only, or a text cannot be recognised.
    """
    sounds, texts, problems, others = {}, {}, [], 0
    for path in walk(folder):
        clip, suffix = os.path.splitext(path)
        if path.endswith("/"):
            continue
        if not os.path.exists(folder / path):
            problems.append(f"{folder / path}: a link to nothing")
        elif is_sound(path):
            problem = path_problem(path)
            if clip in sounds:
                problem = f"differs from {sounds[clip]} in its suffix only"
            problems += [f"{folder / path}: {problem}"] if problem else []
            sounds[clip] = path
        elif suffix.lower() == ".txt":
            texts[clip] = path
        else:
            others += 1
    for clip in sorted(sounds.keys() - texts.keys()):
        problems.append(f"{folder / sounds[clip]}: no {clip}.txt beside it")
    for clip in sorted(texts.keys() - sounds.keys()):
        problems.append(f"{folder / texts[clip]}: no recording beside it")
    if problems or not sounds:
        found = listed(problems, limit=20) if problems else "  no sounds"
        raise DataError(
            f"{folder} cannot be read as speech:\n{found}\n"
            + LAYOUT.format(folder=folder)
        )
    if others:
        show(f"{others} files skipped, neither audio nor text")
    return _with_texts(sounds, {c: folder / texts[c] for c in sounds})


def _with_texts(sounds, files):
    """Return records and places of recordings and their text files."""
    records, problems = {}, []
    for clip, file in files.items():
        text, problem = decode_list(read_list(file))
        text = clean(text)
        found = [problem] if problem else []
        if not problem:
            found = [(1, problem) for problem in text_problems(clip, text)]
        problems += [(file, *problem) for problem in found]
        records[clip] = {"wav": sounds[clip], "text": text}
    refuse(problems, "Correct the texts.")
    return records, {clip: (file, 1) for clip, file in files.items()}


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
        ``{id: {wav, text[, speaker][, split][, condition]}}``.
    places : dict
        ``{id: (file, line)}``.

    Raises
    ------
    DataError
        One line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> from pathlib import Path
    >>> content = b"path,text,speaker\\na/1.wav,good  morning,eve"
    >>> parse_clips(content, "my.csv", Path("my_speech"))[0]
    {'a/1': {'wav': 'a/1.wav', 'text': 'good morning', 'speaker': 'eve'}}
    """
    known = ["speaker", "split", "condition"]
    rows, problems = read_table(content, ("path", "text"), known)
    listed_split = any(row.get("split") for _, row in rows)
    records, lines = {}, {}
    for line, row in rows:
        path = row["path"].replace("\\", "/")
        for root in (f"{folder}/", f"{folder.resolve()}/"):
            path = path.removeprefix(root)
        if problem := path_problem(path):
            problems.append((line, f"path {problem}"))
        path = posixpath.normpath(path)
        clip, text = os.path.splitext(path)[0], clean(row["text"])
        problems += [(line, problem) for problem in text_problems(clip, text)]
        above = lines.setdefault(clip, line)
        if above != line:
            problems.append(
                (line, f"{path!r} is listed in line {above} already")
            )
        split, condition = row.get("split", ""), row.get("condition", "")
        if listed_split and split not in SPLITS:
            problems.append((line, f"split {split!r} is none of {SPLITS}"))
        if condition and not CONDITION.fullmatch(condition):
            problems.append(
                (line, f"condition {condition!r} is not of a to z and digits")
            )
        given = {key: row[key] for key in known if row.get(key)}
        records[clip] = {"wav": path, "text": text, **given}
    refuse([(table, *problem) for problem in sorted(problems)], "Correct them.")
    return records, {clip: (table, line) for clip, line in lines.items()}
