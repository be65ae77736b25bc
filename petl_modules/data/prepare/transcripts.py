"""Transcripts: what is said in a clip, and whether it can be recognised.

The functions here take records with ``text``, the transcript, and their
places, ``{id: (file, line)}``, so that each problem is named where it stands.
"""

import unicodedata

from petl_modules.data.prepare.csv_lists import refuse
from petl_modules.utils import DataError

# Of encoders that make a frame of 25 ms every 20 ms
WINDOW, HOP = 0.025, 0.02


def clean(text):
    """Return a transcript in Unicode's composed form, with single blanks.

    Example
    -------
    >>> clean("  a  cafe\u0301 ")
    'a café'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def text_problems(clip, text, alphabet=None):
    """Yield what is wrong with a transcript.

    Arguments
    ---------
    clip : str
        The clip's id.
    text : str
        Its transcript.
    alphabet : iterable of str or None
        The characters that may occur. None: all but control characters.

    Example
    -------
    >>> list(text_problems("a", "TAKE 5", "AEKT "))
    ["the transcript of a has '5' (U+0035)"]
    """
    if not text:
        yield f"the transcript of {clip} is empty"
    for character in sorted(set(text)):
        allowed = (
            unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn")
            if alphabet is None
            else character in alphabet
        )
        if not allowed:
            code = f"U+{ord(character):04X}"
            yield f"the transcript of {clip} has {character!r} ({code})"


def refuse_short(records, places, units):
    """Refuse clips whose units are not known, or need more frames.

    CTC needs a frame for each unit, and a blank between two equal ones.

    Arguments
    ---------
    records : dict
        Records of the manifest, with ``duration``.
    places : dict
        Where their transcripts are, ``{id: (file, line)}``.
    units : petl_modules.recognition.Units
        What is recognised.

    Raises
    ------
    DataError
        One line for each clip, as ``file:line: problem``.
    """
    problems = []
    for clip, record in records.items():
        try:
            found = units.encode(record[units.key])
        except DataError as error:
            problems.append((*places[clip], str(error)))
            continue
        needed = len(found) + sum(a == b for a, b in zip(found, found[1:]))
        frames = _frames(record["duration"])
        if needed > frames:
            text = (
                f"the transcript of {clip} needs {needed} frames, and its "
                f"{record['duration']:.2f} s of sound have {frames}"
            )
            problems.append((*places[clip], text))
    remedy = "Correct the transcripts or the sounds, or leave these clips out."
    refuse(problems, remedy)


def _frames(duration):
    """Return the number of frames, of at least one window."""
    return 1 + max(0, int((duration - WINDOW) / HOP + 1e-6))
