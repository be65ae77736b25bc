"""Damage inputs at random, and see what a reader does with each."""

import contextlib
import io
import random
import signal
import traceback
from collections import Counter
from typing import Callable, NamedTuple

from petl_modules.utils import UserError

LIMIT = 20  # seconds for one input
PIECES = [
    *b'null [] {} NaN 1e999 -1 "" true 0'.split(),
    b"",
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\xff\xfe", b"\0", b"\n"),
    *(b"\n- 1\n", b"? [a, b]\n: 1\n", b"!ref <lr>/0", b"!ref <none>", b"!x y"),
    *(b"&a [*a]", b"*b", b"!!int x", b"!!binary x", b"\n5: 1\n", b"\n? {}\n"),
    *(b"!new:os.nothing", b"!apply:nothing", b"ten", b"'", b'"', b": ", b"# "),
    *(b"!include:none.yaml", b"!PLACEHOLDER", b"!copy <lr>", b"(1, 2", b"%s"),
]


class Reader(NamedTuple):
    """What is read, and how.

    Arguments
    ---------
    contents : list of bytes
        Valid inputs.
    read : callable
        Reads one; returns what was understood, or None.
    sealed : bool
        Whether an accepted input must be understood as the valid one is.
    share : int
        How many inputs it gets, in relation to others.
    """

    contents: list
    read: Callable
    sealed: bool = False
    share: int = 10


class Hang(BaseException):
    """The time limit of one input."""


def damaged(content, draw):
    """Return a content with one to three damages."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 3])):
        start = draw.randint(0, len(content))
        end = min(len(content), start + draw.choice([1, 2, 5, 20, 200]))
        kind = draw.randrange(7)
        if kind == 0 and content:
            content[start % len(content)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[start:]
        elif kind == 2:
            del content[start:end]
        elif kind == 3:
            content[start:start] = content[start:end]
        elif kind == 4:
            content[start:end] = draw.choice(PIECES)
        elif kind == 5:  # a value or a word is replaced
            words = bytes(content).split(b" ")
            words[draw.randrange(len(words))] = draw.choice(PIECES)
            content = bytearray(b" ".join(words))
        else:  # whole lines are swapped
            lines = bytes(content).split(b"\n")
            draw.shuffle(lines)
            content = bytearray(b"\n".join(lines))
    return bytes(content)


def outcome(reader, content, expected):
    """Return what a reader does with one input.

    Returns
    -------
    tuple of str
        ``accepted``, ``named``, ``unnamed``, ``hang`` or ``silent``, and the
        traceback of an unnamed one.
    """

    def ring(*_):
        raise Hang

    usual = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT)
    noise = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(noise),
            contextlib.redirect_stderr(noise),
        ):
            found = reader.read(content)
        same = not reader.sealed or found == expected
        return ("accepted" if same else "silent"), ""
    except Hang:
        return "hang", ""
    except (UserError, OSError, SystemExit):
        return "named", ""
    except Exception:
        return "unnamed", traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)


def fuzz(reader, inputs, seed):
    """Give a reader damaged inputs.

    Arguments
    ---------
    reader : Reader
        The reader.
    inputs : int
        How many.
    seed : object
        Of the draws.

    Returns
    -------
    counts : collections.Counter
        Of the outcomes.
    examples : list of tuple
        Outcome, input and traceback of those that should not be.
    """
    draw, counts, examples = random.Random(str(seed)), Counter(), []
    expected = [
        reader.read(content) if reader.sealed else None
        for content in reader.contents
    ]
    for _ in range(inputs):
        number = draw.randrange(len(reader.contents))
        content = damaged(reader.contents[number], draw)
        kind, text = outcome(reader, content, expected[number])
        counts[kind] += 1
        if kind not in ("accepted", "named"):
            examples.append((kind, content, text))
    return counts, examples
