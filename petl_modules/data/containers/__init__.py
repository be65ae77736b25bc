"""What audio files state about their own length, by container.

libsndfile reads a truncated file as a shorter one, most often without an
error. Here a file is compared with what it states.
"""

import math
from functools import partial

from petl_modules.data.containers.chunks import FORMS, chunk_parts
from petl_modules.data.containers.flac import flac_parts
from petl_modules.data.containers.headers import (
    au_parts,
    nist_parts,
    voc_parts,
)
from petl_modules.data.containers.mpeg import mpeg_parts
from petl_modules.data.containers.ogg import ogg_parts
from petl_modules.data.containers.part import (
    Part,
    Window,
    read_at,
    size_of,
    skip_tags,
)

__all__ = ["Part", "Window", "parts_of"]

# By a file's first four bytes
SIZED = {
    **{mark: partial(chunk_parts, form=form) for mark, form in FORMS.items()},
    b".snd": au_parts,
    b"dns.": au_parts,
    b"NIST": nist_parts,
    b"Crea": voc_parts,
}
# What need not be looked at up to its end
LONG = {b"OggS": ogg_parts, b"fLaC": flac_parts}


def parts_of(stream, seconds=math.inf):
    """Yield the parts of a file that are decoded one after the other.

    Arguments
    ---------
    stream : io.BufferedIOBase
        The file.
    seconds : float
        How much of it will be decoded: of Ogg, FLAC and MP3, what is behind is not
        looked at.

    Yields
    ------
    Part

    Raises
    ------
    AudioError
        The file is shorter than it states, has much more sound than that, ends
        within a frame, or is in no container that is known here.

    Example
    -------
    >>> import io, numpy, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, numpy.zeros(100), 16000, format="WAV")
    >>> [(part.start, part.stop, part.stated) for part in parts_of(file)]
    [(0, 244, True)]
    """
    size = size_of(stream)
    start = skip_tags(stream, 0, size)
    window = Window(stream, Part(start, size))
    mark = read_at(window, 0, 4)
    if mark in SIZED:
        parts = SIZED[mark](window)
    else:
        parts = LONG.get(mark, mpeg_parts)(window, seconds)
    for part in parts:
        patches = {place + start: new for place, new in part.patches.items()}
        yield part._replace(
            start=part.start + start, stop=part.stop + start, patches=patches
        )
