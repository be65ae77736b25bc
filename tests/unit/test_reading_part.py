"""Of a long file only the part that counts is read, with the same samples."""

import functools
import io
import math
import tracemalloc

import hypothesis
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import strategies

from petl_modules.data import (
    FilterBank,
    Waveform,
    audio,
    check_audio,
    decoding,
    load_features,
    read_audio,
    read_clip,
)
from petl_modules.utils import AudioError

RATE = 16000


def noise(seconds, rate, channels=1):
    random = np.random.default_rng(0)
    return 0.1 * random.standard_normal((round(seconds * rate), channels))


def written(seconds, rate, format, subtype=None, channels=1):
    """The bytes of a file of noise."""
    file, samples = io.BytesIO(), noise(seconds, rate, channels)
    kind = {"format": format, "subtype": subtype}
    with soundfile.SoundFile(file, "w", rate, channels, **kind) as audio:
        for start in range(0, len(samples), 10_000):  # as Vorbis needs
            audio.write(samples[start : start + 10_000])
    return file.getvalue()


FORMATS = {
    "WAV, 16 kHz": (16000, "WAV"),
    "WAV, 44.1 kHz, stereo": (44100, "WAV", None, 2),
    "WAV, 8 kHz": (8000, "WAV"),
    "WAV, IMA ADPCM": (22050, "WAV", "IMA_ADPCM"),
    "AIFF": (48000, "AIFF"),
    "FLAC": (44100, "FLAC"),
    "Ogg Vorbis": (44100, "OGG"),
    "Ogg Vorbis, 8 kHz": (8000, "OGG"),
    "Ogg Opus": (48000, "OGG", "OPUS"),
    "Ogg Opus, 16 kHz": (16000, "OGG", "OPUS"),
    "MP3": (44100, "MP3"),
    "MP3, 8 kHz": (8000, "MP3"),
    "MP3 without Xing": (44100, "MP3"),
    "Ogg, two in a row": (44100, "OGG"),
    "MP3, two in a row": (44100, "MP3"),
}


@functools.cache
def content(name, seconds):
    """The bytes of a file of so many seconds."""
    file = written(seconds, *FORMATS[name])
    if "without Xing" in name:
        return file[file.index(file[:2], 40) :]
    return file * 2 if "two in a row" in name else file


def put(tmp_path, name, seconds):
    path = tmp_path / "clip.wav"
    path.write_bytes(content(name, seconds))
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("longest", [1, 7777, 32000])
def test_beginning_of_a_long_file(name, longest, tmp_path):
    path = put(tmp_path, name, 9)
    whole = read_audio(path)
    assert torch.equal(read_audio(path, longest=longest), whole[:longest])
    samples, remarks = read_clip(path, longest=longest)
    assert torch.equal(samples, whole[:longest])
    assert "longer than" in " ".join(remarks)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("longest", [1, 6399, 6400, 10**6])
def test_beginning_of_a_short_file(name, longest, tmp_path):
    """Also of two in a row, of which the first is not enough."""
    path = put(tmp_path, name, 0.4)
    whole = read_audio(path)
    samples, remarks = read_clip(path, longest=longest)
    assert torch.equal(samples, whole[:longest])
    is_longer = "longer than" in " ".join(remarks)
    assert is_longer == (len(whole) > longest)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("start", [1, 16000, 99999])
def test_part_within_a_file(name, start, tmp_path):
    """At 16 kHz to the bit; else the resampler rounds otherwise."""
    path = put(tmp_path, name, 9)
    wanted = read_audio(path)[start : start + 7777]
    found = read_audio(path, longest=7777, start=start)
    exact = FORMATS[name][0] == RATE or start < 2 * RATE
    atol = 0 if exact else 1e-6
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)
    rest = read_audio(path, start=start)
    torch.testing.assert_close(rest[:7777], found, rtol=0, atol=atol)
    assert len(rest) == len(read_audio(path)) - start


@pytest.mark.parametrize("name", FORMATS)
def test_part_behind_the_end(name, tmp_path):
    path = put(tmp_path, name, 0.4)
    last = len(read_audio(path)) - 1
    assert len(read_audio(path, longest=100, start=last)) == 1
    for start in (last + 1, 5 * RATE):
        with pytest.raises(AudioError, match="too short|has no second 5"):
            read_audio(path, longest=100, start=start)


@hypothesis.given(
    rate=strategies.integers(*decoding.RATES),
    longest=strategies.integers(1, 3000),
    beyond=strategies.floats(0, 2),
)
@hypothesis.settings(max_examples=30, deadline=None)
def test_resampled_beginning_is_that_of_the_whole(rate, longest, beyond):
    """For any rate, the samples behind the part change no bit of it."""
    rate = int(1000 * 1000 ** ((rate - 1000) / 999_000))  # low ones too
    seconds = longest / RATE + beyond
    file = io.BytesIO(written(seconds, rate, "WAV"))
    samples = soundfile.read(file, dtype="float32")[0]
    if not len(samples):
        return
    whole = audio._resampled(samples, rate, RATE)
    end = math.ceil((longest / RATE + audio.MARGIN) * rate)
    part = audio._resampled(samples[:end], rate, RATE)
    assert np.array_equal(part[:longest], whole[:longest])


@pytest.fixture
def bytes_read(monkeypatch):
    """The number of bytes that are read from files."""
    counts = []

    class Counting(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            counts.append(count)
            return count

    def opened(path, mode):
        return io.BufferedReader(Counting(path))

    monkeypatch.setattr(decoding, "open", opened, raising=False)
    return counts


@pytest.mark.parametrize("name", FORMATS)
def test_the_rest_of_a_file_is_not_read(name, bytes_read, tmp_path):
    counts = []
    for seconds in (9, 18):
        bytes_read.clear()
        read_audio(put(tmp_path, name, seconds), longest=RATE)
        counts.append(sum(bytes_read))
    assert counts[1] < 1.1 * counts[0] + 8192


@pytest.mark.parametrize(
    "name", ["WAV, 16 kHz", "WAV, 44.1 kHz, stereo", "AIFF", "FLAC"]
)
def test_what_is_in_front_of_a_part_is_not_read(name, bytes_read, tmp_path):
    path = put(tmp_path, name, 18)
    read_audio(path, longest=RATE, start=12 * RATE)
    assert sum(bytes_read) < path.stat().st_size / 2


@pytest.mark.parametrize("features", [FilterBank(100), Waveform(1.0)])
def test_features_of_a_long_clip_are_those_of_its_beginning(
    features, bytes_read, tmp_path
):
    path = put(tmp_path, "WAV, 16 kHz", 30)
    found = load_features(features, tmp_path, "{data_root}/clip.wav")
    assert sum(bytes_read) < 2 * (2 * RATE + decoding.BLOCK)
    wanted = features(read_audio(path)[: features.longest])
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("frames", [1, 2, 100, 500])
def test_filter_bank_uses_so_many_samples(frames):
    """No sample behind them matters, and the last of them does."""
    bank = FilterBank(frames)
    samples = torch.randn(bank.longest + 1000)
    wanted = bank(samples)
    samples[bank.longest :] = 7.0
    assert torch.equal(bank(samples), wanted)
    assert torch.equal(bank(samples[: bank.longest]), wanted)
    samples[bank.longest - 200] += 1.0
    assert not torch.equal(bank(samples)[-1], wanted[-1])


def old_filter_bank(bank, samples):
    """The features as they were: of all samples, then cut."""
    whole = FilterBank(2000)
    return whole(samples)[: bank.frames]


@pytest.mark.parametrize("seconds", [0.01, 0.5, 0.99, 1.015])
def test_nothing_changes_for_clips_up_to_the_window(seconds):
    samples = torch.randn(round(seconds * RATE))
    bank = FilterBank(100)
    assert torch.equal(bank(samples), old_filter_bank(bank, samples))


def test_long_clips_differ_by_the_mean_alone():
    bank, samples = FilterBank(100), torch.randn(3 * RATE)
    shifted = samples - samples[: bank.longest].mean()
    wanted = old_filter_bank(bank, shifted)
    torch.testing.assert_close(bank(samples), wanted, rtol=1e-3, atol=1e-3)


# Digests


@pytest.fixture
def short_head(monkeypatch):
    monkeypatch.setattr(audio, "HEAD", 2)


def test_changed_beginning_is_noticed(short_head, tmp_path, bytes_read):
    path = tmp_path / "clip.wav"
    samples = noise(60, RATE)
    soundfile.write(path, samples, RATE)
    digest = check_audio([path], title=None)[0].digest
    whole = read_audio(path)
    bytes_read.clear()
    read = read_audio(path, digest=digest, longest=RATE)
    assert torch.equal(read, whole[:RATE])
    assert sum(bytes_read) < path.stat().st_size / 8
    read = read_audio(path, digest=digest, longest=RATE, start=50 * RATE)
    assert torch.equal(read, whole[50 * RATE : 51 * RATE])
    for place in (0, RATE - 1, 2 * RATE - 1):
        changed = samples.copy()
        changed[place] += 0.1
        soundfile.write(path, changed, RATE)
        with pytest.raises(AudioError, match="changed since"):
            read_audio(path, digest=digest, longest=RATE)
    # More than the head is wanted: all is compared
    changed = samples.copy()
    changed[-1] += 0.1
    soundfile.write(path, changed, RATE)
    with pytest.raises(AudioError, match="changed since"):
        read_audio(path, digest=digest, longest=3 * RATE)
    with pytest.raises(AudioError, match="changed since"):
        read_audio(path, digest=digest)
    for start in (RATE // 2, 50 * RATE):  # what is in front counts, too
        with pytest.raises(AudioError, match="changed since"):
            read_audio(path, digest=digest, longest=2 * RATE, start=start)
    soundfile.write(path, samples[: 2 * RATE], RATE)  # just the head
    with pytest.raises(AudioError, match="changed since"):
        read_audio(path, digest=digest, longest=RATE)


def test_digests_of_long_clips_are_those_of_all_samples(short_head, tmp_path):
    """And of rate: no two of these are the same."""
    samples = (32768 * noise(4, RATE)).astype(np.int16)
    other_end, other_start = samples.copy(), samples.copy()
    other_end[-1] += 1
    other_start[0] += 1
    versions = {
        "same": (samples, RATE),
        "end": (other_end, RATE),
        "start": (other_start, RATE),
        "rate": (samples, RATE + 1),
        "head": (samples[: 2 * RATE], RATE),
        "longer head": (samples[: 2 * RATE + 1], RATE),
    }
    for name, (content, rate) in versions.items():
        soundfile.write(tmp_path / f"{name}.wav", content, rate)
    paths = sorted(tmp_path.iterdir())
    facts = check_audio(paths, title=None)
    assert len({each.digest for each in facts}) == len(versions)
    assert {len(each.digest) for each in facts} == {32}
    soundfile.write(tmp_path / "same.flac", samples, RATE)
    twin = check_audio([tmp_path / "same.flac"], title=None)[0]
    assert twin.digest == facts[paths.index(tmp_path / "same.wav")].digest


def test_preparation_needs_little_memory(tmp_path):
    """Of a long file of many channels, which is decoded once."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(60, RATE, 16), RATE)  # 61 MB as float32
    tracemalloc.start()
    facts = check_audio([path], title=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert facts[0].duration == 60 and peak < 40e6
