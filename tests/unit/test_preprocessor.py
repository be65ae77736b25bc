"""Input facts of a checkpoint: our features are its own extractor's."""

import json
import os
import shutil
from functools import partial

import pytest
import torch
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor

from petl_modules.backbones import input_facts
from petl_modules.data import FilterBank, Waveform
from petl_modules.utils import UserError

EXTRACTORS = {"ast": ASTFeatureExtractor, "wav2vec2": Wav2Vec2FeatureExtractor}
FRAMES, SECONDS = 90, 1.0
# By key of the file: values that checkpoints have
FOLLOWED = {
    "do_normalize": [True, False],
    "feature_size": [1, 2],
    "max_length": [128, 1024],
    "mean": [-6.845978, 0],
    "padding_side": ["left"],
    "padding_value": [0.5],
    "processor_class": ["ASTProcessor"],
    "return_attention_mask": [True, False],
    "sampling_rate": [8000, 16_000, 22_050],
    "std": [5.5654526, 1],
    "unheard_of": [3],
}
# Values that none can have here, those of spectrograms alone in the second
REFUSED = {
    "do_normalize": ["yes", None, 1],
    "feature_extractor_type": ["WhisperFeatureExtractor"],
    "sampling_rate": [0, 999, "16k", 2**40, True, 16_000.5, None],
}
REFUSED_SPECTROGRAMS = {
    **REFUSED,
    "mean": ["low", float("nan"), None, [1.0]],
    "num_mel_bins": [64, 0, 2.5],
    "std": [0.0, -1.0, float("inf"), True],
}


@pytest.fixture
def folder(request, tiny_ast, tiny_wav2vec2, tmp_path):
    """Returns a function that writes a checkpoint with a preprocessor file."""

    def write(kind, said, name="preprocessor_config.json"):
        source = {"ast": tiny_ast, "wav2vec2": tiny_wav2vec2["group"]}[kind]
        shutil.copy(f"{source}/config.json", tmp_path)
        (tmp_path / name).write_text(json.dumps(said))
        return tmp_path

    return write


def own_features(kind, values):
    facts = {k.removeprefix("do_"): v for k, v in values.items()}
    if kind == "ast":
        return FilterBank(frames=FRAMES, **facts)
    return Waveform(seconds=SECONDS, **facts)


@pytest.mark.parametrize("kind", EXTRACTORS)
@pytest.mark.parametrize("key", FOLLOWED)
def test_each_key_is_followed(kind, key, folder):
    """The truth: what transformers' own extractor makes of the same file."""
    for value in FOLLOWED[key]:
        said = {**EXTRACTORS[kind]().to_dict(), key: value}
        facts = input_facts(str(folder(kind, said)))
        extractor = EXTRACTORS[kind].from_dict(said)
        rate = extractor.sampling_rate
        samples = 0.1 * torch.randn(rate)
        theirs = extractor(
            samples.numpy(), sampling_rate=rate, return_tensors="pt"
        ).input_values[0]
        ours = own_features(kind, facts.values)(samples)
        torch.testing.assert_close(
            ours, theirs[: len(ours)], atol=2e-4, rtol=1e-4
        )
        assert facts.stated


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        *(("wav2vec2", key) for key in REFUSED),
        *(("ast", key) for key in REFUSED_SPECTROGRAMS),
    ],
)
def test_impossible_values_are_refused(kind, key, folder):
    for value in REFUSED_SPECTROGRAMS[key]:
        path = folder(kind, {key: value})
        words = (
            "mel bins|WhisperFeature" if value == 64 or "type" in key else key
        )
        with pytest.raises(UserError, match=words) as error:
            input_facts(str(path))
        assert str(path) in str(error.value)


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_absent_file_gives_the_published_values(kind, folder):
    path = folder(kind, {})
    (path / "preprocessor_config.json").unlink()
    facts = input_facts(str(path))
    assert not facts.stated
    defaults = EXTRACTORS[kind]()
    assert facts.values["sample_rate"] == defaults.sampling_rate
    assert facts.values["do_normalize"] is defaults.do_normalize
    if kind == "ast":
        assert facts.values["mean"] == defaults.mean
        assert facts.values["std"] == defaults.std
        assert facts.values["mel_bins"] == defaults.num_mel_bins


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_other_ways_to_write_the_same(kind, folder):
    said = {"sampling_rate": 16_000.0, "feature_extractor_type": None}
    facts = input_facts(str(folder(kind, said)))
    assert facts.values["sample_rate"] == 16_000


@pytest.mark.parametrize("what", ["folder", "pipe", "dangling link"])
def test_a_file_that_is_none_is_refused(what, folder):
    path = folder("ast", {})
    file = path / "preprocessor_config.json"
    file.unlink()
    make = {"folder": file.mkdir, "pipe": partial(os.mkfifo, file)}
    make.get(what, partial(file.symlink_to, "nowhere"))()
    with pytest.raises(UserError, match="preprocessor_config.json is no file"):
        input_facts(str(path))


def test_a_processor_file_may_hold_it(folder):
    folder("ast", {"mean": 1.0})
    said = {"feature_extractor": {"mean": 2.0, "std": 3.0}}
    path = folder("ast", said, "processor_config.json")
    assert input_facts(str(path)).values["mean"] == 2.0
    path = folder("ast", {"processor_class": "A"}, "processor_config.json")
    assert input_facts(str(path)).values["mean"] == 1.0


def test_mel_bins_are_those_of_the_encoder(folder):
    path = folder("ast", {"mean": 1.0})
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(
        json.dumps({**config, "num_mel_bins": 64})
    )
    assert input_facts(str(path)).values["mel_bins"] == 64
    (path / "preprocessor_config.json").write_text('{"num_mel_bins": 128}')
    with pytest.raises(UserError, match="128 mel bins, and config.json .* 64"):
        input_facts(str(path))


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{", '"mean"', "[" * 100_000, "\x00"]
)
def test_a_damaged_file_is_named(content, folder):
    path = folder("ast", {})
    (path / "preprocessor_config.json").write_text(content)
    with pytest.raises(UserError, match="preprocessor_config.json is damaged"):
        input_facts(str(path))
