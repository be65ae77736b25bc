"""Containers made of chunks: WAV, RF64, W64, AIFF and CAF.

Most programs that write to a pipe leave a size that says so: 0, the largest
number, or nearly that. Such sound ends with the file.
"""

import struct
from typing import NamedTuple

from petl_modules.data.containers.part import (
    AGAIN,
    NOT_AUDIO,
    Part,
    check_rest,
    read_at,
    size_of,
    spare,
    torn,
    truncated,
)
from petl_modules.utils import AudioError

GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")


class Form(NamedTuple):
    """How a container writes its chunks. Offsets are those of the file."""

    kind: tuple  # offset of the file's kind, and what may be there
    first: int  # offset of the first chunk
    head: str  # struct of a chunk's name and size
    align: int  # sizes are padded to multiples of this
    sound: bytes  # the chunk with the sound
    lead: int  # bytes in front of the sound in its chunk
    streamed: int  # sizes from here on mean "not known"
    format: bytes  # the chunk with the sample format
    frame: str  # struct of the numbers whose product are a frame's bytes
    counts_head: bool = False  # whether a size includes the chunk's head


RIFF = Form(
    kind=(8, b"WAVE"),
    first=12,
    head="<4sI",
    align=2,
    sound=b"data",
    lead=0,
    streamed=0x7FFFF000,
    format=b"fmt ",
    frame="<12xH",
)
FORMS = {
    b"RIFF": RIFF,
    b"RIFX": RIFF._replace(head=">4sI", frame=">12xH"),
    b"RF64": RIFF._replace(streamed=1 << 62),
    b"FORM": Form(
        kind=(8, b"AIFF", b"AIFC"),
        first=12,
        head=">4sI",
        align=2,
        sound=b"SSND",
        lead=8,
        streamed=0x7F000000,
        format=b"COMM",
        frame=">H4xH",
    ),
    b"riff": Form(
        kind=(24, b"wave"),
        first=40,
        head="<16sQ",
        align=8,
        sound=b"data" + GUID,
        lead=0,
        streamed=1 << 62,
        format=b"fmt " + GUID,
        frame="<12xH",
        counts_head=True,
    ),
    b"caff": Form(
        kind=(4, b"\0\1\0\0"),
        first=8,
        head=">4sQ",
        align=1,
        sound=b"data",
        lead=4,
        streamed=1 << 62,
        format=b"desc",
        frame=">16xI",
    ),
}
# Encodings of AIFF whose samples take as many bytes as their bits need
PLAIN = (b"NONE", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"FL32", b"fl64")


class Chunk(NamedTuple):
    """One chunk: its name, and where its content begins and ends."""

    name: bytes
    start: int
    stop: int


class Sound(NamedTuple):
    """Where the sound begins and ends, and where its size is written."""

    start: int
    stop: int
    field: int
    code: str  # struct of the size


def chunk_parts(stream, form):
    """Yield the one part of a file made of chunks.

    Arguments
    ---------
    stream : Window
        The file, from where the container begins.
    form : Form
        How the container writes its chunks.

    Yields
    ------
    Part

    Raises
    ------
    AudioError
        The sizes do not fit the file.
    """
    offset, *kinds = form.kind
    if not read_at(stream, offset, 4).startswith(tuple(kinds)):
        raise AudioError(NOT_AUDIO)
    size, stop, chunks = size_of(stream), form.first, {}
    while form.sound not in chunks:
        chunk = _chunk_at(stream, stop, form)
        if chunk is None:
            raise AudioError("not audio, or damaged (it has no sound chunk)")
        chunks[chunk.name], stop = chunk, chunk.stop
    sound = _sound(stream, chunks, form)
    frame = _frame_bytes(stream, chunks, form)
    if _is_streamed(stream, sound, size, form):
        length = size - sound.start
        padded = length % 2 == 0 and (length - 1) % frame == 0
        if length % frame and not padded:
            raise torn()
        yield Part(0, size, _patch(sound, length, form), stated=False)
        return
    if sound.stop > size:
        raise truncated(sound.stop - size)
    length, stop = sound.stop - sound.start, sound.stop
    if form.sound == b"SSND":
        _check_frames(stream, chunks, length, frame)
    while (chunk := _chunk_at(stream, stop, form)) and chunk.stop <= size:
        if chunk.name == form.sound:
            raise AudioError(f"holds two chunks of sound. {AGAIN}")
        if chunk.name[:4] in FORMS:
            raise AudioError(f"another file follows in it. {AGAIN}")
        stop = chunk.stop
    check_rest(stream, length, stop, size)
    # libsndfile takes what is behind the sound of W64 for sound
    yield Part(0, sound.stop if form.counts_head else size)


def _chunk_at(stream, place, form):
    """Return the chunk at an offset, or None if there is none."""
    head = struct.Struct(form.head)
    # Some programs do not pad a chunk of an odd size
    for offset in (place + -place % form.align, place):
        content = read_at(stream, offset, head.size)
        name = content[:4]
        if len(content) == head.size and all(32 <= c < 127 for c in name):
            name, length = head.unpack(content)
            start = offset + head.size
            length -= head.size * form.counts_head
            return Chunk(name, start, start + max(0, length))
    return None


def _sound(stream, chunks, form):
    """Return where the sound is, by its chunk or by the sizes of RF64."""
    chunk = chunks[form.sound]
    start, stop = chunk.start + form.lead, chunk.stop
    code = form.head[0] + form.head[-1]
    field = chunk.start - struct.calcsize(code)
    if b"ds64" in chunks:
        field, code = chunks[b"ds64"].start + 8, "<Q"
        stop = start + int.from_bytes(read_at(stream, field, 8), "little")
    return Sound(start, max(start, stop), field, code)


def _is_streamed(stream, sound, size, form):
    """Return whether the size was not known when it was written."""
    if sound.stop > sound.start:
        declared = sound.stop - sound.start + form.lead
        return sound.stop > size and declared >= form.streamed
    chunk = _chunk_at(stream, sound.start, form)
    return sound.start < size and (chunk is None or chunk.stop > size)


def _patch(sound, length, form):
    """Return the bytes that give the sound its size."""
    size = length + form.lead
    if form.counts_head:
        size += struct.calcsize(form.head)
    most = 256 ** struct.calcsize(sound.code) - 1
    return {sound.field: struct.pack(sound.code, min(size, most))}


def _frame_bytes(stream, chunks, form):
    """Return the bytes of a frame, or of a packet of frames."""
    if form.format not in chunks:
        return 1
    frame = struct.Struct(form.frame)
    content = read_at(stream, chunks[form.format].start, frame.size)
    numbers = frame.unpack(content.ljust(frame.size, b"\0"))
    if form.sound == b"SSND":  # channels and bits of a sample
        return max(1, numbers[0] * -(-numbers[1] // 8))
    return max(1, numbers[0])


def _check_frames(stream, chunks, length, frame):
    """Compare AIFF's number of frames with the size of the sound."""
    if b"COMM" not in chunks:  # it follows the sound
        return
    _, start, stop = chunks[b"COMM"]
    content = read_at(stream, start, min(22, stop - start))
    if (content[18:22] or b"NONE") not in PLAIN:
        return
    stated = int.from_bytes(content[2:6], "big") * frame
    if not 0 <= length - stated <= spare(stated):
        raise AudioError(
            f"its header says {stated} bytes of sound, and its sound chunk "
            f"has {length}. {AGAIN}"
        )
