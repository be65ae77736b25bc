"""A part of an audio file, and what all containers share."""

import io
import os
from typing import NamedTuple

from petl_modules.utils import AudioError

# Bytes behind the sound that nothing has to explain: at most so many, and at
# most this share of the sound
SPARE, SHARE = 4096, 1 / 16
NOT_AUDIO = (
    "not audio, or damaged, or in a container other than WAV, AIFF, FLAC, "
    "Ogg, MP3, AU, CAF, W64, NIST and VOC. Convert it to WAV"
)
AGAIN = "Open it in an audio editor and save it again"


class Part(NamedTuple):
    """A range of a file's bytes that is decoded as a file of its own.

    Arguments
    ---------
    start : int
        Offset of its first byte.
    stop : int
        Offset behind its last byte.
    patches : dict
        Bytes by their offset in the file, to read instead of the file's: the
        right size where a header has none.
    prefix : bytes
        Bytes to read before the first.
    stated : bool
        Whether the file states where the part ends.
    md5 : bytes
        Of its samples as integers, if the file states it.
    """

    start: int
    stop: int
    patches: dict = {}
    prefix: bytes = b""
    stated: bool = True
    md5: bytes = b""


class Window(io.RawIOBase):
    """A part of a file as a file of its own.

    Arguments
    ---------
    stream : io.BufferedIOBase
        The file.
    part : Part
        The part.
    """

    def __init__(self, stream, part):
        self.stream = stream
        self.part = part
        self.size = len(part.prefix) + part.stop - part.start
        self.place = 0

    def readable(self):
        """Return True."""
        return True

    def seekable(self):
        """Return True."""
        return True

    def tell(self):
        """Return the offset in the part."""
        return self.place

    def seek(self, offset, whence=os.SEEK_SET):
        """Go to an offset in the part."""
        self.place = max(0, offset + (0, self.place, self.size)[whence])
        return self.place

    def readinto(self, buffer):
        """Fill a buffer as far as the part goes; return the bytes read."""
        view = memoryview(buffer).cast("B")[: max(0, self.size - self.place)]
        prefix = self.part.prefix[self.place :][: len(view)]
        view[: len(prefix)] = prefix
        first = self.place + len(prefix) - len(self.part.prefix)
        first += self.part.start  # in the file
        rest, count = view[len(prefix) :], 0
        if rest:
            self.stream.seek(first)
            count = self.stream.readinto(rest)
        for offset, new in self.part.patches.items():
            for place, byte in enumerate(new, offset - first):
                if 0 <= place < count:
                    rest[place] = byte
        self.place += len(prefix) + count
        return len(prefix) + count


def read_at(stream, offset, count):
    """Return up to ``count`` bytes of a stream, from an offset."""
    stream.seek(offset)
    return stream.read(count)


def size_of(stream):
    """Return the size of a stream in bytes."""
    return stream.seek(0, os.SEEK_END)


def truncated(missing):
    """Return the error for a file whose last bytes are missing."""
    return AudioError(f"truncated, {missing} bytes are missing at its end")


def torn():
    """Return the error for a file that ends within a frame."""
    return AudioError("truncated, its last frame is not complete")


def check_rest(stream, sound, stop, size):
    """Check that a file has no more sound than its header says.

    Arguments
    ---------
    stream : io.BufferedIOBase
        The file.
    sound : int
        Bytes of sound, as the header says.
    stop : int
        Where the sound, and what is known to follow it, ends.
    size : int
        Where the file ends.

    Raises
    ------
    AudioError
        There is more, see ``is_spare``.
    """
    stop = skip_tags(stream, stop, size)
    size = max(stop, end_of_content(stream))
    if not is_spare(stream, stop, size, sound):
        raise AudioError(
            f"its header says {sound} bytes of sound, and {size - stop} more "
            f"bytes follow. {AGAIN}"
        )


def spare(sound):
    """Return how many bytes may follow some bytes of sound."""
    return min(SPARE, max(16, int(sound * SHARE)))


def is_spare(stream, start, stop, sound):
    """Return whether a range behind the sound may be left out.

    It may if it is short beside the sound (in bytes), or all zeros.
    """
    if stop - start <= spare(sound):
        return True
    stream.seek(start)
    while block := stream.read(1 << 16):
        if block.strip(b"\0"):
            return False
    return True


def end_of_content(stream):
    """Return where the tags begin that end a file, or its size.

    ID3v1, Lyrics3 and APE say at their end how long they are.
    """
    stop = size_of(stream)
    if read_at(stream, max(0, stop - 128), 3) == b"TAG":
        stop -= 128
    tail = read_at(stream, max(0, stop - 15), 15)
    if tail[6:] == b"LYRICS200" and tail[:6].isdigit():
        stop = max(0, stop - 15 - int(tail[:6]))
    tail = read_at(stream, max(0, stop - 32), 32)
    if tail[:8] == b"APETAGEX":
        header = 32 if tail[23] & 128 else 0
        stop -= int.from_bytes(tail[12:16], "little") + header
    return max(0, stop)


def end_of_sound(stream, start):
    """Return where the last byte ends that is no tag, or no 0 behind a start.

    Up to 16 zeros are kept, as sound may end with some.
    """
    stop = size = end_of_content(stream)
    while stop > start:
        first = max(start, stop - (1 << 16))
        stop = first + len(read_at(stream, first, stop - first).rstrip(b"\0"))
        if stop > first:
            break
    return min(size, stop + 16)


def skip_tags(stream, offset, size):
    """Return the offset behind the tags (ID3, APE) that begin at an offset."""
    while offset < size:
        head = read_at(stream, offset, 32)
        if head[:3] == b"ID3" and len(head) > 9 and max(head[6:10]) < 128:
            a, b, c, d = head[6:10]
            footer = 10 if head[5] & 16 else 0
            offset += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            is_header = head[23] & 32
            rest = int.from_bytes(head[12:16], "little")
            offset += 32 + (rest if is_header else 0)
        elif head[:3] == b"TAG":
            offset += 128
        else:
            break
    return min(offset, size)
