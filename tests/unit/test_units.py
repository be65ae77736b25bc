"""Units of recognition: characters, phones, pieces of words."""

import io
import json
import random
from itertools import product

import pytest
import sentencepiece

from petl_modules.models.settings import describe
from petl_modules.recognition import (
    BLANK,
    Pieces,
    Units,
    characters_of,
    make_labels,
    phones_of,
    train_pieces,
)
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.utils import DataError, HparamsError

WORDS = "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE ZERO OH THAT'S".split()
OTHERS = [
    "\u4e00 \u4e8c",
    "na\xefve \xfcber",
    "\u0434\u0430",
    "50% = #1 [a]: {b}",
]


def drawn(count=150):
    draw = random.Random(2)
    syllables = ["".join(x) for x in product("NTSRF", "AEIO", ["", "N", "X"])]
    words = WORDS + ["".join(draw.choices(syllables, k=3)) for _ in range(60)]
    return [
        " ".join(draw.choices(words, k=draw.randint(1, 6)))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def texts():
    return drawn()


@pytest.fixture(scope="module", params=["characters", "sentencepiece"])
def units(request, texts):
    return Units(request.param, make_labels(request.param, texts, 40))


def test_texts_round_trip(units, texts):
    for text in texts:
        indices = units.encode(text)
        assert 0 not in indices
        assert units.decode(indices) == text
        assert [word for word, *_ in units.words(indices)] == text.split()
    assert units.names[0] == BLANK
    assert (
        len(units)
        == len(units.names)
        == 1 + max(i for text in texts for i in units.encode(text))
        or units.kind == "sentencepiece"
    )


def test_words_have_the_places_of_their_units(units, texts):
    for text in texts[:20]:
        indices = units.encode(text)
        for word, start, stop in units.words(indices):
            assert units.decode(indices[start:stop]) == word
            before = units.words(indices[:start])
            assert len(before) == len(units.words(indices[:stop])) - 1


def test_any_alphabet():
    units = Units("characters", characters_of(OTHERS))
    for text in OTHERS:
        assert units.decode(units.encode(text)) == text
    labels = train_pieces(OTHERS * 5, 24)
    pieces = Units("sentencepiece", [BLANK, *labels])
    for text in OTHERS:
        assert pieces.decode(pieces.encode(text)) == text


def test_spaces_of_a_path_are_single():
    units = Units("characters", characters_of(["A B"]))
    space, a, b = 1, 2, 3
    assert units.decode([space, a, space, space, b, space]) == "A B"
    assert units.decode([]) == units.decode([space]) == ""


def test_phones():
    units = Units("phones", phones_of(["W AH1 N", "T UW1", "W AH1 N T UW1"]))
    assert units.names == [BLANK, "AH1", "N", "T", "UW1", "W"]
    assert units.encode("T UW1 W") == [3, 4, 5]
    assert units.decode([3, 4, 5]) == "T UW1 W"
    assert units.words([3, 4]) == [("T", 0, 1), ("UW1", 1, 2)]
    assert units.key == "phones"


@pytest.mark.parametrize("kind", ["characters", "sentencepiece"])
def test_an_unknown_character_is_named(kind, texts):
    units = Units(kind, make_labels(kind, texts, 40))
    with pytest.raises(DataError, match="'ONE 2~'.* '2', '~'"):
        units.encode("ONE 2~")
    with pytest.raises(DataError, match="empty text"):
        units.encode("")


def test_the_blank_is_no_unit_of_a_text():
    units = Units("phones", phones_of(["T UW1"]))
    with pytest.raises(DataError, match="'<blank>'"):
        units.encode("T <blank>")


@pytest.mark.parametrize(
    ("kind", "labels", "said"),
    [
        ("letters", [BLANK, "a"], "is none of: characters, phones"),
        ("characters", ["a", BLANK], "must be <blank> and others"),
        ("characters", [BLANK, "a", "a"], "each once"),
        ("characters", [BLANK], "and others"),
        ("characters", [], "and others"),
        ("sentencepiece", [BLANK, "a"], "a piece, a tab and a number"),
        ("sentencepiece", [BLANK, "a\tb"], "a piece, a tab and a number"),
        ("sentencepiece", [BLANK, "a\t-1", "a\t-2"], "each once"),
    ],
)
def test_wrong_labels_are_refused(kind, labels, said):
    with pytest.raises(HparamsError, match=said):
        Units(kind, labels)


# Pieces


def test_pieces_are_those_of_sentencepiece(texts):
    """The library's own split of texts, by the same model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sorted(texts)),
        model_writer=model,
        model_type="unigram",
        vocab_size=41,
        character_coverage=1.0,
        normalization_rule_name="identity",
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    library = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    lines = [
        f"{library.id_to_piece(i)}\t{library.get_score(i)}"
        for i in range(1, len(library))
    ]
    pieces = Pieces(lines)
    draw = random.Random(5)
    letters = sorted({*"".join(texts)} - {" "})
    others = [  # words that the model has not met
        " ".join("".join(draw.choices(letters, k=7)) for _ in range(3))
        for _ in range(50)
    ]
    for text in texts + others:
        expected = library.encode(text, out_type=str)
        found = pieces.split(text)
        assert "".join(found) == "".join(expected)
        scores = [
            sum(pieces.scores[piece] for piece in split)
            for split in (found, expected)
        ]
        assert scores[0] == pytest.approx(scores[1], rel=1e-6)


def test_pieces_do_not_depend_on_the_order_of_texts(texts):
    assert train_pieces(texts, 30) == train_pieces(texts[::-1], 30)
    assert len(train_pieces(texts, 30)) == 30
    assert train_pieces(texts, 31) != train_pieces(texts, 30)


def test_pieces_are_kept_for_their_texts_and_size(texts, tmp_path, monkeypatch):
    lines = train_pieces(texts, 30, tmp_path / "new")
    assert len([*(tmp_path / "new").iterdir()]) == 1
    train_pieces(texts[1:], 30, tmp_path / "new")
    train_pieces(texts, 31, tmp_path / "new")
    assert len([*(tmp_path / "new").iterdir()]) == 3
    monkeypatch.setattr(sentencepiece, "SentencePieceTrainer", None)
    assert train_pieces(texts, 30, tmp_path / "new") == lines


def test_impossible_sizes_are_refused(texts):
    with pytest.raises(HparamsError, match="give at most --pieces") as error:
        train_pieces(texts, 10_000)
    most = int(str(error.value).split()[-1])
    assert len(train_pieces(texts, most)) == most
    with pytest.raises(HparamsError, match="2 pieces are too few") as error:
        train_pieces(texts, 2)
    least = int(str(error.value).split("at least ")[1].split()[0])
    assert len(train_pieces(texts, least)) == least
    with pytest.raises(HparamsError, match="too few"):
        train_pieces(texts, least - 1)


def test_long_texts_are_not_left_out():
    """The library leaves out lines of more bytes than a limit."""
    long = "Q" + " ".join(WORDS * 200)
    labels = train_pieces([*WORDS * 5, long], 25)
    units = Units("sentencepiece", [BLANK, *labels])
    assert units.decode(units.encode(long)) == long


def test_the_mark_of_words_is_refused():
    with pytest.raises(DataError, match="stands for the space"):
        make_labels("sentencepiece", ["a\u2581b"], 5)


@pytest.mark.parametrize("kind", ["characters", "sentencepiece"])
def test_labels_survive_recipe_files_and_checkpoints(kind, texts):
    labels = make_labels(kind, texts + OTHERS * 5, 60)
    recipe = RecipeFile.parse("labels: []")
    recipe.update({"labels": labels})
    assert list(RecipeFile.parse(recipe.text)["labels"]) == labels
    made = recipe.make_all(labels=labels)
    assert list(made["labels"]) == labels
    assert json.loads(json.dumps(describe(labels))) == labels
    again = Units(kind, list(made["labels"]))
    assert again.encode(texts[0]) == Units(kind, labels).encode(texts[0])
