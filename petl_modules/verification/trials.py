"""Lists of trials: pairs of clips, of one speaker or of two.

A list is a text file with a line ``label path path`` for each trial: ``1`` is
a target trial, of one speaker, ``0`` a non-target trial, of two.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from petl_modules.data.prepare import decode_list
from petl_modules.utils import DataError, read_bytes, write_text
from petl_modules.verification.trial_checks import check_trials, refuse_lines

KNOWN = {  # published lists, by the MD5 of the file
    "29fc7cc1c5d59f0816dc15d6e8be60f7": "VoxCeleb1-O, original",
    "b73110731c9223c1461fe49cb48dddfc": "VoxCeleb1-O, cleaned",
}
FORM = "A line is: label path path, and the label 1 (one speaker) or 0 (two)"

ELSEWHERE = (
    "it seems to be a list for another corpus. Give the list of these data; "
    "names are paths below the folder of the speakers"
)


@dataclass(frozen=True, eq=False)
class Trials:
    """A list of trials.

    Arguments
    ---------
    first, second : list of str
        The ids of both clips of each trial.
    same : numpy.ndarray or None
        Bool of shape [trials]: whether the speaker is one. None: not known.
    md5 : str
        Of the list's file, for ``KNOWN``.

    Example
    -------
    >>> trials = Trials(["a/1", "a/1"], ["a/2", "b/1"], np.array([True, False]), "")
    >>> len(trials), trials.name
    (2, None)
    """

    first: list = field(repr=False)
    second: list = field(repr=False)
    same: np.ndarray | None = field(repr=False)
    md5: str

    def __len__(self):
        return len(self.first)

    def clips(self):
        """Return the ids of all clips, each once."""
        return list(dict.fromkeys([*self.first, *self.second]))

    def places(self, clips):
        """Return where the first and the second clips are in a list of ids.

        Arguments
        ---------
        clips : list of str
            Ids, with those of all trials.

        Returns
        -------
        tuple of numpy.ndarray
            Two of shape [trials].
        """
        place = {clip: i for i, clip in enumerate(clips)}
        sides = (self.first, self.second)
        return tuple(np.array([place[c] for c in side]) for side in sides)

    def few(self):
        """Return the first target and the first non-target trial alone."""
        chosen = [int(np.argmax(self.same)), int(np.argmin(self.same))]
        first, second = (
            [side[i] for i in chosen] for side in (self.first, self.second)
        )
        return Trials(first, second, self.same[chosen], self.md5)

    @property
    def name(self):
        """The name of a published list, else None."""
        return KNOWN.get(self.md5)


def find_trials(folder, name):
    """Return the path of a list in a data folder or its folder ``meta``.

    Arguments
    ---------
    folder : str or pathlib.Path
        The data folder.
    name : str or pathlib.Path
        The list's name there, or its absolute path.

    Returns
    -------
    file : pathlib.Path

    Raises
    ------
    FileNotFoundError
        There is no such file; names the lists ``*.txt`` that there are.
    """
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
    file, clips, training_speakers=(), unlabelled=False, elsewhere=ELSEWHERE
):
    """Read a list of trials, and check that it can test a model.

    Fields are separated by blanks or, in lines that have one, by tabs.

    Arguments
    ---------
    file : str or pathlib.Path
        The list. Names of clips may have a suffix that ids lack.
    clips : dict
        Records by id: all clips that trials may have.
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
    >>> trials = read_trials(file, clips)
    >>> trials.first, trials.second, trials.same.tolist()
    (['a/1', 'a/1'], ['a/2', 'b/1'], [True, False])
    """
    content = read_bytes(file, "Give a text file with a trial in each line")
    lines, labels, names = _split(content, file, unlabelled)
    found = dict.fromkeys(name for pair in names for name in pair)
    ids = {name: _clip_of(name, clips) for name in found}
    _refuse_unknown(file, lines, names, ids, elsewhere)
    first, second = ([ids[pair[side]] for pair in names] for side in (0, 1))
    same = None if labels is None else np.array(labels) == "1"
    check_trials(file, lines, (first, second, same), clips, training_speakers)
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


def _clip_of(name, clips):
    """Return the id of a name in a list, or None."""
    name = name.strip().replace("\\", "/").removeprefix("./")
    if name in clips:
        return name
    stem = os.path.splitext(name)[0]
    return stem if stem in clips else None


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


def write_trials(path, trials):
    """Write a list of trials, as ``read_trials`` reads it.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    trials : Trials
        The trials; without labels, a line is ``path path``.
    """
    write_text(path, as_text(trials.first, trials.second, trials.same))


def as_text(first, second, same):
    """Return a list of trials as text, see ``Trials``.

    Example
    -------
    >>> as_text(["a/1"], ["b/1"], [False])
    '0 a/1 b/1\\n'
    """
    columns = [first, second]
    if same is not None:
        columns.insert(0, ["01"[bool(label)] for label in same])
    blanks = any(" " in clip for clip in {*first, *second})
    separator = "\t" if blanks else " "
    return "".join(f"{separator.join(row)}\n" for row in zip(*columns))
