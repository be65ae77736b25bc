"""Windows: which parts of a clip are used."""

import pickle
from collections import Counter
from functools import partial

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.data import (
    EpochBatches,
    FilterBank,
    Waveform,
    Windows,
    load_features,
    make_datasets,
    read_audio,
    used_part,
    window_features,
)
from petl_modules.data.cache import FeatureCache
from petl_modules.training import make_train_loader
from petl_modules.utils import AudioError, HparamsError, counted_seed
from tests.models import classifier

RATE = 16000
LABELS = ["a", "b"]
# Name, seconds and rate of the files: two are shorter than a second
FILES = {
    "long": (4.0, RATE),
    "odd": (3.00003, 22_050),
    "flac": (2.5, 44_100),
    "second": (1.0, RATE),
    "short": (0.3, RATE),
    "tiny": (0.011, 32_000),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of some clips of noise, and their records."""
    folder = tmp_path_factory.mktemp("clips")
    rng, records = np.random.default_rng(0), {}
    for name, (seconds, rate) in FILES.items():
        samples = 0.1 * rng.standard_normal(round(seconds * rate))
        file = f"{name}.{'flac' if name == 'flac' else 'wav'}"
        soundfile.write(folder / file, samples, rate)
        records[f"x/{name}"] = {
            "wav": f"{{data_root}}/{file}",
            "duration": len(samples) / rate,
            "label": LABELS[len(records) % 2],
        }
    return folder, records


def whole(folder, record):
    return read_audio(folder / record["wav"].removeprefix("{data_root}/"))


def filled(window, longest):
    """The window by NumPy's own repetition."""
    return torch.from_numpy(np.resize(window.numpy(), longest))


def expected(features, samples, start):
    longest = features.longest
    return features(filled(samples[start : start + longest], longest))


def datasets(data, features, windows, **options):
    folder, records = data
    parts = dict.fromkeys(("train", "valid", "test"), records)
    return make_datasets(
        parts, folder, features, LABELS, windows=windows, **options
    )


class Epoch:
    """Stands for a sampler."""

    def __init__(self, epoch):
        self.epoch = epoch


FEATURES = [Waveform(1.0, normalize=False), FilterBank(100)]


@pytest.mark.parametrize("features", FEATURES)
def test_first_window_is_what_it_was(features, data):
    """To the bit, and in shape: also of short clips."""
    folder, records = data
    for windows in (None, Windows()):
        for part, dataset in datasets(data, features, windows).items():
            for item in dataset:
                record = records[item["id"]]
                wanted = features(whole(folder, record)[: features.longest])
                assert torch.equal(item["features"], wanted)
                loaded = load_features(features, folder, record["wav"])
                assert torch.equal(item["features"], loaded)


@pytest.mark.parametrize("features", FEATURES)
def test_random_windows_are_slices_of_the_whole(features, data):
    folder, records = data
    dataset = datasets(data, features, Windows("random", seed=3))["train"]
    for epoch in (1, 2):
        dataset.epoch_of = Epoch(epoch)
        for item in dataset:
            clip = item["id"]
            samples = whole(folder, records[clip])
            room = max(0, len(samples) - features.longest) + 1
            start = counted_seed(3, epoch, clip) % room
            wanted = expected(features, samples, start)
            torch.testing.assert_close(
                item["features"], wanted, rtol=1e-4, atol=1e-4
            )
            if clip in ("x/long", "x/second", "x/short"):  # not resampled
                assert torch.equal(item["features"], wanted)


def test_draws_are_uniform_and_depend_on_seed_epoch_and_clip():
    windows = Windows("random", seed=1)
    starts = [windows.draw(103, 100, f"clip{i}", 1) for i in range(4000)]
    counts = Counter(starts)
    assert set(counts) == {0, 1, 2, 3}  # both ends are reached
    assert all(850 < count < 1150 for count in counts.values())
    draws = {
        Windows("random", seed=seed).draw(10**9, 1, clip, epoch)
        for seed in (1, 2)
        for epoch in (1, 2)
        for clip in "ab"
    }
    assert len(draws) == 8
    assert windows.draw(100, 100, "a", 1) == windows.draw(5, 100, "a", 1) == 0
    assert Windows().draw(10**9, 1, "a", 1) == 0


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("features", FEATURES)
def test_test_windows_are_evenly_spaced_slices(features, count, data):
    folder, records = data
    made = datasets(data, features, Windows(test=count))
    for part in ("valid", "test"):
        for item in made[part]:
            samples = whole(folder, records[item["id"]])
            rest = max(0, len(samples) - features.longest)
            starts = np.linspace(0, rest, count).astype(int)
            wanted = [expected(features, samples, s) for s in starts]
            torch.testing.assert_close(
                item["features"], torch.stack(wanted), rtol=1e-4, atol=1e-4
            )
    for item in made["train"]:  # the first window, repeated if it is short
        samples = whole(folder, records[item["id"]])
        wanted = expected(features, samples, 0)
        assert torch.equal(item["features"], wanted)


def test_only_the_windows_of_a_long_file_are_read(tmp_path, monkeypatch):
    """Windows that overlap are read in one piece."""
    reads = []

    def reading(path, rate, **part):
        reads.append((part["start"], part["longest"]))
        return torch.rand(part["longest"])

    monkeypatch.setattr("petl_modules.data.loading.read_audio", reading)
    record = {"wav": "{data_root}/a.wav", "duration": 10.0, "label": "a"}
    features = Waveform(1.0)
    for count, wanted in {
        2: [(0, RATE), (9 * RATE, RATE)],
        10: [(0, 10 * RATE)],
        12: [(0, 10 * RATE)],
    }.items():
        reads.clear()
        made = datasets(
            (tmp_path, {"a": record}), features, Windows(test=count)
        )
        assert made["test"][0]["features"].shape == (count, RATE)
        assert reads == wanted


def test_a_file_that_became_shorter_is_refused(data):
    folder, records = data
    record = {**records["x/long"], "duration": 4.001}
    made = datasets((folder, {"a": record}), Waveform(1.0), Windows(test=2))
    with pytest.raises(AudioError, match="long.wav: shorter than it was when"):
        made["test"][0]


@pytest.mark.parametrize("seconds", [None, float("inf")])
def test_whole_clips(seconds, data):
    folder, records = data
    features = Waveform(seconds, normalize=False)
    for dataset in datasets(data, features, Windows(test="whole")).values():
        for item in dataset:
            samples = whole(folder, records[item["id"]])
            assert torch.equal(item["features"][: len(samples)], samples)
            assert len(item["features"]) == max(400, len(samples))
    assert used_part(records, features, Windows(test="whole")) == ""


# In training


def batches(data, workers=0, epochs=(1, 2), skip=0, **options):
    """The batches of a loader of random windows, as SpeechBrain reads them."""

    class Brain:
        class checkpointer:
            add_recoverable = staticmethod(lambda name, value: None)

    dataset = datasets(data, Waveform(0.5), Windows("random"))["train"]
    sampler = partial(EpochBatches, batch_size=2, seed=4)
    loading = {"num_workers": workers, "collate_fn": PaddedBatch, **options}
    loader = make_train_loader(Brain, dataset, sampler, loading)
    found = {}
    for epoch in epochs:
        Brain.train_sampler.set_epoch(epoch)
        for batch in loader:
            for clip, values in zip(batch.id, batch.features.data):
                found[epoch, clip] = values
    return found


def test_workers_change_no_window(data):
    alone, shared = batches(data), batches(data, workers=2)
    assert alone.keys() == shared.keys() and len(alone) == 2 * len(FILES)
    assert all(torch.equal(alone[key], shared[key]) for key in alone)
    assert not torch.equal(alone[1, "x/long"], alone[2, "x/long"])


def test_an_epoch_has_its_windows_wherever_a_run_begins(data):
    both, second = batches(data), batches(data, epochs=[2])
    assert all(torch.equal(both[key], second[key]) for key in second)


def test_workers_that_stay_are_refused(data):
    with pytest.raises(HparamsError, match="persistent_workers True"):
        batches(data, workers=1, persistent_workers=True)


def test_pipelines_can_be_pickled(data):
    for windows in (Windows("random", 2), Windows()):
        made = datasets(data, Waveform(0.5), windows)["train"]
        made.epoch_of = EpochBatches([1.0] * 6, 2, seed=0)
        again = pickle.loads(pickle.dumps(made))
        assert torch.equal(again[0]["features"], made[0]["features"])


# Averages


@pytest.fixture(params=["ast", "wav2vec2"])
def model(request, tiny_ast, tiny_wav2vec2):
    """A classifier, and its features."""
    torch.manual_seed(0)
    if request.param == "ast":
        backbone, features = AST(tiny_ast, frames=100), FilterBank(100)
    else:
        backbone = Wav2Vec2(tiny_wav2vec2["group"])
        features = Waveform(1.0)
    return classifier(backbone, LABELS).eval(), features


def test_average_is_that_of_a_loop_over_windows(model, data):
    model, features = model
    windows = Windows(test=3)
    dataset = datasets(data, features, windows)["test"]
    batch = PaddedBatch(list(dataset))
    inputs, lengths = batch.features
    assert inputs.shape[:2] == (len(FILES), 3) and lengths.eq(1).all()
    with torch.inference_mode():
        found = windows.average(model, inputs, lengths)
        for item, logits in zip(dataset, found):
            each = [model(window[None])[0] for window in item["features"]]
            wanted = sum(each) / 3
            torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-5)


def test_windows_of_a_repeating_signal_give_the_logits_of_one(model):
    """Its period divides their distance."""
    model, features = model
    samples = torch.rand(1000).repeat(features.longest // 1000 + 9)
    samples = samples[: features.longest + 6000]
    several = window_features(Windows(test=4), features, samples)
    one = window_features(Windows(), features, samples)
    with torch.inference_mode():
        torch.testing.assert_close(
            Windows(test=4).average(model, several[None]),
            Windows().average(model, one[None]),
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_single_window_is_the_models_own_call():
    features, lengths, calls = torch.rand(2, 3), torch.ones(2), []

    def model(*given):
        calls.append(given)
        return features.exp()

    for windows in (Windows(), Windows("random"), Windows(test="whole")):
        outputs = windows.average(model, features, lengths)
        assert torch.equal(outputs, features.exp())
    assert all(a is features and b is lengths for a, b in calls)


def test_clips_from_samples_are_those_from_files(data):
    folder, records = data
    for windows in (Windows(), Windows("random"), Windows(test=3)):
        features = Waveform(1.0)
        for item in datasets(data, features, windows)["test"]:
            samples = whole(folder, records[item["id"]])
            torch.testing.assert_close(
                window_features(windows, features, samples), item["features"]
            )


# What does not go together


@pytest.mark.parametrize(
    "choice", [{"train": "last"}, *({"test": t} for t in (0, 2.0, True, "all"))]
)
def test_unknown_choices_are_named(choice):
    (value,) = choice.values()
    with pytest.raises(HparamsError, match=f"'{value}'"):
        Windows(**choice)


@pytest.mark.parametrize("windows", [Windows("random"), Windows(test=2)])
def test_a_cache_is_refused(windows, data, tmp_path):
    features = Waveform(1.0)
    cache = FeatureCache(tmp_path, features)
    with pytest.raises(HparamsError, match="leave feature_cache out"):
        datasets(data, features, windows, cache=cache)
    with pytest.raises(HparamsError, match="Waveform cuts no clip"):
        windows.require(Waveform(None), ["train", "test"])


def test_whole_clips_need_features_that_cut_none():
    with pytest.raises(HparamsError, match="FilterBank takes 1.015 s"):
        Windows(test="whole").require(FilterBank(100), ["test"])


def test_what_is_used_is_told():
    records = {"a": {"duration": 9.0}, "b": {"duration": 1.0}}
    lines = [
        used_part(records, Waveform(5.0), windows)
        for windows in (
            Windows(),
            Windows("random"),
            Windows(test=3),
            Windows("random", 3),
        )
    ]
    start = "1 of 2 clips are longer than 5 s: "
    assert lines == [
        f"{start}the first 5 s are used",
        f"{start}random 5 s are trained on, the first 5 s are tested",
        f"{start}the first 5 s are trained on, 3 windows of 5 s are tested",
        f"{start}random 5 s are trained on, 3 windows of 5 s are tested",
    ]
