"""Lists of trials: pairs of clips, of one speaker or of two.

A list is a text file with a line ``label path path`` for each trial: ``1`` is
a target trial, of one speaker, ``0`` a non-target trial, of two.
"""

from dataclasses import dataclass, field

import numpy as np

from petl_modules.utils import write_text

KNOWN = {  # published lists, by the MD5 of the file
    "29fc7cc1c5d59f0816dc15d6e8be60f7": "VoxCeleb1-O, original",
    "b73110731c9223c1461fe49cb48dddfc": "VoxCeleb1-O, cleaned",
}
SHORTEST = 0.5  # seconds of a clip: less speech says too little of a voice


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
        return self._take(
            [int(np.argmax(self.same)), int(np.argmin(self.same))]
        )

    def among(self, clips):
        """Return the trials of some clips alone, which both must be of.

        Arguments
        ---------
        clips : collection of str
            Ids.

        Returns
        -------
        Trials
        """
        pairs = enumerate(zip(self.first, self.second))
        return self._take(
            [i for i, (one, other) in pairs if one in clips and other in clips]
        )

    def _take(self, places):
        """Return the trials of some places."""
        first, second = (
            [side[i] for i in places] for side in (self.first, self.second)
        )
        same = None if self.same is None else self.same[places]
        return Trials(first, second, same, self.md5)

    @property
    def name(self):
        """The name of a published list, else None."""
        return KNOWN.get(self.md5)


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
