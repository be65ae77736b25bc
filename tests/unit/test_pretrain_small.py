"""The script that pretrains on recordings, and what it does not hear."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from petl_modules.backbones import Wav2Vec2
from petl_modules.utils import DataError, read_csv, write_csv
from tests import packages
from tools import pretrain_small, pretrain_tiny, real_speech, real_texts

GIVEN = os.environ.get("PETL_REAL_AUDIO")
FOUND = [*Path(GIVEN).rglob(real_speech.LIST)] if GIVEN else []
# Written apart from tools/real_texts.py, as far as no article is among them
ENGLISH = "zero one two three four five six seven eight nine".split()
DIGITS = """
zéro deux trois quatre cinq
sept huit neuf cero dos tres cuatro cinco seis siete ocho nueve quatre vuit nou
doi trei patru cinci șase șapte opt nouă ноль два три четыре пять шесть семь
восемь девять две четири пет шест седем осем девет чатыры пяць шэсць дзевяць
δύο τρία τέσσερα πέντε επτά οκτώ εννέα tre fire fem syv otte
""".split()


@pytest.fixture
def speech(tmp_path):
    """A folder of recordings, with a list."""
    folder = tmp_path / "speech"
    packages.write_tree(folder)
    rows = real_speech.list_recordings(folder)
    write_csv(folder / real_speech.LIST, rows)
    return folder


def names(found):
    return sorted(Path(file).stem for file, _, _ in found)


def test_voices_and_numbers_are_held_out(speech, monkeypatch):
    rows = real_speech.read_recordings(speech)
    learn, held_out = real_texts.choose(rows)
    # Of the coin the picture's English name has a number
    assert names(learn) == ["cat_desc_fr", "cat_desc_ru"]
    assert names(held_out) == ["ba"] * 4 + ["be"] * 4 + ["seis"] * 3
    assert {letters for *_, letters in learn} == {"koshka", "un chat"}
    monkeypatch.setattr(real_texts, "has_number", lambda *_: False)
    learn, held_out = real_texts.choose(rows)
    assert "coin_desc_ru" in names(learn)
    assert names(held_out).count("seis") == 4  # a number in Spanish alone


@pytest.mark.skipif(not FOUND, reason="PETL_REAL_AUDIO names no packages")
def test_no_digit_is_in_the_real_list():
    rows = real_speech.read_recordings(FOUND[0].parent)
    texts = {
        row["file"]: (row["text"].lower(), row["english"].lower())
        for row in rows
    }
    learn, held_out = real_texts.choose(rows)
    assert len(learn) > 5000 and len(held_out) > 400
    for file, _, _ in [*learn, *held_out]:
        spoken, english = (re.findall(r"\w+", text) for text in texts[file])
        assert not set(spoken) & set(DIGITS), (file, texts[file])
        assert not set(english) & set(ENGLISH), (file, texts[file])
        assert "asterisk" not in str(file)  # its texts are not known


def test_pieces_of_a_text():
    assert pretrain_small.pieces("aba c") == {"a", "b", "c", "ab", "ba"}


def test_batches_are_of_one_length_and_near_ones():
    rng = np.random.default_rng(0)
    lengths = [4000, 4100, 4200, 9000, 9300, 30000]
    clips = [
        (rng.standard_normal(n).astype("float32"), "fr", str(n))
        for n in lengths
    ]
    for _ in range(20):
        samples, chosen = pretrain_small.draw_batch(clips, rng)
        assert len(samples) == len(chosen)
        of = [len(samples) for samples, _, _ in chosen]
        assert max(of) < 1.3 * min(of)
        assert 0.6 < samples.shape[1] / np.mean(of) < 1.6


class Marked(torch.nn.Module):
    """An encoder that hears the first sample of a clip, and nothing else."""

    def forward(self, samples):
        # The clip's mean is gone from the samples: their differences are not
        number = (samples[:, :1] - samples[:, 1:2]).round().long()
        frames = torch.nn.functional.one_hot(number.clamp(0, 9), 10).float()
        frames = frames + 1e-3 * torch.randn_like(frames)
        return type("Output", (), {"last_hidden_state": frames})


def test_the_measure_is_1_for_an_encoder_that_hears_syllables_alone():
    clips = []
    for language in ("es", "it", "ru", "cs"):
        for number, text in enumerate(("ba", "do", "mi")):
            samples = np.zeros(50, "float32")
            samples[0] = number
            clips.append((samples, language, text))
    clips.append((np.zeros(50, "float32"), "es", "only here"))
    share, syllables, number = pretrain_small.measure(Marked(), clips)
    assert (share, syllables, number) == (1.0, 3, 12)
    swapped = [(clips[-1][0], *rest) for _, *rest in clips]
    assert pretrain_small.measure(Marked(), swapped)[0] < 0.7


def test_script_writes_an_encoder(speech, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrain_tiny, "LENGTHS", {"wav2vec2": {100: 1.0}})
    words = [str(speech), str(tmp_path / "new"), "--generated=4"]
    pretrain_small.main([*words, "--steps=4", "--processes=1"])
    out = capsys.readouterr().out
    assert "tuxpaint         2 recordings   2 voices" in out
    assert "generated" in out
    encoder = Wav2Vec2(str(tmp_path / "new"))
    assert encoder(torch.rand(1, 16000)).shape == (1, 48, 128)
    with pytest.raises(FileExistsError, match="name a new folder"):
        pretrain_small.main(words)


def test_what_cannot_be_pretrained_on_is_refused(speech, tmp_path, capsys):
    words = [str(speech), str(tmp_path / "new")]
    with pytest.raises(SystemExit):
        pretrain_small.main([*words, "--steps=0"])
    assert "choose 1 or more" in capsys.readouterr().err
    path = speech / real_speech.LIST
    rows = [row for row in read_csv(path) if "klettres" not in row["voice"]]
    write_csv(path, rows)
    with pytest.raises(DataError, match="lacks recordings.*of all packages"):
        pretrain_small.main(words)
