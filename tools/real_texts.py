"""Texts of recorded speech: letters of one alphabet, and which are learnt from.

``choose`` leaves numbers out, so that no encoder hears the digits that a table
of results tests: a recording is left out if a word of its text is a number word of
its language, or its text or its English name has a digit or an English number
word. ``un``, ``una``, ``o``, ``en`` and the like, which are articles more often
than numbers, are kept.
"""

import re
import unicodedata
from functools import cache

LONGEST = 5.0  # seconds
# They measure, as their syllables are the same in seven languages
HELD_OUT = tuple(f"klettres-{x}" for x in "cs es it pt_BR ru tn uk".split())
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
_CYRILLIC = dict(
    zip(
        "абвгґдеєжзиіїклмнопрстуўфхцчшщъыьэюя",
        "a b v g g d e ye zh z i i yi k l m n o p r s t u u f h ts ch sh sh "
        "a y . e yu ya".replace(".", "\0").split(" "),
    )
)
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψω",
        "a v g d e z i th i k l m n x o p r s s t i f h ps o".split(" "),
    )
)
_LETTERS = {**_CYRILLIC, **_GREEK, "й": "y", "ё": "yo", "ß": "ss", "ø": "o"}
_LETTERS |= {"æ": "e", "œ": "e", "ł": "l", "ı": "i", "\0": ""}
_GREEK_PAIRS = {"ου": "u", "αι": "e", "ει": "i", "οι": "i", "μπ": "b"}
_GREEK_PAIRS |= {"ντ": "d", "γκ": "g", "γγ": "g", "τσ": "ts"}
_WORDS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty "
    "thirty forty fifty sixty seventy eighty ninety hundred thousand",
    "fr": "zéro deux trois quatre cinq six sept huit neuf dix onze douze treize "
    "quatorze quinze seize vingt trente quarante cinquante soixante cent mille",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce "
    "trece catorce quince veinte treinta cuarenta cincuenta cien ciento mil",
    "ca": "zero dos dues tres quatre cinc sis set vuit nou deu onze dotze vint "
    "trenta quaranta cinquanta cent mil",
    "ro": "zero doi două trei patru cinci șase șapte opt nouă zece unsprezece "
    "douăzeci treizeci cincizeci sută sute mie mii",
    "it": "zero due tre quattro cinque sei sette otto nove dieci cento mille",
    "pt": "zero dois duas três quatro cinco seis sete oito nove dez cem mil",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "nds": "null een twee dree veer fief söss söven acht negen teihn",
    "nl": "nul twee drie vier vijf zes zeven acht negen tien elf twaalf",
    "da": "nul to tre fire fem seks syv otte ni ti elleve tolv tyve hundrede",
    "ru": "ноль один одна два две три четыре пять шесть семь восемь девять "
    "десять двадцать тридцать сорок пятьдесят сто тысяча",
    "uk": "нуль один одна два дві три чотири п'ять шість сім вісім дев'ять "
    "десять сто",
    "be": "нуль адзін адна два дзве тры чатыры пяць шэсць сем восем дзевяць "
    "дзесяць дваццаць сто",
    "bg": "нула един една едно два две три четири пет шест седем осем девет "
    "десет двадесет сто",
    "el": "μηδέν δύο δυο τρία τρεις τέσσερα τέσσερις πέντε έξι επτά εφτά οκτώ "
    "οχτώ εννέα εννιά δέκα είκοσι εκατό",
    "lt": "nulis vienas du trys keturi penki šeši septyni aštuoni devyni dešimt",
    "hu": "egy kettő két három négy öt hat hét nyolc kilenc tíz száz ezer",
    "cs": "nula jeden jedna dva dvě tři čtyři pět šest sedm osm devět deset sto",
}


def choose(rows):
    """Return the recordings to learn from and those that measure.

    Arguments
    ---------
    rows : list of dict
        Rows of ``tools.real_speech.read_recordings``.

    Returns
    -------
    learn, measure : list of tuple
        File, language and letters of each recording with a text in a known
        script, without a number word, of up to ``LONGEST`` seconds.
    """
    learn, measure = [], []
    for row in rows:
        letters = romanise(row["text"])
        number = has_number(row["english"], "en") or has_number(
            row["text"], row["language"]
        )
        if not letters or number or row["seconds"] > LONGEST:
            continue
        held_out = row["voice"] in HELD_OUT
        found = measure if held_out else learn
        found.append((row["file"], row["language"].split("_")[0], letters))
    return learn, measure


def romanise(text):
    """Return a text in lower-case letters a to z and single spaces.

    Arguments
    ---------
    text : str
        In Latin, Cyrillic or Greek script.

    Returns
    -------
    str
        Accents are dropped, other letters told by those that sound like them;
        "" if a letter of another script is in it.

    Example
    -------
    >>> romanise("Чашечка кофе."), romanise("Un llaç vert"), romanise("ბ")
    ('chashechka kofe', 'un llac vert', '')
    """
    split = unicodedata.normalize("NFD", text.lower()).replace("\u0301", "")
    text = unicodedata.normalize("NFC", split)
    for pair, letters in _GREEK_PAIRS.items():
        text = text.replace(pair, letters)
    letters = [_LETTERS.get(x) or _plain(x) for x in text]
    letters = ["".join(_LETTERS.get(y, y) for y in x) for x in letters]
    joined = re.sub("[^a-z]+", " ", re.sub("['’ʼ]", "", "".join(letters)))
    foreign = any(x.isalpha() and not x.isascii() for x in "".join(letters))
    return "" if foreign else joined.strip()


def has_number(text, language):
    """Return whether a text has a digit or a number word of a language.

    Arguments
    ---------
    text : str
        In the script of the language.
    language : str
        Its code; a region after an underscore is ignored.

    Example
    -------
    >>> has_number("Две кошки", "ru"), has_number("Un chat", "fr")
    (True, False)
    """
    spoken = set(romanise(text).split())
    numbers = _number_words(language.split("_")[0])
    return bool(re.search(r"\d", text) or spoken & numbers)


@cache
def _number_words(language):
    """Return the number words of a language, as ``romanise`` writes them."""
    return {romanise(word) for word in _WORDS.get(language, "").split()}


def _plain(letters):
    """Return letters without their accents."""
    split = unicodedata.normalize("NFKD", letters)
    return "".join(x for x in split if not unicodedata.combining(x))
