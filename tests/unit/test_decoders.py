"""Decoders of recognition: greedy, and beam search."""

import importlib.util
import itertools
from collections import defaultdict

import pytest
import torch
import torch.nn.functional as F

from petl_modules.recognition import (
    BeamDecoder,
    GreedyDecoder,
    Units,
    make_decoder,
)
from petl_modules.recognition.decoders import NEEDED
from petl_modules.utils import HparamsError

BLANK = "<blank>"
SETS = {
    "characters": Units("characters", [BLANK, " ", "a", "b"]),
    "phones": Units("phones", [BLANK, "AH1", "N", "T"]),
    "sentencepiece": Units(
        "sentencepiece", [BLANK, "\u2581a\t-1", "b\t-2", "\u2581\t-3"]
    ),
}


@pytest.fixture(params=SETS)
def units(request):
    return SETS[request.param]


def collapsed(path):
    """Units of a path of frames, by definition."""
    return [unit for unit, _ in itertools.groupby(path) if unit]


def peaked(*paths):
    """Logits whose best path is known; shorter ones are padded."""
    longest = max(map(len, paths))
    mask = torch.tensor([[i < len(p) for i in range(longest)] for p in paths])
    rows = [[*path, *[1] * (longest - len(path))] for path in paths]
    return 20.0 * F.one_hot(torch.tensor(rows), 4).float(), mask


@pytest.mark.parametrize("kind", ["greedy", "beam"])
def test_best_path(kind, units):
    torch.manual_seed(0)
    paths = [torch.randint(0, 4, (n,)).tolist() for n in (7, 12, 1, 9)]
    paths.append([0, 0, 0])  # nothing is said
    expected = [units.decode(collapsed(path)) for path in paths]
    decoder = make_decoder(kind, units)
    assert decoder(*peaked(*paths)) == expected
    assert expected[-1] == ""
    longest = max(paths, key=len)
    logits, _ = peaked(longest)
    assert decoder(logits) == [units.decode(collapsed(longest))]


@pytest.mark.parametrize("kind", ["greedy", "beam"])
@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        (
            "characters",
            [0, 2, 2, 3, 0, 1, 0, 2, 0, 2],
            [("ab", 1, 4), ("aa", 7, 10)],
        ),
        (
            "phones",
            [1, 1, 0, 1, 2],
            [("AH1", 0, 2), ("AH1", 3, 4), ("N", 4, 5)],
        ),
        ("sentencepiece", [1, 0, 2, 2, 1], [("ab", 0, 4), ("a", 4, 5)]),
    ],
)
def test_words_have_the_frames_of_their_units(kind, name, path, words):
    decoder = make_decoder(kind, SETS[name])
    assert decoder.words(*peaked(path)) == [words]


def best_text(logits, units):
    """The text with the largest sum over its paths, by enumeration."""
    probabilities = logits.softmax(-1).tolist()
    found = defaultdict(float)
    for path in itertools.product(range(4), repeat=len(logits)):
        probability = 1.0
        for frame, unit in zip(probabilities, path):
            probability *= frame[unit]
        found[units.decode(collapsed(path))] += probability
    first, second = sorted(found.values())[-2:][::-1]
    return max(found, key=found.get), first / second


def test_beam_search_finds_the_most_probable_text(units):
    torch.manual_seed(3)
    logits = torch.randn(12, 5, 4)
    greedy, beam = GreedyDecoder(units)(logits), BeamDecoder(units)(logits)
    known = [best_text(clip, units) for clip in logits]
    clear = [i for i, (_, ratio) in enumerate(known) if ratio > 1.001]
    assert [beam[i] for i in clear] == [known[i][0] for i in clear]
    assert len(clear) > 9
    assert greedy != beam  # the best path is not always the best text


def test_beam_search_of_a_batch_is_that_of_each_clip(units):
    torch.manual_seed(4)
    logits = torch.randn(3, 6, 4)
    mask = torch.arange(6) < torch.tensor([[6], [2], [4]])
    decoder = BeamDecoder(units)
    alone = [decoder(logits[i : i + 1, :n])[0] for i, n in enumerate([6, 2, 4])]
    assert decoder(logits, mask) == alone


def test_logits_of_few_bits_are_decoded_as_float(units):
    torch.manual_seed(5)
    logits = torch.randn(2, 20, 4).bfloat16()
    for decoder in (GreedyDecoder(units), BeamDecoder(units, beam_size=5)):
        assert decoder(logits) == decoder(logits.float())


def test_wrong_decoders_are_refused():
    units = SETS["characters"]
    with pytest.raises(HparamsError, match="'best', which is none of: greedy"):
        make_decoder("best", units)
    with pytest.raises(HparamsError, match="give --decoder beam"):
        make_decoder("greedy", units, lm="words.arpa")
    with pytest.raises(HparamsError, match="decoder beam: .*beam_width"):
        make_decoder("beam", units, beam_width=3)


HAS_KENLM = all(map(importlib.util.find_spec, NEEDED))
ARPA = """\\data\\
ngram 1=5

\\1-grams:
-99 <s>
-1.0 </s>
-9.0 <unk>
-4.0 a
-0.1 b

\\end\\
"""


@pytest.mark.skipif(HAS_KENLM, reason="kenlm and pygtrie are installed")
def test_without_kenlm_a_language_model_is_refused(tmp_path):
    with pytest.raises(HparamsError, match=r"pip install '.\[lm\]'"):
        make_decoder("beam", SETS["characters"], lm=tmp_path / "words.arpa")


@pytest.mark.skipif(
    not HAS_KENLM, reason="the extra lm (kenlm, pygtrie) is not installed"
)
def test_a_language_model_decides_between_words(tmp_path):
    units, file = SETS["characters"], tmp_path / "words.arpa"
    with pytest.raises(HparamsError, match="no such file"):
        make_decoder("beam", units, lm=file)
    file.write_text(ARPA)
    logits = torch.tensor([[[0.0, 0.0, 5.2, 5.0]]])  # "a" sounds more likely
    assert make_decoder("beam", units)(logits) == ["a"]
    assert make_decoder("beam", units, lm=file)(logits) == ["b"]
    assert make_decoder("beam", units, lm=file, alpha=0.0)(logits) == ["a"]
