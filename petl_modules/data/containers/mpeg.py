"""MPEG audio (MP3): frames, each with its length, and no end of the stream.

The first frame may hold the number of frames: a Xing, Info or VBRI header.
Files in a row are a valid file, of which libsndfile decodes the first only if
that has such a header.
"""

import functools
import math
import struct
from typing import NamedTuple

from petl_modules.data.containers.part import (
    AGAIN,
    NOT_AUDIO,
    Part,
    end_of_content,
    is_spare,
    read_at,
    skip_tags,
    torn,
)
from petl_modules.utils import AudioError

SEARCHED = 1 << 16  # bytes in which the first frame begins
BITRATES = {  # in kbit/s, by version (1, 2) and layer
    (1, 1): [32 * i for i in range(15)],
    (1, 2): [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    (1, 3): [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    (2, 1): [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    (2, 2): [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
}
BITRATES[2, 3] = BITRATES[2, 2]


class Frame(NamedTuple):
    """What the first bytes of a frame say."""

    kind: tuple  # version, layer and rate: the same in all frames of a file
    length: int  # bytes
    samples: int
    is_header: bool = False  # Xing, Info or VBRI: no sound
    number: int = 0  # of the frames that follow it, if it says so
    field: int = 0  # where in a Xing or Info header that number is
    size: int = 0  # bytes of the file, if it says so


def mpeg_parts(stream, seconds=math.inf):
    """Yield the files that follow each other in an MPEG file, usually one.

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
        It is no MPEG file, it has fewer or more frames than it says, or the
        last is not complete.
    """
    size = end_of_content(stream)
    start = _search(stream, 0, size)
    if start is None:
        raise AudioError(NOT_AUDIO)
    while start < size and seconds > 0:
        part, stop, length = _run(stream, start, size, seconds)
        yield part
        seconds -= length
        start = skip_tags(stream, stop, size)
        if start < size and not _begins(stream, start, size):
            _check_tail(stream, start, size)
            return


def _run(stream, start, size, seconds):
    """Return the file from here on, where its frames end, and its seconds.

    They end with the number that the first frame gives, or with the last frame
    of its kind, or where there is enough.
    """
    first = _frame(stream, start)
    begin = place = start + (first.length if first.is_header else 0)
    most = first.number or size  # a frame is longer than a byte
    count, samples, rate = 0, 0, first.kind[-1]
    while count < most:
        frame = _frame(stream, place)
        if frame is None or frame.kind != first.kind:
            break
        if frame.is_header and place > start:  # another file
            break
        place += frame.length
        if place > size:
            raise torn()
        count += 1
        samples += frame.samples
        if samples >= seconds * rate:
            break
    length = samples / rate
    stated = first.number > 0
    if stated and length < seconds:
        _check_number(first, count, _frame(stream, place))
    if not first.field:
        prefix = _xing(read_at(stream, start, 4), first, count)
        return Part(begin, place, {}, prefix, stated), place, length
    if not stated:
        patch = {start + first.field: struct.pack(">I", count)}
        return Part(start, place, patch, stated=False), place, length
    stop = max(place, start + first.size) if first.size else size
    return Part(start, min(stop, size)), place, length


def _check_number(first, count, following):
    """Compare the number of frames with what the first one says."""
    if count < first.number:
        raise AudioError(
            f"truncated, {count} of {first.number} frames are there"
        )
    if following and following.kind == first.kind and not following.is_header:
        raise AudioError(
            f"its header says {first.number} frames, and more follow. {AGAIN}"
        )


def _xing(head, first, count):
    """Return a frame that gives the number of frames.

    Without it libsndfile takes all frames for as long as the first.
    """
    if first.kind[1] != 3:  # layers 1 and 2: that is so
        return b""
    head = bytes([0xFF, head[1] | 1, 0xE0 | head[2] & 0x0C, head[3]])
    content = head + bytes(_side(head)) + b"Xing" + struct.pack(">II", 1, count)
    return content.ljust(_frame_of(head[1], head[2]).length, b"\0")


def _search(stream, start, size):
    """Return where frames begin, or None."""
    if _begins(stream, start, size):
        return start
    content = read_at(stream, start, SEARCHED)
    place = -1
    while (place := content.find(b"\xff", place + 1)) >= 0:
        if _begins(stream, start + place, size):
            return start + place
    return None


def _begins(stream, place, size):
    """Return whether three frames begin here, or all up to the end."""
    for _ in range(3):
        frame = _frame(stream, place)
        if frame is None:
            return False
        place += frame.length
        if place >= size or skip_tags(stream, place, size) > place:
            return True
    return True


def _check_tail(stream, start, size):
    """Check that no frame, and no part of one, is behind the last one."""
    content = read_at(stream, start, 4)
    if len(content) < 4 and content.startswith(b"\xff"):
        raise torn()
    found = _search(stream, start, size) is not None
    if found or not is_spare(stream, start, size, start):
        raise AudioError(f"damaged, no frame begins at byte {start}")


def _frame(stream, place):
    """Return the frame that begins at an offset, or None."""
    content = read_at(stream, place, 64)
    if len(content) < 4 or content[0] != 0xFF:
        return None
    frame = _frame_of(content[1], content[2])
    if frame is None:
        return None
    content = content.ljust(64, b"\0")  # of a file that ends within the frame
    place = 4 + _side(content)
    if content[36:40] == b"VBRI":  # libsndfile does not know it
        number = int.from_bytes(content[50:54], "big")
        return frame._replace(is_header=True, number=number)
    if frame.kind[1] != 3 or content[place:][:4] not in (b"Xing", b"Info"):
        return frame
    flags = content[place + 7]
    has_number, has_size = flags & 1, flags & 3 == 3
    number = content[place + 8 :][:4] if has_number else b""
    size = content[place + 12 :][:4] if has_size else b""
    return frame._replace(
        is_header=True,
        field=place + 8 if has_number else 0,
        number=int.from_bytes(number, "big"),
        size=int.from_bytes(size, "big"),
    )


def _side(head):
    """Return the bytes between the head of a frame and a Xing header."""
    mono, version_1 = head[3] >> 6 == 3, head[1] >> 3 & 3 == 3
    return (17 if mono else 32) if version_1 else (9 if mono else 17)


@functools.cache
def _frame_of(second, third):
    """Return the frame with these second and third bytes, or None."""
    version = {3: 1, 2: 2, 0: 2.5}.get(second >> 3 & 3)
    layer = 4 - (second >> 1 & 3)
    bitrate, rate = third >> 4, third >> 2 & 3
    if second < 0xE0 or version is None or layer > 3:
        return None
    if bitrate in (0, 15) or rate == 3:
        return None
    bitrate = 1000 * BITRATES[min(2, int(version)), layer][bitrate]
    rate = (44100, 48000, 32000)[rate] // {1: 1, 2: 2, 2.5: 4}[version]
    padding = third >> 1 & 1
    if layer == 1:
        frame = 4 * (12 * bitrate // rate + padding), 384
    else:
        samples = 576 if layer == 3 and version > 1 else 1152
        frame = samples // 8 * bitrate // rate + padding, samples
    return Frame((version, layer, rate), *frame)
