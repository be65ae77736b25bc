"""Containers with one header: AU, NIST's SPHERE and VOC.

libsndfile takes what is behind the sound of the last two for sound.
"""

import re

from petl_modules.data.containers.part import (
    AGAIN,
    NOT_AUDIO,
    Part,
    check_rest,
    read_at,
    size_of,
    torn,
    truncated,
)
from petl_modules.utils import AudioError

STREAMED = 0x7FFFF000  # this size or more: not known when it was written
AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample
SOUNDS = (1, 2, 9)  # blocks of VOC that hold sound
OTHERS = (4, 5, 8)  # markers, texts, and the rate of the next block


def au_parts(stream):
    """Yield the one part of an AU file."""
    size, head = size_of(stream), read_at(stream, 0, 24)
    order = "big" if head[:1] == b"." else "little"
    start, length, encoding, _, channels = (
        int.from_bytes(head[i : i + 4], order) for i in range(4, 24, 4)
    )
    stop = start + length
    if start < size and (not length or (length >= STREAMED and stop > size)):
        if (size - start) % max(1, AU_BYTES.get(encoding, 1) * channels):
            raise torn()
        patch = {8: (size - start).to_bytes(4, order)}
        yield Part(0, size, patch, stated=False)
        return
    if stop > size:
        raise truncated(stop - size)
    check_rest(stream, length, stop, size)
    yield Part(0, size)


def nist_parts(stream):
    """Yield the one part of a file of NIST's SPHERE."""
    size, head = size_of(stream), read_at(stream, 0, 1024)
    found = re.match(rb"NIST_1A\n\s*(\d+)\n", head)
    fields = dict(re.findall(rb"^(\w+) -i (\d+)", head, re.MULTILINE))
    if not found or b"end_head" not in head:
        raise AudioError(NOT_AUDIO)
    start, count = int(found[1]), int(fields.get(b"sample_count", 0))
    frame = int(fields.get(b"sample_n_bytes", 1))
    frame *= int(fields.get(b"channel_count", 1))
    if not count:
        if start < size and (size - start) % max(1, frame):
            raise torn()
        yield Part(0, size, stated=False)
        return
    stop = start + count * frame
    if stop > size:
        raise truncated(stop - size)
    check_rest(stream, count * frame, stop, size)
    yield Part(0, stop)  # libsndfile takes what is behind it for sound


def voc_parts(stream):
    """Yield the one part of a VOC file, which has one block of sound."""
    size = size_of(stream)
    place = int.from_bytes(read_at(stream, 20, 2), "little")
    sounds = 0
    while head := read_at(stream, place, 4):
        place += len(head) if head[0] else 1
        if not head[0]:
            check_rest(stream, place, place, size)
            break
        if len(head) < 4:
            raise truncated(4 - len(head))
        if head[0] not in SOUNDS + OTHERS:
            raise AudioError(f"has a VOC block of kind {head[0]}. {AGAIN}")
        place += int.from_bytes(head[1:], "little")
        sounds += head[0] in SOUNDS
        if place > size:
            raise truncated(place - size)
    if sounds > 1:
        raise AudioError(f"has {sounds} blocks of sound. {AGAIN} as WAV")
    yield Part(0, min(place, size))
