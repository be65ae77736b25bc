"""Windows of long recordings: equal to each window alone, in little memory."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from petl_modules import AudioClassifier
from petl_modules.data import read_audio
from petl_modules.inference import recordings, window_cutter
from petl_modules.inference.window_cutter import WindowCutter
from petl_modules.utils import AudioError, HparamsError, read_csv
from tests.trained import LABELS, write_run

RATE = 16_000


@pytest.fixture(scope="module")
def classifier(tiny_ast, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return AudioClassifier(write_run(folder, "bottleneck", tiny_ast))


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """A file of 7.3 s at an odd rate whose sound changes."""
    path = tmp_path_factory.mktemp("sounds") / "long.flac"
    draw = np.random.default_rng(0)
    samples = draw.standard_normal((int(7.3 * 22_051), 2))
    samples *= np.linspace(0.001, 0.2, len(samples))[:, None]
    soundfile.write(path, samples, 22_051)
    return path


def starts_of(count, window, hop):
    """First samples of the windows, by the rule in its own words."""
    if count <= window:
        return [0]
    starts = [
        start for start in range(0, count, hop) if start + window <= count
    ]
    if starts[-1] + window < count:
        starts.append(count - window)
    return starts


# The cutter


@pytest.mark.parametrize("window", [1, 4, 10])
@pytest.mark.parametrize("hop", [1, 3, 4, 9, 25])
@pytest.mark.parametrize("piece", [1, 2, 7, 100])
def test_windows_do_not_depend_on_the_pieces(window, hop, piece):
    for count in (1, 3, 4, 5, 10, 11, 39, 40, 41):
        signal, cutter, found = np.arange(count), WindowCutter(window, hop), []
        for start in range(0, count, piece):
            found += cutter.add(signal[start : start + piece])
            assert cutter.held < window + piece
        found += cutter.end()
        assert [start for start, _ in found] == starts_of(count, window, hop)
        for start, samples in found:
            assert np.array_equal(samples, signal[start : start + window])


# Recordings


@pytest.mark.parametrize(
    ("window", "hop"), [(1.0, 0.5), (0.73, None), (0.5, 1.2), (1, 3)]
)
@pytest.mark.parametrize("size", [1, 16])
def test_windows_are_those_one_by_one(classifier, stereo, window, hop, size):
    scores = classifier(stereo, window=window, hop=hop, batch_size=size)
    samples = read_audio(stereo, RATE).numpy()
    length = round(window * RATE)
    starts = starts_of(len(samples), length, round((hop or window) * RATE))
    np.testing.assert_allclose(scores.starts, np.array(starts) / RATE)
    np.testing.assert_allclose(scores.stops - scores.starts, length / RATE)
    alone = [
        classifier.predict_proba((samples[start : start + length], RATE))[0]
        for start in starts
    ]
    assert len(scores) == len(alone) > 2
    np.testing.assert_allclose(scores.probabilities, alone, rtol=0, atol=1e-6)
    assert np.ptp(scores.probabilities, 0).max() > 1e-3
    np.testing.assert_allclose(scores.mean, np.mean(alone, 0), atol=1e-6)
    np.testing.assert_allclose(scores.max, np.max(alone, 0), atol=1e-6)


def test_every_form_has_the_same_windows(classifier, stereo):
    samples, rate = soundfile.read(stereo, dtype="float32")
    expected = classifier(stereo, window=1)
    for given in (
        stereo.read_bytes(),
        io.BytesIO(stereo.read_bytes()),
        (samples.T, rate),
    ):
        found = classifier(given, window=1)
        assert np.array_equal(found.probabilities, expected.probabilities)
    both = classifier([stereo, (samples.T, rate)], window=1)
    assert len(both) == 2
    assert np.array_equal(both[1].probabilities, expected.probabilities)


def test_a_short_sound_is_one_window(classifier):
    short = np.linspace(-0.1, 0.1, 5_000), RATE
    scores = classifier(short, window=1, hop=0.1)
    assert scores.stops == [5_000 / RATE]
    expected = classifier.predict_proba(short)
    np.testing.assert_allclose(scores.probabilities, expected, atol=1e-6)


def test_windows_of_clips_that_are_averaged_may_be_long(
    tiny_ast, tmp_path, stereo
):
    values = {"frames": 50, "test_windows": 3}
    averaged = AudioClassifier(
        write_run(tmp_path, "linear", tiny_ast, **values)
    )
    scores = averaged(stereo, window=3.0)
    samples = read_audio(stereo, RATE).numpy()
    parts = samples[:48_000], samples[48_000:96_000], samples[-48_000:]
    expected = averaged.predict_proba([(part, RATE) for part in parts])
    np.testing.assert_allclose(scores.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ({"window": 2.0}, "the model takes 1.015 s"),
        ({"window": 0}, "window is 0"),
        ({"window": "1"}, "window is 1"),
        ({"window": np.nan}, "window is nan"),
        ({"window": 1, "hop": -1}, "hop is -1"),
    ],
)
def test_other_windows_are_refused(classifier, stereo, spans, said):
    with pytest.raises(HparamsError, match=said):
        classifier(stereo, **spans)
    with pytest.raises(HparamsError, match=said):
        classifier.stream(**spans)


def test_bad_recordings_are_named(classifier, stereo, tmp_path, caplog):
    cut = tmp_path / "cut.flac"
    cut.write_bytes(stereo.read_bytes()[:-5_000])
    with pytest.raises(AudioError, match="cut.flac: "):
        classifier(cut, window=1)
    loud = np.zeros(3 * RATE)
    loud[-1] = np.nan
    with pytest.raises(AudioError, match="sound 2 of 2: holds NaN"):
        classifier([stereo, (loud, RATE)], window=1)
    with pytest.raises(AudioError, match="the sound: too short"):
        classifier((np.zeros(1), 48_000), window=1)
    classifier((np.zeros(2 * RATE), RATE), window=1)
    assert "the sound: there is nothing but silence" in caplog.text


# Memory


class Silence(io.RawIOBase):
    """A WAV file of many samples that are nowhere: a quiet tick a second."""

    def __init__(self, seconds):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.zeros(0), RATE, format="WAV")
        head = bytearray(buffer.getvalue())
        self.size = 2 * RATE * seconds
        head[4:8] = (len(head) - 8 + self.size).to_bytes(4, "little")
        head[-4:] = self.size.to_bytes(4, "little")
        self.head, self.place = bytes(head), 0

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        whole = len(self.head) + self.size
        self.place = offset + (0, self.place, whole)[whence]
        return self.place

    def read(self, count):
        whole = len(self.head) + self.size
        count = max(0, min(count, whole - self.place))
        content = bytes(self.head[self.place : self.place + count])
        self.place += count
        return content.ljust(count, b"\1")

    def readinto(self, buffer):
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def most_memory(run):
    """Return the peak of what Python and NumPy allocate, in bytes."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_depend_on_the_length(classifier, monkeypatch):
    """An hour, of which a window of each minute is classified."""
    held = []

    class Watched(WindowCutter):
        def add(self, samples):
            found = super().add(samples)
            held.append(self.held)
            return found

    monkeypatch.setattr(window_cutter, "WindowCutter", Watched)
    # Not a raw file for the reader, which would be read whole
    opened = type("Opened", (), dict(vars(Silence)))
    spans = {"window": 1.0, "hop": 60.0}
    classifier(opened(120), **spans)  # caches
    peaks = {
        seconds: most_memory(lambda: classifier(opened(seconds), **spans))
        for seconds in (300, 3_600)
    }
    assert max(held) < 2 * (1 << 16)
    assert peaks[3_600] < 1.3 * peaks[300]
    assert peaks[3_600] < 3_600 * RATE / 2  # bytes: 4 a sample would be all


# Streams


@pytest.mark.parametrize("sizes", [[999], [RATE, 1, 0, 40_000], [10**6]])
@pytest.mark.parametrize("rate", [RATE, 22_051])
def test_a_stream_has_the_windows_of_the_whole(classifier, sizes, rate, stereo):
    samples = soundfile.read(stereo, dtype="float32")[0].T
    expected = classifier((samples, rate), window=0.8, hop=0.3, top=None)
    stream, found, place = classifier.stream(0.8, 0.3, rate, top=2), [], 0
    while place < samples.shape[1]:
        for size in sizes:
            found += stream.feed(samples[:, place : place + size])
            place += size
    before = len(found)
    found += stream.end()
    assert len(expected) - 2 <= before <= len(found) == len(expected)
    for one, known in zip(found, expected.windows(top=2)):
        assert (one.start, one.stop) == (known.start, known.stop)
        np.testing.assert_allclose(
            one.probabilities, known.probabilities, rtol=0, atol=1e-6
        )
        assert [label for label, _ in one.guesses] == [
            label for label, _ in known.guesses
        ]


def test_windows_of_a_stream_come_as_soon_as_they_can(classifier):
    stream = classifier.stream(window=1.0, hop=0.5)
    chunk = np.full(RATE // 4, 0.01, "float32")
    counts = [len(stream.feed(chunk)) for _ in range(9)]
    assert counts == [0, 0, 0, 1, 0, 1, 0, 1, 0]
    (last,) = stream.end()
    assert (last.start, last.stop) == (1.25, 2.25)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_stream_ends_once(rate, classifier):
    stream = classifier.stream(1.0, rate=rate)
    stream.feed(np.ones(rate // 2, "float32"))
    assert len(stream.end()) == 1 and stream.end() == []
    with pytest.raises(AudioError, match="the stream has ended"):
        stream.feed(np.ones(1, "float32"))


def test_bad_chunks_are_refused(classifier):
    stream = classifier.stream(1.0)
    with pytest.raises(AudioError, match="a chunk of the stream: .*int16"):
        stream.feed(np.ones(99, "int16"))
    with pytest.raises(AudioError, match="a chunk of the stream: holds NaN"):
        stream.feed(np.full(99, np.nan))
    with pytest.raises(AudioError, match="the stream: its sampling rate is 5"):
        classifier.stream(1.0, rate=5)
    assert stream.end() == []


def test_outputs_that_are_not_finite_name_the_window(
    classifier, stereo, monkeypatch
):
    def silent(name, sound, rate, window, hop, levels):
        yield 32_000, np.full(window, np.inf, "float32")

    monkeypatch.setattr(recordings, "cut_windows", silent)
    with pytest.raises(AudioError, match="flac, from 2 s: .* not finite"):
        classifier(stereo, window=1)


# Table and picture


def test_table_and_files_of_it(classifier, stereo, tmp_path):
    scores = classifier(stereo, window=1, hop=1)
    rows = scores.table(top=2)
    assert len(rows) == 2 * len(scores) and [*rows[0]] == [
        "start",
        "stop",
        "label",
        "probability",
    ]
    for index, row in enumerate(rows[::2]):
        best = int(scores.probabilities[index].argmax())
        assert row["label"] == LABELS[best]
        assert row["probability"] == scores.probabilities[index, best]
    assert rows[2]["start"] == 1.0 and rows[-1]["stop"] == scores.stops[-1]
    scores.write_csv(tmp_path / "scores.csv")
    written = read_csv(tmp_path / "scores.csv")
    assert [row["label"] for row in written] == [
        row["label"] for row in scores.table()
    ]
    assert scores.best(1)[0][1] == scores.mean.max()
    assert scores.best(1, of="max")[0][1] == scores.max.max()


def test_picture_shows_where_a_class_is(tmp_path):
    labels = ["rain", "$dog$", "<sea>", "never"]
    rows = np.tile([0.9, 0.05, 0.05, 0.0], (40, 1))
    rows[20:30] = [0.05, 0.9, 0.05, 0.0]
    starts = np.arange(40.0)
    for name in ("one.png", "deep/two.png"):
        from petl_modules.inference.window_scores import WindowScores

        scores = WindowScores(labels, starts, starts + 2, rows)
        scores.write_picture(tmp_path / name, classes=2, title="a$\n")
    image = imread(tmp_path / "one.png")
    assert image.shape[1] == 1200
    row = image[image.shape[0] // 2 - 40, 150:1000, :3]  # of the first class
    assert 0.1 < (row.max(1) < row.max()).mean() < 0.5
