"""Find and read lists of trials."""

import hashlib
import os
from pathlib import Path, PurePosixPath

import numpy as np

from petl_modules.data.prepare import decode_list
from petl_modules.utils import DataError, read_bytes
from petl_modules.verification.trial_checks import check_trials, refuse_lines
from petl_modules.verification.trials import Trials

FORM = "A line is: label path path, and the label 1 (one speaker) or 0 (two)"
ELSEWHERE = (
    "it seems to be a list for another corpus. Give the list of these data; "
    "names are paths below the folder of the speakers"
)


def find_trials(folder, name):
    """Return the path of a list in a data folder or its folder ``meta``, if any.

    Arguments
    ---------
    folder : str or pathlib.Path
        The data folder.
    name : str or pathlib.Path or None
        The list's name there, or its absolute path. None or, from a command
        line whose default is a name, ``null``: there is no list.

    Returns
    -------
    file : pathlib.Path or None

    Raises
    ------
    FileNotFoundError
        There is no such file; names the lists ``*.txt`` that there are.
    """
    if name in (None, "null"):
        return None
    places = [Path(folder), Path(folder) / "meta"]
    for place in places:
        if (place / name).is_file():
            return place / name
    found = [file.name for place in places for file in place.glob("*.txt")]
    raise FileNotFoundError(
        f"there is no list {name} in {places[0]} or {places[1]}; lists there: "
        f"{', '.join(sorted(found)) or 'none'}. Put the list there, or give "
        "the name of another one"
    )


def read_trials(
    file, record_of, training_speakers=(), unlabelled=False, elsewhere=ELSEWHERE
):
    """Read a list of trials, and check that it can test a model.

    Fields are separated by blanks or, in lines that have one, by tabs.

    Arguments
    ---------
    file : str or pathlib.Path
        The list. Names of clips may have a suffix that ids lack.
    record_of : callable
        Returns the record of a clip by its id, or None where trials may have
        no such clip: ``records.get``.
    training_speakers : iterable of str
        Speakers that the model is trained on.
    unlabelled : bool
        Accept a list without labels, too: a line is ``path path``.
    elsewhere : str
        The remedy if hardly a name is a clip.

    Returns
    -------
    trials : Trials

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        The file is no such list; names file, lines and remedy. See also
        ``check_trials``.

    Example
    -------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "trials.txt"
    >>> _ = file.write_text("1 a/1.wav a/2.wav\\n0 a/1.wav b/1.wav\\n")
    >>> clips = {name: {"speaker": name[0]} for name in ("a/1", "a/2", "b/1")}
    >>> trials = read_trials(file, clips.get)
    >>> trials.first, trials.second, trials.same.tolist()
    (['a/1', 'a/1'], ['a/2', 'b/1'], [True, False])
    """
    content = read_bytes(file, "Give a text file with a trial in each line")
    lines, labels, names = _split(content, file, unlabelled)
    found = dict.fromkeys(name for pair in names for name in pair)
    ids = {name: _clip_of(name, record_of) for name in found}
    _refuse_unknown(file, lines, names, ids, elsewhere)
    first, second = ([ids[pair[side]] for pair in names] for side in (0, 1))
    same = None if labels is None else np.array(labels) == "1"
    records = {clip: record_of(clip) for clip in [*ids.values()]}
    check_trials(file, lines, (first, second, same), records, training_speakers)
    return Trials(first, second, same, hashlib.md5(content).hexdigest())


def _split(content, file, unlabelled):
    """Return line numbers, labels (or None) and pairs of names."""
    text, problem = decode_list(content)
    problems, rows = [problem] if problem else [], []
    if not problem and "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        problems = [(line, "holds zero bytes: it is no text in UTF-8")]
    if not problems:
        # Not splitlines: it splits at characters that names may hold
        for line, row in enumerate(text.split("\n"), start=1):
            row = row.strip()
            if row:
                rows.append((line, row.split("\t" if "\t" in row else None)))
    if not rows and not problems:
        raise DataError(f"{file}: it holds no trials. {FORM}")
    labelled = not unlabelled or len(rows[0][1]) != 2
    for line, fields in rows:
        if len(fields) != 2 + labelled:
            text = f"{len(fields)} fields, not {2 + labelled}"
        elif labelled and fields[0] not in ("0", "1"):
            text = f"label {fields[0]!r} is neither 1 nor 0"
        else:
            continue
        problems.append((line, text))
    refuse_lines(file, problems, FORM)
    labels = [fields[0] for _, fields in rows] if labelled else None
    pairs = [fields[-2:] for _, fields in rows]
    return [line for line, _ in rows], labels, pairs


def _clip_of(name, record_of):
    """Return the id of a name in a list, or None."""
    # A path has neither ./ nor //
    name = str(PurePosixPath(name.strip().replace("\\", "/")))
    spellings = (name, os.path.splitext(name)[0])
    return next((x for x in spellings if record_of(x) is not None), None)


def _refuse_unknown(file, lines, names, ids, elsewhere):
    """Refuse names that are no clip."""
    unknown = [name for name, clip in ids.items() if clip is None]
    if not unknown:
        return
    if len(unknown) > 0.9 * len(ids):
        raise DataError(
            f"{file}: {len(unknown)} of {len(ids)} names, such as "
            f"{unknown[0]!r}, are no clips of the data: {elsewhere}"
        )
    problems, told = [], set()
    for line, pair in zip(lines, names):
        for name in pair:
            if ids[name] is None and name not in told:
                told.add(name)
                problems.append((line, f"{name!r} is no clip of the data"))
    remedy = "Restore these files, correct their names or remove their trials"
    refuse_lines(file, problems, remedy)
