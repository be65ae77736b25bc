"""What can be given as a sound: every form gives the samples of the file."""

import codecs
import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from petl_modules.data import read_audio, read_clip
from petl_modules.data.audio import stream_audio
from petl_modules.data.sources import Samples
from petl_modules.inference.sound_lists import (
    expand,
    expand_all,
    is_one,
    named,
)
from petl_modules.inference.sounds import read_bounded, read_sound
from petl_modules.utils import AudioError

RATE = 16_000
RATES = 8_000, 16_000, 22_051, 44_100, 48_000


def noise(seconds=0.5, rate=RATE, channels=1, seed=0):
    """Float32 of shape [time, channels] that a float file keeps to the bit."""
    draw = np.random.default_rng(seed)
    shape = int(seconds * rate), channels
    return (0.1 * draw.standard_normal(shape)).astype("float32")


def write(path, samples=None, rate=RATE, **options):
    samples = noise(rate=rate) if samples is None else samples
    soundfile.write(path, samples, rate, **{"subtype": "FLOAT", **options})
    return path


class Unseekable(io.RawIOBase):
    """A stream that can be read once, a few bytes at a time."""

    def __init__(self, content):
        self.content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self.content.read(min(len(buffer), 1000))
        buffer[: len(part)] = part
        return len(part)


def decoder(samples, rate):
    """What the library datasets makes of a sound, with torchcodec."""
    data = torch.from_numpy(samples.T.copy())
    found = SimpleNamespace(data=data, sample_rate=rate)
    return SimpleNamespace(get_all_samples=lambda: found)


# By name: how a form is made of a file, its samples and its rate
FORMS = {
    "text": lambda file, x, rate: str(file),
    "path": lambda file, x, rate: file,
    "bytes": lambda file, x, rate: file.read_bytes(),
    "bytearray": lambda file, x, rate: bytearray(file.read_bytes()),
    "open file": lambda file, x, rate: open(file, "rb"),
    "raw file": lambda file, x, rate: open(file, "rb", buffering=0),
    "BytesIO": lambda file, x, rate: io.BytesIO(file.read_bytes()),
    "stream": lambda file, x, rate: Unseekable(file.read_bytes()),
    "array": lambda file, x, rate: (x.T, rate),
    "float64": lambda file, x, rate: (x.T.astype(float), rate),
    "reversed memory": lambda file, x, rate: (x[::-1].copy()[::-1].T, rate),
    "tensor": lambda file, x, rate: (torch.from_numpy(x.T.copy()), rate),
    "gradient": lambda file, x, rate: (
        torch.from_numpy(x.T.copy()).requires_grad_(),
        np.int64(rate),
    ),
    "float rate": lambda file, x, rate: (x.T, float(rate)),
    "list": lambda file, x, rate: (x.T.tolist(), rate),
    "dict": lambda file, x, rate: {"array": x.T, "sampling_rate": rate},
    "whole dict": lambda file, x, rate: {
        "path": "elsewhere.wav",
        "array": x.T,
        "sampling_rate": rate,
    },
    "undecoded": lambda file, x, rate: {
        "path": "elsewhere.wav",
        "bytes": file.read_bytes(),
    },
    "undecoded path": lambda file, x, rate: {"path": str(file), "bytes": None},
    "decoder": lambda file, x, rate: decoder(x, rate),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_samples_of_the_file(form, tmp_path):
    for rate in RATES if form in ("array", "BytesIO") else (22_051,):
        for channels in (1, 2):
            samples = noise(0.7, rate, channels)
            file = write(tmp_path / f"{rate}-{channels}.wav", samples, rate)
            expected = read_clip(file, RATE)
            made = FORMS[form](file, samples, rate)
            found = read_sound(made, RATE)
            assert torch.equal(found.samples, expected.samples)
            assert found.remarks == expected.remarks
            made = FORMS[form](file, samples, rate)
            short = read_sound(made, RATE, longest=5_000)
            assert torch.equal(short.samples, expected.samples[:5_000])
            assert "the first 0.3125 s are used" in short.remarks[-1]


def test_mono_may_have_one_dimension_or_two():
    samples = noise()
    found = [read_sound((x, RATE), RATE) for x in (samples[:, 0], samples.T)]
    assert torch.equal(found[0].samples, found[1].samples)
    assert torch.equal(found[0].samples, torch.from_numpy(samples[:, 0]))


def test_given_arrays_stay_as_they_are():
    samples = noise()[:, 0]
    before = samples.copy()
    found = read_sound((samples, RATE), RATE).samples
    found += 1
    assert np.array_equal(samples, before)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3"])
def test_files_of_other_kinds_can_be_bytes(kind, tmp_path):
    file = tmp_path / f"one.{kind}"
    soundfile.write(file, noise(), RATE, format=kind.upper())
    expected = read_audio(file, RATE)
    for given in (file.read_bytes(), io.BytesIO(file.read_bytes())):
        assert torch.equal(read_sound(given, RATE).samples, expected)


def test_a_file_object_is_read_from_its_beginning_and_stays_open(tmp_path):
    file = write(tmp_path / "one.wav")
    expected = read_audio(file, RATE)
    with open(file, "rb") as stream:
        stream.read()
        assert torch.equal(read_sound(stream, RATE).samples, expected)
        assert torch.equal(read_sound(stream, RATE).samples, expected)
        assert not stream.closed
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "one.wav")
    with zipfile.ZipFile(packed) as archive, archive.open("one.wav") as stream:
        assert torch.equal(read_sound(stream, RATE).samples, expected)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("block", [777, 1 << 16])
def test_blocks_are_the_samples_of_the_file(rate, block, tmp_path, monkeypatch):
    samples = noise(1.3, rate, 2)
    file = write(tmp_path / "one.wav", samples, rate)
    expected = read_audio(file, RATE)
    monkeypatch.setattr("petl_modules.data.decoding.BLOCK", block)
    monkeypatch.setattr("petl_modules.data.sources.BLOCK", block)
    for source in (file, Samples(samples.T, rate)):
        found = np.concatenate([*stream_audio(source, RATE)])
        assert np.array_equal(found, expected.numpy())


whole = noise()[:, 0]
BAD = {
    "int16": (
        (np.array([1, -1000], "int16"), RATE),
        "int16 and reach 1000, .* Divide them by 32768",
    ),
    "quiet int16": ((np.zeros(9, "int16"), RATE), "int16 .* 32768"),
    "int32": ((np.ones(9, "int32"), RATE), "int32 .* 2147483648"),
    "uint8": ((np.ones(9, "uint8"), RATE), "uint8 .* Subtract 128"),
    "int tensor": ((torch.ones(9, dtype=torch.int16), RATE), "int16"),
    "loud": ((1000 * np.ones(9), RATE), "reach 1000, .* 32768"),
    "NaN": ((np.full(9, np.nan), RATE), "NaN or infinite"),
    "infinite": ((torch.full((9,), torch.inf), RATE), "NaN or infinite"),
    "bool": ((np.ones(9, bool), RATE), "type bool"),
    "complex": ((np.ones(9, complex), RATE), "type complex"),
    "texts": ((["a", "b"], RATE), "give floats"),
    "ragged": (([[0.1], [0.1, 0.2]], RATE), "no array"),
    "empty": ((np.zeros(0), RATE), "no samples"),
    "no channels": ((np.zeros((0, 9)), RATE), "no samples"),
    "transposed": ((np.zeros((900, 2)), RATE), r"\[channels, time\], .*\.T"),
    "batch": ((np.zeros((2, 2, 900)), RATE), "shape .*2, 2, 900"),
    "scalar": ((np.zeros(()), RATE), "shape"),
    "too short": ((np.zeros(1), 48_000), "too short"),
    "no rate": (whole, "rate is missing: give .array, rate"),
    "rate None": ((whole, None), "rate is missing"),
    "dict without rate": ({"array": whole}, "rate is missing"),
    "rate 16": ((whole, 16), "16 Hz: give 1000"),
    "rate text": ({"array": whole, "sampling_rate": "16k"}, "whole Hz"),
    "rate 0.5": ((whole, 16_000.5), "whole Hz"),
    "rate NaN": ((whole, np.nan), "whole Hz"),
    "swapped": ((RATE, whole), "rate comes second"),
    "other dict": ({"audio": 1, "label": 2}, "keys audio, label"),
    "undecoded, empty": ({"path": None, "bytes": None}, "path or bytes"),
    "number": (5, "an? int is no sound: give a path, bytes"),
    "None": (None, "NoneType is no sound"),
    "no bytes": (b"", "empty file"),
    "junk": (b"junk" * 99, "not audio"),
    "text file": (io.StringIO("a"), "'rb'"),
    "text of codecs": (codecs.open(__file__, encoding="utf-8"), "'rb'"),
    "other texts": (SimpleNamespace(read=str), "gives a str"),
    "no values": ((torch.ones(9, device="meta"), RATE), "no array"),
    "missing": ("no/such.wav", "no/such.wav: No such file"),
    "NUL": ("a\0.wav", "not audio"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_refused_with_the_remedy(name):
    given, said = BAD[name]
    with pytest.raises(AudioError, match=said):
        read_sound(given, RATE)


def test_reading_of_strangers_is_bounded(tmp_path, monkeypatch):
    file = write(tmp_path / "one.wav")
    expected = read_sound(file, 8_000).samples
    found = read_bounded(file, 8_000, 99, 99)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    monkeypatch.setattr("petl_modules.data.decoding.BLOCK", 1_000)
    assert 800 < len(read_bounded(file, 8_000, 0.1, 99)) < len(expected) / 2
    with pytest.raises(AudioError, match="one.wav: it takes more than -1 s"):
        read_bounded(file, 8_000, 99, -1)
    with pytest.raises(AudioError, match="too short"):
        read_bounded((np.zeros(1), 48_000), 8_000, 99, 99)


def test_a_truncated_file_object_is_refused(tmp_path):
    content = write(tmp_path / "one.wav").read_bytes()
    with pytest.raises(AudioError, match="the sound: truncated"):
        read_sound(content[: len(content) // 2], RATE)
    with pytest.raises(AudioError, match="upload.wav: truncated"):
        file = io.BytesIO(content[: len(content) // 2])
        file.name = "upload.wav"
        read_sound(file, RATE)


# Lists, folders, patterns


@pytest.fixture
def folder(tmp_path):
    """Sounds at two depths, with names of several alphabets."""
    names = ["b.wav", "a.WAV", "deep/ça va.flac", "deep/声.wav", "deep/[1].wav"]
    (tmp_path / "deep").mkdir()
    for name in names:
        write(tmp_path / name, subtype="PCM_16")
    (tmp_path / "README.txt").write_text("no sound")
    (tmp_path / "._b.wav").write_text("of a Mac")
    (tmp_path / "empty").mkdir()
    return tmp_path


def names_in(folder, given):
    return [str(Path(path).relative_to(folder)) for path in expand(given)]


def test_folders_and_patterns_are_their_files(folder):
    every = ["a.WAV", "b.wav", "deep/[1].wav", "deep/ça va.flac", "deep/声.wav"]
    assert sorted(names_in(folder, folder)) == sorted(every)
    assert names_in(folder, str(folder)) == names_in(folder, folder)
    assert sorted(names_in(folder, f"{folder}/*")) == sorted(every)
    assert sorted(names_in(folder, f"{folder}/**")) == sorted(every)
    assert names_in(folder, f"{folder}/*.wav") == ["b.wav"]
    assert names_in(folder, f"{folder}/**/声.wav") == ["deep/声.wav"]
    # A file with such a name is no pattern
    assert names_in(folder, f"{folder}/deep/[1].wav") == ["deep/[1].wav"]
    assert is_one(f"{folder}/deep/[1].wav")
    assert not is_one(f"{folder}/deep") and not is_one(f"{folder}/[2].wav")


def test_a_link_to_itself_is_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    write(tmp_path / "one.wav")
    bad, good = expand(tmp_path)
    with pytest.raises(AudioError, match="loop.wav: Too many levels"):
        read_sound(bad, RATE)
    assert len(read_sound(good, RATE).samples)


def test_lists_keep_order_and_duplicates(folder):
    pair, file = (whole, RATE), folder / "b.wav"
    given = [file, pair, str(folder / "deep"), file]
    found = expand(given)
    assert found[0] == found[-1] == file and found[1] is pair
    assert len(found) == 6
    assert [name for name, _ in named([file, pair])] == [
        f"sound 1 of 2: {file}",
        "sound 2 of 2",
    ]
    assert expand(iter([file])) == expand((file,)) == [file]
    assert expand([]) == [] and named(pair) == [("the sound", pair)]


def test_folders_without_sounds_are_refused(folder):
    for given in (folder / "empty", f"{folder}/*.mp3", [f"{folder}/empty"]):
        with pytest.raises(AudioError, match="no audio files are there"):
            expand(given)
    files, errors = expand_all([f"{folder}/empty", f"{folder}/b.wav", "no.wav"])
    assert files == [f"{folder}/b.wav", "no.wav"] and len(errors) == 1
