"""Pronunciations: from the words of a transcript to phones."""

from pathlib import Path
from typing import NamedTuple

from petl_modules.data.prepare.csv_lists import read_list, refuse
from petl_modules.data.prepare.list_rows import decode_list
from petl_modules.utils import DataError, HparamsError, listed

VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()


class Pronunciation(NamedTuple):
    """The phones of a word, and where a lexicon has them."""

    phones: list
    file: str
    line: int


def arpabet(stress=True):
    """Return the phones of ARPAbet.

    Arguments
    ---------
    stress : bool
        Whether vowels have their stress, 0 to 2.

    Example
    -------
    >>> len(arpabet()), len(arpabet(stress=False))
    (69, 39)
    """
    marks = "012" if stress else [""]
    vowels = [f"{vowel}{mark}" for vowel in VOWELS for mark in marks]
    return sorted([*vowels, *CONSONANTS])


def find_lexicons(names, *folders):
    """Return the files of pronunciations.

    Arguments
    ---------
    names : list of str
        Files, in one of the folders or elsewhere.
    *folders : pathlib.Path
        The data folder first.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    HparamsError
        No file is named.
    FileNotFoundError
        A file is not there.
    """
    if not names:
        raise HparamsError("phones need pronunciations: give --lexicon FILE")
    files = []
    for name in names:
        places = [*(folder / name for folder in folders), Path(name)]
        found = [place for place in places if place.is_file()]
        if not found:
            raise FileNotFoundError(
                f"phones need pronunciations, and there is no {places[0]}: "
                "give --lexicon FILE, with a word and its phones in each line"
            )
        files.append(found[0])
    return files


def read_lexicon(files):
    """Read pronunciations: a word and its phones in each line.

    Arguments
    ---------
    files : list of pathlib.Path
        The first line of a word counts, of the first file that has it.

    Returns
    -------
    dict
        A ``Pronunciation`` by word.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        One line for each problem, as ``file:line: problem``.
    """
    words, problems = {}, []
    for file in files:
        content = read_list(file)
        if content is None:
            raise FileNotFoundError(f"there is no lexicon {file}")
        text, problem = decode_list(content)
        problems += [(file, *problem)] if problem else []
        for line, row in enumerate(text.split("\n"), start=1):
            if not (fields := row.split()):
                continue
            word, *phones = fields
            if not phones:
                problems.append((file, line, f"{word!r} has no phones"))
            words.setdefault(word, Pronunciation(phones, str(file), line))
    refuse(problems, "Correct the lexicon.")
    return words


def pronounce(records, places, lexicon, phones=None, stress=True):
    """Give each record its ``phones``, by the first pronunciation of a word.

    Arguments
    ---------
    records : dict
        Records by id, with ``text``; changed in place.
    places : dict
        Where their transcripts are, ``{id: (file, line)}``.
    lexicon : dict
        See ``read_lexicon``.
    phones : list of str or None
        The phones that may occur. None: those that occur, sorted.
    stress : bool
        Whether vowels keep the digit of their stress.

    Returns
    -------
    phones : list of str
        Those that may occur.

    Raises
    ------
    DataError
        The lexicon lacks words, or has other phones; lists all of them.
    """
    unknown, used = {}, {}
    for clip, record in records.items():
        found = []
        for word in record["text"].split():
            if word in lexicon:
                used[word] = lexicon[word]
                found += lexicon[word].phones
            else:
                unknown.setdefault(word, clip)
        if not stress:
            found = [phone.rstrip("012") for phone in found]
        record["phones"] = " ".join(found)
    if unknown:
        lines = [
            "{}:{}: {}".format(*places[clip], word)
            for word, clip in sorted(unknown.items())
        ]
        raise DataError(
            f"{len(unknown)} words are in no lexicon:\n{listed(lines)}\n"
            "Add a lexicon that has them with --lexicon FILE,FILE"
        )
    occurring = {p for r in records.values() for p in r["phones"].split()}
    if phones is None:
        phones = sorted(occurring)
    problems = [
        (entry.file, entry.line, f"{word!r} has the phone {phone!r}")
        for word, entry in sorted(used.items())
        for phone in entry.phones
        if (phone if stress else phone.rstrip("012")) not in phones
    ]
    refuse(problems, f"Use these phones: {' '.join(phones)}")
    return phones
