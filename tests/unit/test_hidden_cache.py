"""Hidden states on the disk: right values, never stale, safe to kill."""

import copy
import errno
import json
import os
import shutil
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.run_opts import RunOptions
from test_feature_cache import ended, interrupt, kill_self, run, write_clip
from torch import nn

from petl_modules.backbones import (
    AST,
    Wav2Vec2,
    Whisper,
    write_tiny_ast,
)
from petl_modules.data import (
    FilterBank,
    SpecAugment,
    StackedFilterBank,
    Waveform,
    WhisperLogMel,
    Windows,
    check_audio,
    make_datasets,
)
from petl_modules.data.cache import FeatureCache, shards
from petl_modules.methods import LoRA
from petl_modules.models import Ladder, Probe, UpperLayers
from petl_modules.training import hidden_cache, hidden_states, keep_hidden
from petl_modules.training.frozen_parts import autocast
from petl_modules.utils import AudioError, DataError
from tests.models import classifier

FRAMES = 20
LABELS = ["cat", "dog"]
LENGTHS = (0.2, 0.2, 0.25, 0.3, 0.3)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of five clips, three to train on and two to test."""
    folder = tmp_path_factory.mktemp("clips")
    for seed, length in enumerate(LENGTHS):
        write_clip(folder / f"{seed}.wav", seed, length=length)
    facts = check_audio([folder / f"{seed}.wav" for seed in range(5)])
    records = {
        str(seed): {
            "wav": f"{{data_root}}/{seed}.wav",
            "label": LABELS[seed % 2],
            **each._asdict(),
        }
        for seed, each in enumerate(facts)
    }
    keys = sorted(records)
    parts = {
        "train": {key: records[key] for key in keys[:3]},
        "test": {key: records[key] for key in keys[3:]},
    }
    return SimpleNamespace(folder=str(folder), parts=parts)


def ladder(sites, layers="all"):
    made = Ladder(sites, layers=layers)
    nn.init.normal_(made.up.weight)
    return made


# Nothing in the layers is trained
LADDER = {
    "methods": [],
    "settings": {"train_norms": False, "hidden_states": ladder},
}


class Run:
    """What a recipe's train.py has when it calls ``keep_hidden``."""

    def __init__(self, clips, backbone, features, **changes):
        settings = changes.pop("settings", {})
        layers = changes.pop("layers", "last_1")
        lora = LoRA(at=["query"], rank=2, alpha=2.0, layers=layers)
        methods = changes.pop("methods", [lora])
        torch.manual_seed(0)
        self.model = classifier(backbone, LABELS, methods, **settings)
        cache = changes.pop("cache", None)
        self.datasets = make_datasets(
            clips.parts, clips.folder, features, LABELS, cache=cache
        )
        self.hparams = {
            "model": self.model,
            "modules": {"model": self.model},
            "augment": nn.Identity(),
            "features": features,
            "test_loader": {"batch_size": 1, "num_workers": 0},
            **changes,
        }

    def keep(self, folder, options=None, **limits):
        options = options or RunOptions(device="cpu", noprogressbar=True)
        given = self.datasets, self.hparams, options
        return keep_hidden(*given, folder=folder, **limits)


@pytest.fixture
def speech(clips, tiny_wav2vec2):
    """Makes a run on a small wav2vec 2.0, but for changes."""

    def make(features=None, **changes):
        backbone = Wav2Vec2(tiny_wav2vec2["group"])
        settings = {"train_norms": False, **changes.pop("settings", {})}
        features = features or Waveform(1.0)
        return Run(clips, backbone, features, settings=settings, **changes)

    return make


@pytest.fixture
def ast(clips, tiny_ast):
    """Makes a run on a small AST, but for changes."""

    def make(source=tiny_ast, frames=FRAMES, positions="center_cut", **changes):
        features = changes.pop("features", FilterBank(frames=frames))
        return Run(clips, AST(source, frames, positions), features, **changes)

    return make


def outputs(dataset, module, size=1, precision="fp32"):
    """What a module makes of the batches of a dataset."""
    items, module = list(dataset), module.eval()
    places = range(0, len(items), size)
    batches = [PaddedBatch(items[place : place + size]) for place in places]
    with torch.no_grad(), autocast("cpu", precision):
        return torch.cat([module(*batch.features) for batch in batches])


def assert_right(run, kept, near=0.0):
    """The layers on what is kept give what the model does on features.

    Clips alone, to the last bit; in batches, which are padded, nearly.
    """
    datasets, hparams = kept
    upper = hparams["modules"]["model"]
    assert isinstance(upper, UpperLayers) and upper.model is run.model
    for part, dataset in datasets.items():
        plain = run.datasets[part]
        for size, atol in ((1, near), (3, 2e-6)):
            found = outputs(dataset, upper, size)
            expected = outputs(plain, run.model, size)
            torch.testing.assert_close(found, expected, rtol=0, atol=atol)
        for one, other in zip(dataset, plain, strict=True):
            assert one["id"] == other["id"]
            assert torch.equal(one["target"], other["target"])
        assert dataset.durations == plain.durations


@pytest.fixture
def computed(monkeypatch):
    """Numbers of clips that the encoder computes from now on."""
    counts, enter = [], UpperLayers.enter

    def counted(self, inputs, lengths=None):
        counts.append(len(inputs))
        return enter(self, inputs, lengths)

    monkeypatch.setattr(UpperLayers, "enter", counted)
    return counts


def folders(path):
    return sorted(path.glob("*-*"))


# Values


def test_states_are_those_of_the_model(ast, tmp_path, computed):
    first = ast()
    before = dict(first.hparams)
    assert_right(first, first.keep(tmp_path))
    assert first.hparams == before
    assert computed == [1] * 7  # both ends, and all
    computed.clear()
    assert_right(second := ast(), second.keep(tmp_path))
    assert computed == [1, 1]
    assert len(folders(tmp_path)) == 1


def test_clips_of_one_length_are_a_batch(speech, tmp_path, computed):
    one = speech(test_loader={"batch_size": 2})
    assert_right(one, one.keep(tmp_path), near=2e-6)
    assert computed == [1, 1, 2, 1, 2]


def test_clips_of_any_length(speech, tmp_path):
    """A batch is padded, and its longest clip is another one each time."""
    assert_right(one := speech(), one.keep(tmp_path))


def test_loader_workers_change_nothing(speech, tmp_path):
    one = speech(test_loader={"batch_size": 1, "num_workers": 2})
    assert_right(one, one.keep(tmp_path))


@pytest.mark.parametrize("kind", ["ast", "speech"])
def test_all_that_a_ladder_reads_is_stored(kind, tmp_path, request):
    """Once for each clip, side by side: no layer runs again."""
    make = request.getfixturevalue(kind)
    assert_right(one := make(**LADDER), one.keep(tmp_path))
    datasets, hparams = one.keep(tmp_path)
    upper = hparams["modules"]["model"]
    assert upper.layers == [0, 1, 2] and one.model.encoder.d_model == 128
    assert datasets["train"][0]["features"].shape[1] // 128 == 3
    layer = one.model.encoder.backbone.sites.module("layers.0")
    layer.register_forward_pre_hook(lambda *call: pytest.fail("it has run"))
    outputs(datasets["train"], upper)


def test_silence_behind_a_clip_is_seen(clips, tiny_encoders, tmp_path):
    backbone = Whisper(tiny_encoders["whisper"].folder, seconds=0.4)
    settings = {"train_norms": False}
    one = Run(clips, backbone, WhisperLogMel(seconds=0.4), settings=settings)
    assert_right(one, one.keep(tmp_path))


@pytest.mark.parametrize("features", [Waveform(0.25), Waveform(1.0)])
def test_the_size_is_told_before_it_is_written(
    features, speech, tmp_path, monkeypatch
):
    told = []
    monkeypatch.setattr(hidden_cache.logger, "info", told.append)
    count, sizes = hidden_states.HiddenStates.count_missing, []

    def noted(self):
        assert not self.store.folder.exists()
        sizes.append(count(self))
        return sizes[-1]

    monkeypatch.setattr(hidden_states.HiddenStates, "count_missing", noted)
    datasets, _ = speech(features).keep(tmp_path)
    rows = [x["features"] for part in datasets.values() for x in part]
    [(number, size)] = sizes
    assert number == 5
    assert size == pytest.approx(4 * sum(x.numel() for x in rows), rel=0.03)
    assert "hidden states of 5 clips take about 0.0 MB" in told[0]


def test_features_may_come_from_a_cache(ast, tmp_path):
    bank = FilterBank(frames=FRAMES)
    cache = FeatureCache(tmp_path / "features", bank, "float16")
    cached = {"feature_cache": "features", "feature_cache_dtype": "float16"}
    run = ast(features=bank, cache=cache, **cached)
    assert_right(run, run.keep(tmp_path / "hidden"))
    assert_right(plain := ast(), plain.keep(tmp_path / "hidden"))
    assert len(folders(tmp_path / "hidden")) == 2


def test_float16_is_rounded_once(ast, tmp_path):
    exact, _ = ast().keep(tmp_path)
    rounded, _ = ast().keep(tmp_path, dtype="float16")
    for one, other in zip(exact["train"], rounded["train"], strict=True):
        assert torch.equal(one["features"].half().float(), other["features"])
        assert not torch.equal(one["features"], other["features"])


def test_values_beyond_float16_are_named(ast, tmp_path):
    run = ast()
    with torch.no_grad():
        run.model.encoder.backbone.model.embeddings.cls_token.fill_(1e5)
    with pytest.raises(
        DataError, match=r"\d: its hidden states .*_cache_dtype"
    ):
        run.keep(tmp_path, dtype="float16")


def test_training_and_test_may_differ_in_precision(ast, tmp_path):
    run = ast(precision="bf16")
    datasets, hparams = run.keep(tmp_path)
    assert len(folders(tmp_path)) == 2
    upper = hparams["modules"]["model"]
    for part, precision in (("train", "bf16"), ("test", "fp32")):
        found = outputs(datasets[part], upper, precision=precision)
        plain = outputs(run.datasets[part], run.model, precision=precision)
        assert torch.equal(found, plain), part


def test_states_of_half_precision_stay_so(clips, tiny_encoders, tmp_path):
    """The residual stream of this encoder is of bfloat16 under autocast."""
    backbone, changes = (
        tiny_encoders["w2v-bert"].backbone(),
        {"precision": "bf16"},
    )
    changes["settings"] = {"train_norms": False}
    one = Run(clips, backbone, StackedFilterBank(seconds=1.0), **changes)
    datasets, hparams = one.keep(tmp_path)
    assert datasets["train"][0]["features"].dtype == torch.bfloat16
    found, expected = (
        outputs(parts["train"], module, precision="bf16")
        for parts, module in (
            (datasets, hparams["modules"]["model"]),
            (one.datasets, one.model),
        )
    )
    assert torch.equal(found, expected)


# What is computed again


def other_weights(folder):
    write_tiny_ast(folder / "other", seed=7)
    return str(folder / "other")


CHANGES = {
    "weights": lambda t: {"source": other_weights(t)},
    "positions": lambda t: {"positions": "interpolate"},
    "frames": lambda t: {"frames": 24},
    "mean": lambda t: {"features": FilterBank(frames=FRAMES, mean=0.0)},
    "layer": lambda t: {"layers": "all"},
    "bfloat16": lambda t: {"settings": {"backbone_dtype": "bfloat16"}},
    "precision": lambda t: {"precision": "bf16", "eval_precision": "bf16"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_states_of_something_else_are_not_used(change, ast, tmp_path):
    ast().keep(tmp_path)
    ast(**CHANGES[change](tmp_path / "weights")).keep(tmp_path)
    assert len(folders(tmp_path)) == 2
    for folder in folders(tmp_path):
        json.loads((folder / "about.json").read_text())


@pytest.mark.parametrize("name", ["version", "sources", "device_name"])
def test_other_code_computes_anew(name, ast, tmp_path, monkeypatch):
    ast().keep(tmp_path)
    monkeypatch.setattr(hidden_states, name, lambda *about: "another")
    ast().keep(tmp_path)
    assert len(folders(tmp_path)) == 2


def test_states_of_other_layers_are_not_used(ast, tmp_path):
    """Of as many layers, and entering the same lowest one."""
    for layers in ([0], [1], [0]):
        states = partial(ladder, layers=layers)
        settings = {**LADDER["settings"], "hidden_states": states}
        one = ast(methods=[], settings=settings)
        assert_right(one, one.keep(tmp_path))
    assert len(folders(tmp_path)) == 2


def test_other_methods_share_the_states(ast, tmp_path, computed):
    ast().keep(tmp_path)
    computed.clear()
    ast(settings={"train_backbone": "last_1", "train_norms": False}).keep(
        tmp_path
    )
    assert computed == [1, 1]


def test_states_that_are_gone_are_named(ast, tmp_path, monkeypatch):
    datasets, _ = ast().keep(tmp_path)
    monkeypatch.setattr(shards.Rows, "read", lambda self, key: None)
    with pytest.raises(DataError, match="is gone. The same command"):
        list(datasets["train"])


def test_damage_is_named(ast, tmp_path):
    datasets, _ = ast().keep(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[:8], "little") + 8
    start, _ = json.loads(content[8:size])["values"]["data_offsets"]
    content[size + start] ^= 1
    path.write_bytes(content)
    for datasets in (datasets, ast().keep(tmp_path)[0]):  # in this run or next
        with pytest.raises(
            DataError, match=f"{path} .*: delete it. The same command"
        ):
            for part in datasets.values():
                list(part)
    path.unlink()
    assert_right(one := ast(), one.keep(tmp_path))


# Kills, faults and several processes


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "FULL", 1)


@pytest.mark.parametrize("after", [0, 6, 13, 20])
def test_killed_while_writing(after, ast, tmp_path, small_shards, computed):
    one = ast()

    def killed():
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, after, kill_self)
            one.keep(tmp_path)

    assert ended(run(killed)) == -signal.SIGKILL
    rows = sum(len(shards.Rows(f).index) for f in folders(tmp_path))
    assert rows == {0: 0, 6: 0, 13: 1, 20: 2}[after]
    assert_right(one, one.keep(tmp_path))
    assert sum(computed) == 2 + 5 - rows
    assert not [*tmp_path.glob("*/.*.tmp")]


def test_full_disk_is_named(ast, tmp_path):
    def fail():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, 4, fail)
        text = "layer1-.*No space left.*name another hidden_cache"
        with pytest.raises(DataError, match=text):
            ast().keep(tmp_path)
    assert_right(one := ast(), one.keep(tmp_path))


def test_disk_without_room_is_named_before(ast, tmp_path, monkeypatch):
    free = SimpleNamespace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(DataError, match="0.0 MB free: make room there"):
        ast().keep(tmp_path / "hidden")
    assert not (tmp_path / "hidden").exists()


def test_two_runs_at_once_share_the_work(ast, tmp_path):
    log, one = tmp_path / "log", ast()
    encode = hidden_states.HiddenStates._compute

    def noted(self, digests):
        for digest, values in encode(self, digests):
            with open(log, "a") as stream:
                stream.write(f"{digest}\n")
            yield digest, values

    def fill():
        assert_right(one, one.keep(tmp_path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hidden_states.HiddenStates, "_compute", noted)
        processes = [run(fill), run(fill)]
        assert [ended(process) for process in processes] == [0, 0]
    assert len(log.read_text().split()) == 5


def test_a_bad_clip_ends_the_run_as_without_it(ast, clips, tmp_path):
    one = ast()
    bad = copy.deepcopy(clips.parts)
    bad["train"]["1"]["wav"] = "{data_root}/missing.wav"
    one.datasets = make_datasets(
        bad, clips.folder, one.hparams["features"], LABELS
    )
    with pytest.raises(AudioError, match="missing.wav"):
        one.keep(tmp_path)


# Where it is not used


def test_a_folder_that_would_grow_too_large(ast, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(hidden_cache.logger, "info", told.append)
    one = ast()
    given = one.datasets, one.hparams
    small = one.keep(tmp_path, max_bytes=5_000)
    assert all(a is b for a, b in zip(small, given))
    assert "cache_bytes allows 0.0 MB: hidden states are computed" in told[0]
    assert not folders(tmp_path)
    assert_right(one, one.keep(tmp_path, max_bytes=50_000))
    # What is there is used
    assert_right(one, one.keep(tmp_path, max_bytes=5_000))
    # Another layer's would be added
    other = ast(layers="all")
    assert other.keep(tmp_path, max_bytes=50_000)[0] is other.datasets


FORBIDDEN = {
    "SpecAugment changes": {"augment": SpecAugment(2, 2)},
    "windows has train random": {"windows": Windows("random")},
    "windows has train first, test 3": {"windows": Windows(test=3)},
    "mixup is 0.5": {"mixup": 0.5},
    "trains what is in front": {"settings": {"train_backbone": "all"}},
}


@pytest.mark.parametrize("reason", FORBIDDEN)
def test_what_forbids_it_is_told(reason, ast, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(hidden_cache.logger, "info", told.append)
    one = ast(**FORBIDDEN[reason])
    found = one.keep(tmp_path)
    assert found == (one.datasets, one.hparams)
    assert reason in told[0] and not folders(tmp_path)


def test_pooled_features_and_debug_runs_keep_nothing(ast, tmp_path):
    one = ast()
    debug = RunOptions(device="cpu", debug=True)
    assert one.keep(tmp_path, debug) == (one.datasets, one.hparams)
    one.hparams["modules"] = {"model": Probe(one.model)}
    assert one.keep(tmp_path) == (one.datasets, one.hparams)
    assert not folders(tmp_path)
