"""The script that pretrains the small backbones, and what it trains on."""

import numpy as np
import pytest
import torch

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.miniatures.speech import RATE
from petl_modules.miniatures.words import WORDS
from tools import pretrain_tiny, pretraining_data
from tools.pretraining_data import MANNER, NUMBERS, SOURCES


@pytest.mark.parametrize("kind", range(len(SOURCES)))
def test_sounds_of_every_source_are_finite(kind):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        samples = pretraining_data.sound(kind, rng, 0.7)
        assert samples.shape == (11200,) and np.isfinite(samples).all()


def test_pseudo_words_are_none_of_the_miniatures(monkeypatch):
    drawn = []
    rng = np.random.default_rng(0)
    for _ in range(2000):
        drawn.append(pretraining_data.pseudo_word(rng, 1))
    assert not set(drawn) & set(WORDS.values())
    monkeypatch.setattr(pretraining_data, "WORDS", {})
    rng = np.random.default_rng(0)
    without = [pretraining_data.pseudo_word(rng, 1) for _ in range(2000)]
    assert set(without) & set(WORDS.values())  # the check has work to do


@pytest.mark.parametrize("seed", range(5))
def test_phones_are_where_the_speech_is(seed):
    samples, manner, phones = pretraining_data.utterance(
        np.random.default_rng(seed), 2.0
    )
    assert len(samples) == len(phones) == 2 * RATE
    spoken = phones > 0
    assert samples[spoken].std() > 1.5 * samples[~spoken].std()
    assert np.diff(np.flatnonzero(spoken)).max() == 1  # one utterance
    assert set(phones[spoken]) <= set(NUMBERS.values())
    for told, answers in zip(manner, MANNER.values(), strict=True):
        assert 0 <= told < answers


def test_answers_that_are_not_known_do_not_count():
    logits = torch.eye(3)[[0, 1, 2]]
    told = torch.tensor([0, 2, pretrain_tiny.NONE])
    loss, right = pretrain_tiny.answer(source=(2.0, logits, told))
    expected = -2 * logits.log_softmax(1)[[0, 1], [0, 2]].mean()
    assert loss.item() == pytest.approx(expected.item())
    assert right["source"].tolist() == [1, 2]


@pytest.mark.parametrize("kind", ["ast", "wav2vec2"])
def test_script_writes_a_backbone(kind, tmp_path, monkeypatch, capsys):
    lengths = {"ast": {100: 0.5, 200: 0.5}, "wav2vec2": {100: 1.0}}
    monkeypatch.setattr(pretrain_tiny, "LENGTHS", lengths)
    words = [kind, str(tmp_path / "new"), "--clips=12", "--steps=2"]
    pretrain_tiny.main([*words, "--batch=4", "--processes=1"])
    assert "phones" in capsys.readouterr().out
    if kind == "ast":
        encoder, clip = AST(str(tmp_path / "new"), 100), torch.rand(1, 100, 128)
    else:
        encoder, clip = Wav2Vec2(str(tmp_path / "new")), torch.rand(1, 16000)
    assert encoder(clip).isfinite().all()
    with pytest.raises(SystemExit):
        pretrain_tiny.main(words)
    assert "name a new folder" in capsys.readouterr().err
