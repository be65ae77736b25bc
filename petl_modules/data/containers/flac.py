"""FLAC: the number of samples, in the header and by the last frame.

https://www.rfc-editor.org/rfc/rfc9639. An encoder that writes to a pipe
leaves 0 in the header, with which libsndfile cannot read the file. Each frame
has its position, so the last frame gives the number. Where frames are missing,
libFLAC decodes zeros: the MD5 in the header tells.
"""

import functools
import math
import re

from petl_modules.data.containers.part import (
    AGAIN,
    Part,
    end_of_sound,
    read_at,
    size_of,
    skip_tags,
    spare,
    torn,
)
from petl_modules.utils import AudioError

TOTAL = (1 << 36) - 1  # the header's lowest bits: the number of samples
FRAME_CRC = 0x8005  # a polynomial, without its highest power
OTHER = re.compile(rb"fLaC[\0\x80]\0\0\"|RIFF.{4}WAVE", re.DOTALL)


def flac_parts(stream, seconds=math.inf):
    """Yield the one part of a FLAC file.

    Arguments
    ---------
    stream : Window
        The file.
    seconds : float
        How much will be decoded.

    Yields
    ------
    Part

    Raises
    ------
    AudioError
        The header's number of samples is too small, the last frame is not
        complete, or another file follows.
    """
    size, head = size_of(stream), read_at(stream, 0, 42)
    if len(head) < 42:
        raise AudioError("not audio, or damaged (it has no FLAC header)")
    facts = int.from_bytes(head[18:26], "big")
    stated, there = facts & TOTAL, _samples(stream, head, size)
    if not stated:
        if not there:
            raise torn()
        if there <= seconds * (facts >> 44):  # the rate
            _check_alone(stream, size)
        number = (facts | there).to_bytes(8, "big")
        yield Part(0, size, {18: number}, stated=False)
        return
    if there > stated:
        raise AudioError(
            f"its header says {stated} samples, and {there} are there. "
            "Write it again with the program flac"
        )
    if not there:
        raise AudioError(
            "damaged, or another file follows in it: its last frame is not at "
            f"its end. {AGAIN}"
        )
    md5 = b""
    if stated <= seconds * (facts >> 44):
        _check_alone(stream, size)
        if (facts >> 36 & 31) + 1 in (8, 16, 24):  # bits
            md5 = head[26:42].strip(b"\0") and head[26:42]
    yield Part(0, size, md5=md5)


def _check_alone(stream, size):
    """Check that no other file follows, which libsndfile would leave out."""
    start, is_last = 4, 0
    while not is_last and start < size:  # metadata may hold anything
        head = read_at(stream, start, 4)
        start += 4 + int.from_bytes(head[1:], "big")
        is_last = head[:1] >= b"\x80"
    for place in range(start, size, 1 << 20):
        if OTHER.search(read_at(stream, place, (1 << 20) + 16)):
            raise AudioError(f"another file follows in it. {AGAIN}")


def _samples(stream, head, size):
    """Return the number of samples up to the end of the last frame.

    0 if the file does not end with a frame, but for tags, zeros and, if the
    frames fit the header, a few other bytes.
    """
    facts = int.from_bytes(head[18:26], "big")
    longest = int.from_bytes(head[10:12], "big")  # samples of a frame
    channels, bits = (facts >> 41 & 7) + 1, (facts >> 36 & 31) + 1
    most = int.from_bytes(head[15:18], "big")
    most = max(most, longest * channels * bits // 8) + 1024
    size = end_of_sound(stream, 42)
    start = max(42, size - most - spare(size))
    tail = read_at(stream, start, size - start)
    place = stop = len(tail)
    check, factor = 0, 1  # CRC of what begins at stop, and x^(its bits)
    while (place := tail.rfind(b"\xff", 0, place)) >= 0:
        samples = _frame(tail[place : place + 16], longest)
        if samples and samples == facts & TOTAL:
            end = start + place + _length(tail[place:])
            behind = size - skip_tags(stream, end, size)
            return samples if behind <= spare(size) else 0
        if samples:  # no byte is summed twice, however many headers there are
            piece, stop = tail[place:stop], place
            check ^= _product(_crc(piece, 16, FRAME_CRC), factor)
            factor = _crc(bytes(len(piece)), 16, FRAME_CRC, factor)
            if not check:
                return samples
    return 0


def _length(content):
    """Return the length of the frame that begins here, 0 if it is not whole.

    It ends where its CRC is 0; in the largest such place, which is by chance
    behind its end in one of 65,536 bytes.
    """
    value, length, table = 0, 0, _table(16, FRAME_CRC)
    for place, byte in enumerate(content, 1):
        value = (value << 8 & 0xFFFF) ^ table[value >> 8 ^ byte]
        if not value:
            length = place
    return length


def _frame(head, longest):
    """Return the number of samples up to the end of a frame, by its header.

    0 if it is not the header of a frame.
    """
    if len(head) < 8 or head[1] not in (0xF8, 0xF9) or not head[2] >> 4:
        return 0
    head = head.ljust(16, b"\0")  # the shortest frame is shorter
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # as in UTF-8
    count = max(1, ones)
    number = head[4] & 0x7F >> ones
    for byte in head[5 : 4 + count]:
        number = number << 6 | byte & 0x3F
    code, place = head[2] >> 4, 4 + count
    if code in (6, 7):
        extra = head[place : place + code - 5]
        block, place = int.from_bytes(extra, "big") + 1, place + code - 5
    elif code < 6:
        block = 192 if code == 1 else 144 << code
    else:
        block = 1 << code
    place += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if ones == 1 or _crc(head[:place], 8, 0x07) != head[place]:
        return 0
    first = number if head[1] & 1 else number * longest
    return first + block


def _product(one, other):
    """Return the product of two polynomials, modulo that of a frame's CRC."""
    product = 0
    while one:
        product ^= other * (one & 1)
        one >>= 1
        other = (other << 1 & 0xFFFF) ^ FRAME_CRC * (other >> 15)
    return product


def _crc(content, bits, polynomial, value=0):
    """Return a CRC that begins with a value, the highest bit first."""
    mask = (1 << bits) - 1
    table = _table(bits, polynomial)
    for byte in content:
        value = (value << 8 & mask) ^ table[value >> bits - 8 ^ byte]
    return value


@functools.cache
def _table(bits, polynomial):
    """Return what each byte adds to a CRC."""
    table = []
    for value in range(0, 256 << bits - 8, 1 << bits - 8):
        for _ in range(8):
            high = value >> bits - 1
            value = (value << 1 & (1 << bits) - 1) ^ (polynomial * high)
        table.append(value)
    return table
