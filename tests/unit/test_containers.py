"""Audio files are compared with what they state about their length."""

import io
import struct
import time

import numpy as np
import pytest
import soundfile
import torch

from petl_modules.data import check_audio, read_audio
from petl_modules.data.containers import flac, parts_of
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
    content = file.getvalue()
    return same_serial(content) if kind == "OGG" else content


def same_serial(content):
    """An Ogg stream with serial number 1 instead of the one libsndfile draws.

    Behind FLAC a drawn one matches a checksum of 16 bits once in 60 times.
    """
    pages, start = b"", 0
    while start < len(content):
        lengths = start + 27 + content[start + 26]
        end = lengths + sum(content[start + 27 : lengths])
        page = content[start : start + 14] + struct.pack("<I", 1)
        page += content[start + 18 : start + 22]
        rest = content[start + 26 : end]
        check = 0
        for byte in page + bytes(4) + rest:
            check ^= byte << 24
            for _ in range(8):
                check = check << 1 ^ (0x104C11DB7 if check >> 31 else 0)
        pages += page + struct.pack("<I", check) + rest
        start = end
    return pages


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


def with_count(mp3, count):
    """An MP3 file with another number of frames in its header."""
    return patched(mp3, mp3.index(b"Xing") + 8, struct.pack(">I", count))


def count_of(mp3):
    """The number of frames in the header of an MP3 file."""
    return struct.unpack_from(">I", mp3, mp3.index(b"Xing") + 8)[0]


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
    "NIST without a count": NIST.replace(
        b"sample_count -i", b"sample_kount -i"
    ),
    "FLAC from a pipe": piped_flac(FLAC),
    "MP3 without Xing": without_xing(MP3),
    "MP3, 0 frames": with_count(MP3, 0),
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


def voc(*blocks):
    """A VOC file made of blocks of a kind and a content."""
    head = VOC[: VOC.index(b"\x1a") + 1] + bytes([26, 0, 10, 1, 41, 17])
    for kind, content in blocks:
        size = len(content).to_bytes(3, "little")
        head += bytes([kind]) + size + content
    return head + b"\0"


HALF = PCM.tobytes()[:RATE]
SOUND = struct.pack("<IBBHI", RATE, 16, 1, 4, 0)  # the head of VOC's block 9
TINY = riff(chunk(b"fmt ", FMT), chunk(b"data", HALF)) + HALF
FLAC_TOTAL = int.from_bytes(FLAC[21:26], "big")
REFUSED = {
    "WAV, half": (TINY, "says 16000 bytes of sound, and 16000 more"),
    "WAV, a tenth": (resized(WAV, b"data", 3200, "<I"), "says 3200 bytes"),
    "WAV, half, then a list": (
        TINY + chunk(b"LIST", b"INFO"),
        "says 16000 bytes",
    ),
    "WAV, an eighth is left out": (
        resized(WAV, b"data", 28_000, "<I"),
        "says 28000 bytes of sound, and 4000 more",
    ),
    "WAV, two sounds": (
        riff(*[chunk(b"fmt ", FMT)] + [chunk(b"data", HALF)] * 2),
        "two chunks of sound",
    ),
    "WAV, size with the header": (
        resized(WAV, b"data", 2 * RATE + 36, "<I"),
        "36 bytes are missing",
    ),
    "RIFX, half": (resized(STATED["RIFX"], b"data", RATE, ">I"), "says 16000"),
    "RF64, half": (
        patched(RF64, RF64.index(b"ds64") + 16, struct.pack("<Q", RATE)),
        "says 16000 bytes",
    ),
    "W64, half": (resized(W64, W64_DATA, RATE + 24, "<Q"), "says 16000 bytes"),
    "AIFF, half": (resized(AIFF, b"SSND", RATE + 8, ">I"), "says 32000 bytes"),
    "AIFF, half the frames": (
        patched(AIFF, AIFF.index(b"COMM") + 10, struct.pack(">I", RATE // 2)),
        "says 16000 bytes of sound, and its sound chunk has 32000",
    ),
    "AU, half": (patched(AU, 8, struct.pack(">I", RATE)), "says 16000 bytes"),
    "CAF, half": (resized(CAF, b"data", RATE + 4, ">Q"), "says 16000 bytes"),
    "NIST, half": (
        NIST.replace(b"-i 16000\nend", b"-i 8000\nend"),
        "says 16000",
    ),
    "VOC, two sounds": (
        voc((9, SOUND + HALF), (9, SOUND + HALF)),
        "2 blocks of sound",
    ),
    "VOC, more sound": (
        voc((9, SOUND + HALF), (2, HALF)),
        "2 blocks of sound",
    ),
    "VOC, silence": (voc((9, SOUND + HALF), (3, bytes(3))), "block of kind 3"),
    "VOC, more than its end": (
        voc((9, SOUND + HALF)) + HALF,
        "more bytes follow",
    ),
    "FLAC, two in a row": (FLAC + FLAC, "another file follows"),
    "FLAC, then a shorter one": (
        written("FLAC", np.tile(TONE, 2)) + FLAC,
        "another file follows",
    ),
    "FLAC, then WAV": (FLAC + WAV, "another file follows"),
    "FLAC, fewer samples": (
        patched(FLAC, 22, struct.pack(">I", RATE // 2)),
        "says 8000 samples, and 16000 are there",
    ),
    "FLAC, more samples": (
        patched(FLAC, 22, struct.pack(">I", 2 * RATE)),
        "damaged",
    ),
    **{
        f"FLAC, then {name}": (FLAC + content, "another file follows")
        for name, content in {
            "MP3": MP3,
            "MP3 without Xing": without_xing(MP3),
            "MP3 with a tag": b"ID3\3\0\0\0\0\x08\0" + bytes(1024) + MP3,
            "a short MP3": written("MP3", TONE[:1000]),
            "Ogg": OGG,
            "Opus": OPUS,
            "AIFF": AIFF,
            "AU": AU,
            "FLAC from a pipe": piped_flac(FLAC),
        }.items()
    },
    **{
        f"FLAC from a pipe, then {name}": (piped_flac(FLAC) + content, reason)
        for name, content, reason in (
            ("FLAC", FLAC, "another file follows"),
            ("FLAC from a pipe", piped_flac(FLAC), "another file follows"),
            ("WAV", WAV, "its last frame is not complete"),
            ("MP3", MP3, "its last frame is not complete"),
            ("Ogg", OGG, "its last frame is not complete"),
        )
    },
    **{
        f"MP3, {count:+} frames": (
            with_count(MP3, count_of(MP3) + count),
            "frames, and more follow" if count < 0 else "truncated",
        )
        for count in (-29, -10, -1, 1, 10)
    },
    "MP3, then one without Xing": (MP3 + without_xing(MP3), "more follow"),
    "MP3, ends behind the word Xing": (
        MP3[: MP3.index(b"Xing") + 4],
        "damaged",
    ),
    "Ogg, a page missing": (
        OGG[: OGG.rindex(b"OggS")]
        + patched(OGG[OGG.rindex(b"OggS") :], 18, b"\7"),
        "damaged",
    ),
    "Ogg, junk behind": (OGG + b"x" * 5000, "more bytes follow"),
    "MP3, junk within": (MP3[:1044] + b"x" * 100 + MP3[1044:], "missing|there"),
    "MP3, no Xing, junk within": (
        without_xing(MP3)[:900] + b"x" * 100 + without_xing(MP3)[900:],
        "damaged, no frame begins",
    ),
    "MP3, junk behind": (MP3 + b"x" * 5000, "damaged, no frame begins"),
    "Ogg, parts of two kinds": (
        OGG + written("OGG", np.stack([TONE] * 2, 1)),
        "parts differ",
    ),
    "W64, empty chunks": (
        W64.replace(W64_DATA, b"some" + bytes(12) + bytes(8), 1),
        "no sound chunk",
    ),
    "AVI": (b"RIFF\0\0\0\0AVI " + bytes(100), "other than WAV, AIFF"),
    "SVX": (written("SVX"), "other than WAV, AIFF"),
    "HTK": (written("HTK"), "other than WAV, AIFF"),
    "MAT5": (written("MAT5"), "other than WAV, AIFF"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_does_not_fit_its_header(name, tmp_path):
    content, reason = REFUSED[name]
    path = put(tmp_path, content)
    with pytest.raises(AudioError, match=reason):
        facts(path)
    with pytest.raises(AudioError, match=reason):
        read_audio(path)


FINE = {
    "MP3, Lyrics3 and ID3v1": MP3
    + b"LYRICSBEGIN"
    + bytes(6000)
    + b"006011LYRICS200"
    + b"TAG"
    + bytes(125),
    "MP3, APE with a footer alone": MP3
    + b"k" * 6000
    + b"APETAGEX"
    + struct.pack("<IIII", 2000, 6032, 1, 0)
    + bytes(8),
    "few bytes behind": WAV + bytes(range(256)) * 4,
    "zeros behind": WAV + bytes(20_000),
    "chunks behind": WAV + 5 * chunk(b"LIST", b"INFO" + bytes(2001)),
    "odd chunk that is padded": WAV.replace(
        b"data", b"note" + struct.pack("<I", 3) + b"abc\0data"
    ),
    "tags behind": MP3 + b"TAG" + bytes(125),
    "large tag behind": MP3 + b"ID3\3\0\0\0\0\x08\0" + bytes(1024),
    "junk in front": b"junk" * 300 + MP3,
    "zeros behind MP3": MP3 + bytes(9000),
    "tag behind FLAC": FLAC + b"TAG" + bytes(125),
    "large tag behind FLAC": FLAC
    + b"ID3\4\0\0\0\0\x10\0"
    + bytes(range(1, 9)) * 256,
    "few bytes behind FLAC": FLAC + b"x" * 200,
    "zeros behind FLAC": FLAC + bytes(99_000),
    "zeros behind FLAC from a pipe": piped_flac(FLAC) + bytes(99_000),
    "APE behind FLAC": FLAC
    + b"k" * 6000
    + b"APETAGEX"
    + struct.pack("<IIII", 2000, 6032, 1, 0)
    + bytes(8),
    "0 frames in MP3's header": with_count(MP3, 0),
    "WAV header in FLAC's metadata": patched(FLAC, 4, b"\0")[:42]
    + b"\x02\0\0\x30riff"
    + WAV[:44]
    + FLAC[42:],
    "VOC with a text": voc((5, b"text\0"), (9, SOUND + PCM.tobytes())),
    "VOC without its last byte": VOC[:-1],
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_around_the_sound_does_no_harm(name, tmp_path):
    is_mp3 = "MP3" in name or FINE[name].count(MP3)
    plain = FLAC if "FLAC" in name else MP3 if is_mp3 else WAV
    wanted = read_audio(put(tmp_path, plain))
    if "VOC" in name:  # rounds otherwise
        wanted = read_audio(put(tmp_path, VOC))
        found = read_audio(put(tmp_path, FINE[name]))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
        return
    assert torch.equal(read_audio(put(tmp_path, FINE[name])), wanted)


@pytest.mark.parametrize("rest", [b"TAG" + bytes(125), bytes(5000)])
@pytest.mark.parametrize("name", ["WAV", "W64", "AIFF", "AU", "NIST", "VOC"])
def test_what_is_behind_the_sound_is_not_decoded(name, rest, tmp_path):
    wanted = read_audio(put(tmp_path, STATED[name]))
    found = read_audio(put(tmp_path, STATED[name] + rest))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("name", ["WAV", "W64", "AIFF", "AU", "NIST", "VOC"])
def test_two_files_in_one_are_refused(name, tmp_path):
    path = put(tmp_path, STATED[name] * 2)
    with pytest.raises(AudioError):
        read_audio(path)


def test_sound_of_an_odd_size_that_is_not_padded(tmp_path):
    """And chunks behind it."""
    content = written("WAV", TONE[:999], "PCM_U8")
    wanted = read_audio(put(tmp_path, content))
    assert len(content) == 44 + 1000
    content = content[:-1] + chunk(b"LIST", bytes(9000))
    assert torch.equal(read_audio(put(tmp_path, content)), wanted)


def test_parts_follow_each_other(tmp_path):
    """Each is decoded as it is alone."""
    tag = b"ID3\3\0\0\0\0\x08\0" + bytes(1024)
    end = b"TAG" + bytes(125)
    for one, row in (
        (MP3, [MP3, MP3, MP3]),
        (MP3, [tag, MP3, end, tag, MP3, end]),
        (OGG, [OGG, OGG]),
        (OPUS, [OPUS, OPUS]),
    ):
        alone = read_audio(put(tmp_path, one))
        found = read_audio(put(tmp_path, b"".join(row)))
        assert torch.equal(found, alone.repeat(row.count(one)))


def test_mp3_without_xing_is_the_same_sound(tmp_path):
    """libsndfile alone takes its length from the first frame."""
    wanted = read_audio(put(tmp_path, MP3))
    path = put(tmp_path, without_xing(MP3))
    assert soundfile.info(path).frames < RATE // 2
    found = read_audio(path)
    assert len(found) >= RATE
    shifts = [
        shift
        for shift in range(len(found) - RATE + 1)
        if torch.allclose(found[shift:][:RATE], wanted, atol=1e-3)
    ]
    assert len(shifts) == 1


@pytest.mark.parametrize("count", [1, 15, 16, 4095, 4096, 4097, 30_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_flac_of_any_length_ends_with_its_last_frame(
    count, channels, subtype, tmp_path
):
    noise = np.random.default_rng(count).uniform(-1, 1, (count, channels))
    for samples in (noise, 0 * noise, np.tile(TONE, 2)[:count]):
        content = written("FLAC", samples, subtype)
        for whole in (content, piped_flac(content)):
            assert len(read_audio(put(tmp_path, whole))) == count


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_without_some_of_its_frames(subtype, channels, tmp_path):
    """libFLAC decodes zeros where one is missing, or is in another place."""
    samples = np.random.default_rng(0).uniform(-1, 1, (20_000, channels))
    content = written("FLAC", samples, subtype)
    assert len(read_audio(put(tmp_path, content))) == 20_000
    a, b, c, *_ = (
        place
        for place in range(42, len(content))
        if flac._frame(content[place : place + 16], 4096)
    )
    for changed in (
        content[:a] + content[b:],
        content[:b] + content[c:],
        content[:a] + content[b:c] + content[a:b] + content[c:],
        content[:b] + content[a:],
        patched(content, 30, b"MD5"),
    ):
        with pytest.raises(AudioError, match="damaged"):
            read_audio(put(tmp_path, changed))
    unknown = patched(content, 26, bytes(16))
    assert len(read_audio(put(tmp_path, unknown))) == 20_000


def vbri(mp3, count):
    """An MP3 file with a VBRI header instead of Xing's."""
    rest = without_xing(mp3)
    first = bytearray(mp3[:4]) + bytes(len(mp3) - len(rest) - 4)
    first[36:40], first[50:54] = b"VBRI", struct.pack(">I", count)
    return bytes(first) + rest


def test_number_in_a_vbri_header(tmp_path):
    """libsndfile alone does not know it."""
    count, plain = count_of(MP3), read_audio(put(tmp_path, without_xing(MP3)))
    for number in (count, 0):
        path = put(tmp_path, vbri(MP3, number))
        assert torch.equal(read_audio(path), plain)
        assert (OPEN_END in facts(path).remarks) == (number == 0)
    for number, reason in ((count - 9, "more follow"), (count + 1, "truncat")):
        with pytest.raises(AudioError, match=reason):
            read_audio(put(tmp_path, vbri(MP3, number)))


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
@pytest.mark.parametrize("level", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_mp3_of_any_kind_has_the_frames_that_it_states(rate, level, mode):
    noise = np.random.default_rng(0).uniform(-1, 1, (30_000, 2))
    for samples in (noise, noise[:500], 0 * noise[:, :1]):
        file = io.BytesIO()
        kind = {"compression_level": level, "bitrate_mode": mode}
        soundfile.write(file, samples, rate, format="MP3", **kind)
        [part] = parts_of(file)
        assert part.stop == len(file.getvalue())


@pytest.mark.parametrize("total", [FLAC[21:26], bytes(5)])
def test_many_frame_headers_of_flac_take_no_long_time(total, tmp_path):
    """Each is valid, and none has a frame behind it."""
    head = bytes.fromhex("fff8c91800c2")
    content = patched(FLAC[:42], 15, b"\xff" * 3 + FLAC[18:21] + total)
    path = put(tmp_path, content + 20_000 * head)
    begin = time.monotonic()
    with pytest.raises(AudioError, match="damaged|truncated"):
        read_audio(path)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("name", ["Ogg Vorbis", "Ogg Opus", "FLAC"])
def test_one_flipped_bit(name, tmp_path):
    """Is refused, or changes no sample (in a comment of FLAC)."""
    content = STATED[name]
    whole = read_audio(put(tmp_path, content))
    random, refused = np.random.default_rng(0), 0
    for _ in range(40):
        place, bit = random.integers(len(content)), random.integers(8)
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        try:
            samples = read_audio(put(tmp_path, changed))
        except AudioError:
            refused += 1
        else:
            assert name == "FLAC" and torch.equal(samples, whole), place
    assert refused == 40 or name == "FLAC"


@pytest.mark.parametrize("name", STATED)
def test_random_bytes_end_in_an_audio_error(name, tmp_path):
    """Or in finite samples."""
    content, random = STATED[name], np.random.default_rng(1)
    for _ in range(20):
        changed = bytearray(content)
        for place in random.integers(min(200, len(content)), size=3):
            changed[place] = random.integers(256)
        try:
            samples = read_audio(put(tmp_path, changed))
        except AudioError:
            continue
        assert samples.isfinite().all() and len(samples) < 400_000
