"""Audio files are compared with what they state about their length."""

import io
import os
import struct

import numpy as np
import pytest
import soundfile
import torch

from petl_modules.data import check_audio, read_audio
from petl_modules.data.levels import OPEN_END
from petl_modules.utils import AudioError

RATE = 16000
TIME = np.arange(RATE) / RATE
TONE = 0.3 * np.sin(2 * np.pi * 440 * TIME) * (1 + 0.5 * np.sin(19 * TIME))


def written(kind, samples=TONE, subtype=None, endian=None):
    """The bytes of a file by libsndfile."""
    file = io.BytesIO()
    soundfile.write(
        file, samples, RATE, format=kind, subtype=subtype, endian=endian
    )
    return file.getvalue()


def chunk(name, content, code="<I"):
    """A chunk of RIFF or IFF."""
    padding = b"\0" * (len(content) % 2)
    return name + struct.pack(code, len(content)) + content + padding


PCM = (TONE * 32767).astype("<i2")
FMT = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)


def riff(*chunks):
    """A WAV file made of chunks."""
    body = b"WAVE" + b"".join(chunks)
    return chunk(b"RIFF", body)


def resized(content, name, sizes, code):
    """A file with other sizes in the chunk of this name."""
    content, place = bytearray(content), content.index(name) + len(name)
    content[place : place + struct.calcsize(code)] = struct.pack(code, sizes)
    return bytes(content)


def patched(content, offset, new):
    """A file with other bytes at an offset."""
    return content[:offset] + new + content[offset + len(new) :]


def piped_flac(content):
    """A FLAC file as written to a pipe: 0 samples in its header."""
    return patched(content, 21, bytes([content[21] & 0xF0, 0, 0, 0, 0]))


def without_xing(mp3):
    """An MP3 file without its first frame, which has the header."""
    return mp3[mp3.index(mp3[:2], 40) :]


WAV, AIFF, FLAC = written("WAV"), written("AIFF"), written("FLAC")
OGG, MP3, AU = written("OGG"), written("MP3"), written("AU")
RF64, W64, CAF = written("RF64"), written("W64"), written("CAF")
NIST, VOC = written("NIST"), written("VOC")
OPUS = written("OGG", subtype="OPUS")
W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")

# What states its length
STATED = {
    "WAV": WAV,
    "WAV, 24 bit, 3 channels": written(
        "WAV", np.stack([TONE] * 3, 1), "PCM_24"
    ),
    "WAV, float": written("WAV", subtype="FLOAT"),
    "WAV, IMA ADPCM": written("WAV", subtype="IMA_ADPCM"),
    "WAV, MS ADPCM": written("WAV", subtype="MS_ADPCM"),
    "WAV, GSM": written("WAV", subtype="GSM610"),
    "WAV, mu-law": written("WAV", subtype="ULAW"),
    "WAV, a list behind the sound": riff(
        chunk(b"fmt ", FMT),
        chunk(b"data", PCM.tobytes()),
        chunk(b"LIST", b"INFO" + bytes(9000)),
    ),
    "WAV behind an ID3 tag": b"ID3\3\0\0\0\0\0\x0b" + bytes(11) + WAV,
    "WAVEX": written("WAVEX"),
    "RIFX": written("WAV", endian="BIG"),
    "RF64": RF64,
    "W64": W64,
    "AIFF": AIFF,
    "AIFF, float": written("AIFF", subtype="FLOAT"),
    "AIFF, IMA ADPCM": written("AIFF", subtype="IMA_ADPCM"),
    "AU": AU,
    "AU, little endian": written("AU", endian="LITTLE"),
    "NIST": NIST,
    "VOC": VOC,
    "CAF": CAF,
    "FLAC": FLAC,
    "FLAC, 24 bit": written("FLAC", subtype="PCM_24"),
    "FLAC behind an ID3 tag": b"ID3\3\0\0\0\0\0\x0b" + bytes(11) + FLAC,
    "Ogg Vorbis": OGG,
    "Ogg Opus": OPUS,
    "Ogg Vorbis, chained": OGG + OGG,
    "MP3": MP3,
    "MP3 behind a tag": b"ID3\3\0\0\0\0\x08\0" + bytes(1024) + MP3,
    "MP3, two in a row": MP3 + MP3,
}
# What does not: read to its end
OPEN = {
    **{
        f"WAV, size {size:#x}": resized(WAV, b"data", size, "<I")
        for size in (0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    },
    "RIFX, size 0": resized(STATED["RIFX"], b"data", 0, ">I"),
    "RIFX, largest size": resized(STATED["RIFX"], b"data", 2**32 - 1, ">I"),
    "RF64, size 0": patched(RF64, RF64.index(b"ds64") + 16, bytes(8)),
    "RF64, size -1": patched(RF64, RF64.index(b"ds64") + 16, b"\xff" * 8),
    "W64, size 0": resized(W64, W64_DATA, 0, "<Q"),
    "W64, size of the head": resized(W64, W64_DATA, 24, "<Q"),
    "W64, size -1": resized(W64, W64_DATA, 2**64 - 1, "<Q"),
    "AIFF, size 0": resized(AIFF, b"SSND", 0, ">I"),
    "AIFF, size of the head": resized(AIFF, b"SSND", 8, ">I"),
    "AIFF, size by sox": resized(AIFF, b"SSND", 0x7F000008, ">I"),
    "AIFF, size -1": resized(AIFF, b"SSND", 2**32 - 1, ">I"),
    "AU, size 0": patched(AU, 8, bytes(4)),
    "AU, size -1": patched(AU, 8, b"\xff" * 4),
    "CAF, size -1": resized(CAF, b"data", 2**64 - 1, ">Q"),
    "NIST without a count": NIST.replace(b"sample_count -i", b"sample_kount -i"),
    "FLAC from a pipe": piped_flac(FLAC),
    "MP3 without Xing": without_xing(MP3),
}


def put(tmp_path, content, name="clip.wav"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def facts(path):
    return check_audio([path], title=None)[0]


@pytest.mark.parametrize("name", [*STATED, *OPEN])
def test_good_file_is_read_whole(name, tmp_path):
    path = put(tmp_path, {**STATED, **OPEN}[name])
    samples = read_audio(path)
    repeats = 2 if "chained" in name or "two" in name else 1
    codec = "ADPCM" in name or "without Xing" in name  # whole blocks
    assert abs(len(samples) - repeats * RATE) <= 2000 * codec
    if "without Xing" not in name:  # else the encoder's delay is in front
        wanted = np.tile(TONE, repeats)[: len(samples)]
        likeness = np.corrcoef(samples[: len(wanted)], wanted)[0, 1]
        assert likeness > 0.995
    found = facts(path)
    assert found.duration == len(samples) / RATE
    assert (OPEN_END in found.remarks) == (name in OPEN)


@pytest.mark.parametrize("name", STATED)
def test_cut_file_is_refused(name, tmp_path):
    """Or nothing of its sound is missing."""
    content = STATED[name]
    whole = read_audio(put(tmp_path, content))
    random = np.random.default_rng(0)
    cuts = {1, 2, len(content) // 2, *random.integers(1, len(content), 17)}
    refused = 0
    for cut in cuts:
        path = put(tmp_path, content[:-cut])
        try:
            samples = read_audio(path)
        except AudioError as error:
            assert str(path) in str(error)
            refused += 1
            with pytest.raises(AudioError):
                facts(path)
        else:
            link = len(whole) // 2  # the end of a whole file
            at_link = cut == len(content) // 2 and len(samples) == link
            assert at_link or torch.equal(samples, whole), cut
    assert refused >= 15


@pytest.mark.parametrize("name", OPEN)
def test_open_file_ends_where_it_was_cut(name, tmp_path):
    """Within a frame it is refused, between two it is whole."""
    content = OPEN[name]
    whole = read_audio(put(tmp_path, content))
    header = len(content) - 2 * RATE
    ends = [header + 2 * 4000, header + 2 * 4000 + 1]
    if "FLAC" in name or "MP3" in name:
        ends = [len(content) * part // 9 for part in range(4, 9)]
    kept = refused = 0
    for end in ends:
        try:
            samples = read_audio(put(tmp_path, content[:end]))
        except AudioError as error:
            assert "truncated" in str(error)
            refused += 1
        else:
            assert 2000 < len(samples) < len(whole)
            assert torch.equal(samples, whole[: len(samples)])
            kept += 1
    assert refused and (kept or len(ends) > 2)
