"""Ogg: pages with checksums, and a last page for each logical stream.

https://www.rfc-editor.org/rfc/rfc3533. Several files in a row are one valid
file, "chained", of which libsndfile decodes the first only.
"""

import math
import struct
import zlib
from typing import NamedTuple

from petl_modules.data.containers.part import (
    Part,
    check_rest,
    read_at,
    size_of,
    skip_tags,
    truncated,
)
from petl_modules.utils import AudioError

MARK = b"OggS"
HEAD = struct.Struct("<4sBBqIIIB")
FIRST, LAST = 2, 4  # flags of a logical stream's first and last page
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """One page of a logical stream."""

    flags: int
    granule: int  # samples up to its end, -1: no packet ends in it
    stream: int
    number: int
    body: bytes
    stop: int  # where the next page begins


def ogg_parts(stream, seconds=math.inf):
    """Yield the links of an Ogg file, usually one.

    Arguments
    ---------
    stream : Window
        The file.
    seconds : float
        How much will be decoded: what is behind is not read.

    Yields
    ------
    Part

    Raises
    ------
    AudioError
        A page is damaged or missing.
    """
    size, start = size_of(stream), 0
    while start < size and seconds > 0:
        stop, length = _link(stream, start, size, seconds)
        yield Part(start, stop)
        seconds -= length
        start = skip_tags(stream, stop, size)
        if not MARK.startswith(read_at(stream, start, 4)):
            check_rest(stream, stop, start, size)
            return


def _link(stream, start, size, seconds):
    """Return where a link ends, or where there is enough, and its seconds."""
    numbers, unfinished = {}, set()  # of the logical streams
    rate = begin = length = 0
    while unfinished or not numbers:
        page = _page(stream, start, size)
        start = page.stop
        if page.flags & FIRST:
            unfinished.add(page.stream)
            rate = rate or _rate(page.body)
        elif page.number != numbers.get(page.stream, -1) + 1:
            raise AudioError(f"damaged, a page before byte {start} is missing")
        numbers[page.stream] = page.number
        if page.flags & LAST:
            unfinished.discard(page.stream)
        if rate and page.granule > 0:
            begin = begin or page.granule  # may be large: cut from a stream
            length = (page.granule - begin) / rate
            if length >= seconds:
                break
    return start, length


def _page(stream, place, size):
    """Return the page at an offset if it is complete and undamaged."""
    content = read_at(stream, place, HEAD.size + 255)
    if not content:
        raise AudioError("truncated, its last page is missing")
    if not MARK.startswith(content[:4]):
        raise AudioError(f"damaged, no page begins at byte {place}")
    if len(content) < HEAD.size:
        raise truncated(HEAD.size - len(content))
    _, _, flags, granule, serial, number, check, count = HEAD.unpack_from(
        content
    )
    head = HEAD.size + count
    stop = place + head + sum(content[HEAD.size : head])
    if len(content) < head or stop > size:
        raise truncated(max(stop, place + head) - size)
    content = read_at(stream, place, stop - place)
    if _crc(content[:22] + bytes(4) + content[26:]) != check:
        raise AudioError(f"damaged between bytes {place} and {stop}")
    return Page(flags, granule, serial, number, content[head:], stop)


def _crc(content):
    """Return Ogg's CRC-32: that of zlib with all bits in reverse order."""
    value = zlib.crc32(content.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)


def _rate(packet):
    """Return how many granules make a second, or 0 if it is not known."""
    if packet.startswith(b"\x01vorbis"):
        return int.from_bytes(packet[12:16], "little")
    if packet.startswith(b"\x7fFLAC"):
        return int.from_bytes(packet[27:30], "big") >> 4
    return 48000 if packet.startswith(b"OpusHead") else 0
