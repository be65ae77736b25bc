"""Letters and number words of texts in several scripts and languages."""

import pytest

from tools.real_texts import ALPHABET, has_number, romanise

LETTERS = {
    "Чашечка кофе.": "chashechka kofe",
    "Вялікая цыфравая камера.": "vyalikaya tsyfravaya kamera",
    "ў й ё": "u y yo",
    "Επιτύμβια στήλη.": "epitimvia stili",
    "πού μπορώ": "pu boro",
    "L'ós és a l’arbre!": "los es a larbre",
    "O furculiță.": "o furculita",
    "æ ø å ß": "e o a ss",
    "Straße-Øl": "strasse ol",
    "കാ": "",
    "אב": "",
    "...": "",
}


@pytest.mark.parametrize("text, letters", LETTERS.items())
def test_letters(text, letters):
    assert romanise(text) == letters
    assert set(letters) <= set(ALPHABET)


@pytest.mark.parametrize(
    "text, language",
    [
        ("A SEVEN of spades", "en"),
        ("Le chiffre 2", "fr"),
        ("quatre chats", "fr"),
        ("Dos gatos", "es"),
        ("Vuit", "ca"),
        ("Două pisici", "ro"),
        ("Две кошки", "ru"),
        ("дев'ять", "uk"),
        ("Дзве", "be"),
        ("осем", "bg"),
        ("Τέσσερις", "el"),
        ("ÁTTA 8", "is"),
        ("tre", "it"),
        ("quatro", "pt_BR"),
        ("hét", "hu"),
        ("čtyři", "cs"),
    ],
)
def test_numbers_are_found(text, language):
    assert has_number(text, language)


@pytest.mark.parametrize(
    "text, language",
    [
        ("Un chat.", "fr"),  # an article
        ("One", "fr"),  # English is asked for apart
        ("Sixpence", "en"),
        ("Кошка", "ru"),
        ("", "en"),
    ],
)
def test_other_words_are_kept(text, language):
    assert not has_number(text, language)
