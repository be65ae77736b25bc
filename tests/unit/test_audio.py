"""Reading and checking audio files."""

import io
import math
import os
import struct

import numpy as np
import pytest
import soundfile
import torch

from petl_modules.data import check_audio, read_audio
from petl_modules.utils import AudioError, listed

RATE = 16000


def tone(seconds=0.5, rate=RATE, hertz=440.0):
    """A sine of amplitude 0.5."""
    time = np.arange(int(seconds * rate)) / rate
    return 0.5 * np.sin(2 * math.pi * hertz * time)


def write(path, samples=None, rate=RATE, **options):
    """Write a short tone, or the given samples."""
    samples = tone(rate=rate) if samples is None else samples
    soundfile.write(path, samples, rate, **options)
    return path


def with_data_size(path, size):
    """Overwrite the size in a WAV file's data chunk."""
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def halve(path):
    """Cut off the second half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


BAD = {
    "missing": (lambda path: path, "No such file"),
    "a folder": (lambda path: path.mkdir() or path, "a folder"),
    "0 bytes": (lambda path: path.write_bytes(b"") and path or path, "empty"),
    "no samples": (lambda path: write(path, np.zeros(0)), "no samples"),
    "text": (
        lambda path: path.write_text("hello, world " * 9) and path,
        "not audio",
    ),
    "header only": (lambda path: path.write_bytes(b"RIFF") and path, "not aud"),
    "truncated": (lambda path: halve(write(path)), "truncated"),
    "truncated, 24 bit": (
        lambda path: halve(write(path, subtype="PCM_24")),
        "truncated",
    ),
    "one byte less": (
        lambda path: with_data_size(write(path), 2 * RATE // 2 + 1),
        "truncated, 1 bytes",
    ),
    "NaN": (
        lambda path: write(path, np.array([0, np.nan]), subtype="FLOAT"),
        "NaN",
    ),
    "infinite": (
        lambda path: write(path, np.array([0, -np.inf]), subtype="FLOAT"),
        "infinite",
    ),
    "infinite in one channel": (
        lambda path: write(path, np.array([[0, np.inf]]), subtype="DOUBLE"),
        "infinite",
    ),
    "truncated FLAC": (
        lambda path: halve(write(path, format="FLAC")),
        "damaged",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_named_with_its_reason(case, tmp_path):
    make, reason = BAD[case]
    path = make(tmp_path / "clip.wav")
    with pytest.raises(AudioError) as error:
        read_audio(path)
    assert str(error.value).startswith(f"{path}: ")
    assert reason in str(error.value)
    with pytest.raises(AudioError, match="1 of 1") as error:
        check_audio([path])
    assert f"{path}: " in str(error.value) and reason in str(error.value)


def test_fewer_frames_than_the_header_says(tmp_path):
    formats = soundfile.available_formats()
    if "MP3" not in formats:
        pytest.skip("this libsndfile has no MP3")
    path = halve(write(tmp_path / "clip.mp3", tone(2.0), format="MP3"))
    with pytest.raises(AudioError, match="truncated, "):
        read_audio(path)


def test_headerless_audio_is_refused(tmp_path):
    path = tmp_path / "clip.raw"
    path.write_bytes(b"1234")
    with pytest.raises(AudioError, match="not audio"):
        read_audio(path)


def test_no_permission(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "clip.wav")
    monkeypatch.setattr("petl_modules.data.sources.open", refuse, raising=False)
    with pytest.raises(AudioError, match="clip.wav: Permission denied"):
        read_audio(path)


@pytest.mark.parametrize("rate", [44100, 48000, 384000])
def test_too_short_after_resampling(rate, tmp_path):
    """In preparation as in training, to the sample."""
    for count in range(1, 80):
        path = write(tmp_path / "clip.wav", np.zeros(count), rate)
        fits = []
        for read in (read_audio, lambda path: check_audio([path], None)):
            try:
                read(path)
                fits.append(True)
            except AudioError as error:
                assert "too short" in str(error)
                fits.append(False)
        assert fits[0] == fits[1]
    assert fits[0]


@pytest.mark.parametrize("rate", [1, 8, 999, 1_000_001, 2**31 - 1])
def test_rates_are_bounded_before_memory_is_taken(rate, tmp_path):
    path = write(tmp_path / "clip.wav")
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"says {rate} samples a second"):
        read_audio(path)
    with pytest.raises(AudioError, match=f"says {rate} samples a second"):
        check_audio([path])


def test_pipe_is_refused_at_once(tmp_path):
    path = tmp_path / "clip.wav"
    os.mkfifo(path)
    with pytest.raises(AudioError, match="clip.wav: a pipe or device"):
        read_audio(path)
    with pytest.raises(AudioError, match="/dev/zero: a pipe or device"):
        check_audio(["/dev/zero"])


@pytest.mark.parametrize("name", ["clip.mp3", "clip.wav", "clip.flac"])
def test_resource_fork_beside_a_file_does_no_harm(name, tmp_path):
    """The file that macOS leaves on other disks."""
    path = tmp_path / name
    form = name.split(".")[1].upper()
    whole = read_audio(write(path, format=form))
    fork = struct.pack(">II16sH", 0x00051607, 0x00020000, b"Mac OS X", 2)
    fork += struct.pack(">IIIIII", 9, 50, 32, 2, 82, 286) + bytes(32)
    fork += b"\0\0\1\0\0\0\1\0" + bytes(278)
    (tmp_path / f"._{name}").write_bytes(fork)
    assert torch.equal(read_audio(path), whole)


def test_failing_disk_is_named(tmp_path, monkeypatch):
    """Though libsndfile sees no errors of reading."""

    class Failing(io.FileIO):
        def readinto(self, buffer):
            if self.tell() >= 8192:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    def opened(path, mode):
        return io.BufferedReader(Failing(path))

    path = write(tmp_path / "clip.wav", tone(5))
    monkeypatch.setattr("petl_modules.data.sources.open", opened, raising=False)
    with pytest.raises(AudioError, match="clip.wav: Input/output error"):
        read_audio(path)


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_streamed_wav_is_not_truncated(size, tmp_path):
    path = with_data_size(write(tmp_path / "clip.wav"), size)
    assert read_audio(path).shape == (RATE // 2,)


def test_chunk_of_odd_size_before_the_data(tmp_path):
    path = write(tmp_path / "clip.wav")
    content = path.read_bytes()
    place = content.index(b"data")
    note = b"note" + struct.pack("<I", 3) + b"abc\0"
    path.write_bytes(content[:place] + note + content[place:])
    assert read_audio(path).shape == (RATE // 2,)
    with pytest.raises(AudioError, match="truncated, 2 bytes"):
        path.write_bytes(path.read_bytes()[:-2])
        read_audio(path)


def test_samples_are_exact(tmp_path):
    samples = tone().astype(np.float32)
    read = read_audio(write(tmp_path / "clip.wav", samples, subtype="FLOAT"))
    assert read.dtype == torch.float32
    assert torch.equal(read, torch.from_numpy(samples))


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], 1)
    read = read_audio(write(tmp_path / "clip.wav", stereo))
    assert torch.allclose(read, torch.full((100,), 0.125))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 192000])
def test_resampled_tone_is_the_same_tone(rate, tmp_path):
    read = read_audio(write(tmp_path / "clip.wav", tone(rate=rate), rate))
    assert abs(len(read) - RATE // 2) <= 1
    middle = slice(1000, 7000)  # the filter rings at the ends
    wanted = torch.from_numpy(tone()).float()
    assert torch.allclose(read[middle], wanted[middle], atol=1e-3)


def test_no_aliasing(tmp_path):
    path = write(tmp_path / "clip.wav", tone(rate=44100, hertz=10e3), 44100)
    assert read_audio(path)[1000:7000].abs().max() < 1e-3


def test_file_longer_than_a_block(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.wav")
    whole, facts = read_audio(path), check_audio([path])
    monkeypatch.setattr("petl_modules.data.decoding.BLOCK", 999)
    assert torch.equal(read_audio(path), whole)
    assert check_audio([path]) == facts and facts[0].duration == 0.5


def test_durations_keep_the_order(tmp_path):
    lengths = [0.5, 0.125, 1.0, 0.25]
    paths = [
        write(tmp_path / f"{i}.wav", tone(length, 44100), 44100)
        for i, length in enumerate(lengths)
    ]
    durations = [facts.duration for facts in check_audio(paths)]
    assert durations == pytest.approx(lengths, abs=1e-4)
    assert check_audio([]) == []


def test_all_bad_files_are_listed_in_order(tmp_path):
    good = write(tmp_path / "good.wav")
    bad = [tmp_path / f"{i:03d}.wav" for i in range(60)]
    with pytest.raises(AudioError) as error:
        check_audio([*bad, good])
    first, *lines, remedy = str(error.value).splitlines()
    assert first.startswith("60 of 61 audio files")
    assert lines == [f"  {p}: No such file or directory" for p in bad]
    assert "again" in remedy


def test_bad_files_are_skipped_if_asked(tmp_path):
    good, bad = write(tmp_path / "good.wav"), tmp_path / "bad.wav"
    facts = check_audio([bad, good], skip_bad_audio=True)
    assert isinstance(facts[0], AudioError) and str(bad) in str(facts[0])
    assert facts[1:] == check_audio([good])
    with pytest.raises(AudioError, match="2 of 2"):
        check_audio([bad, bad], skip_bad_audio=True)


def digest(path):
    return check_audio([path])[0].digest


def test_digest_stands_for_the_samples(tmp_path):
    samples = (2**15 * tone()).astype(np.int16)
    wave = write(tmp_path / "a.wav", samples)
    same = write(tmp_path / "b.flac", samples, format="FLAC")
    assert digest(wave) == digest(same) and len(digest(wave)) == 32
    others = [
        write(tmp_path / "rate.wav", tone(), RATE + 1),
        write(tmp_path / "hertz.wav", tone(hertz=441.0)),
        write(tmp_path / "long.wav", np.append(tone(), 0.0)),
    ]
    assert len({digest(path) for path in [wave, *others]}) == 4


def test_file_of_another_digest_is_refused(tmp_path):
    path = write(tmp_path / "clip.wav", tone(rate=44100), 44100)
    whole, before = read_audio(path), digest(path)
    assert torch.equal(read_audio(path, digest=before), whole)
    write(path, tone(rate=44100, hertz=441.0), 44100)
    with pytest.raises(AudioError, match="clip.wav: changed since"):
        read_audio(path, digest=before)


def test_progress_goes_to_stderr(tmp_path, capsys):
    check_audio([write(tmp_path / "clip.wav")], "Checking these")
    captured = capsys.readouterr()
    assert captured.out == "" and "Checking these" in captured.err


def test_short_list_is_not_cut():
    assert listed(["a", "b"], limit=2) == "  a\n  b"
