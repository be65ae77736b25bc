"""Prepare LibriSpeech: find clips and transcripts, check them, write a manifest.

LibriSpeech, 1,000 hours of read audiobooks, is by V. Panayotov, G. Chen,
D. Povey and S. Khudanpur, "LibriSpeech: an ASR corpus based on public domain
audio books", ICASSP 2015, https://www.openslr.org/12 (CC BY 4.0).

Authors
 * The PETL audio recipes team 2026
"""

import re
from string import ascii_uppercase

from petl_modules.data.prepare import (
    absolute,
    arpabet,
    check_counts,
    count,
    decode_list,
    find_lexicons,
    finish,
    pronounce,
    read_lexicon,
    read_list,
    read_manifest,
    refuse,
    refuse_short,
    text_problems,
    walk,
    warn_of_leaks,
)
from petl_modules.data.prepare import download as fetch
from petl_modules.recognition import BLANK, Units, make_labels
from petl_modules.utils import DataError, listed, show

ALPHABET = [" ", "'", *ascii_uppercase]
# By part: its split, whether it is of the harder condition, its clips
PARTS = {
    "train-clean-100": ("train", False, 28539),
    "dev-clean": ("valid", False, 2703),
    "dev-other": ("valid", True, 2864),
    "test-clean": ("test", False, 2620),
    "test-other": ("test", True, 2939),
}
NEEDED = [part for part, (_, other, _) in PARTS.items() if not other]
SOUND = re.compile(r"(\d+)/(\d+)/(\1-\2-\d{4})[.]flac")
TEXTS = re.compile(r"(\d+)/(\d+)/\1-\2[.]trans[.]txt")
LEXICON = "librispeech-lexicon.txt"
LEXICON_URL = f"https://www.openslr.org/resources/11/{LEXICON}"
LEXICON_BYTES = 20_000_000  # at most; it has 6 MB
ABSENT = """{folder} has no {absent}. LibriSpeech is expected as

    {folder}/
        train-clean-100/<speaker>/<chapter>/<speaker>-<chapter>-<nnnn>.flac
        train-clean-100/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt
        dev-clean/...       test-clean/...
        dev-other/...       test-other/...      (these two if you have them)

It is at https://www.openslr.org/12 (licence CC BY 4.0; 7 GB for these). Give
    --data_folder DIR    that folder,
or write a small generated dataset:
    python -m petl_modules.miniatures LibriSpeech DIR"""


def prepare_librispeech(
    data_folder,
    manifest_folder,
    units="characters",
    lexicon=(LEXICON,),
    stress=True,
    pieces=1000,
    download=False,
    url=LEXICON_URL,
    allow_partial=False,
    skip_bad_audio=False,
):
    """Check LibriSpeech and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, text, speaker, part, split
    [, condition] [, phones]}}`` with ``{data_root}`` for the data
    folder in ``wav``. dev-other and test-other, where they are there, have the
    ``condition`` other.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``train-clean-100`` and the other parts.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    units : str
        What is recognised: ``characters`` (28 of them), ``phones`` or
        ``sentencepiece``.
    lexicon : list of str
        For phones: files of pronunciations, in the data folder or elsewhere.
        The first pronunciation of a word counts.
    stress : bool
        For phones: whether vowels of different stress are different phones.
    pieces : int
        For sentencepiece: number of units.
    download : bool
        Fetch LibriSpeech's lexicon where it is absent.
    url : str
        Where it is.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    labels : list of str
        The blank, then the units; see ``petl_modules.recognition.Units``.

    Raises
    ------
    FileNotFoundError
        The dataset or a lexicon is not there.
    PermissionError
        A file cannot be read or the manifest cannot be written.
    DataError
        Files, transcripts, counts or the audio (``AudioError``) are not right.
    HparamsError
        There are no such units.
    DownloadError
        The lexicon could not be fetched.
    """
    folder = absolute(data_folder)
    records, places = find_clips(folder)
    found = count(records, "part")
    check_counts(
        "LibriSpeech",
        {"clips": len(records), "parts": found},
        {"parts": {part: PARTS[part][2] for part in found}},
        allow_partial,
    )
    warn_of_leaks(records, "speaker", "split")
    labels = [BLANK, *ALPHABET]
    if units == "phones":
        kept = absolute(manifest_folder)
        if download and LEXICON in lexicon and not (folder / LEXICON).exists():
            fetch(url, kept / LEXICON, LEXICON_BYTES)
        words = read_lexicon(_lexicons(lexicon, folder, kept))
        phones = arpabet(stress)
        labels = [BLANK, *pronounce(records, places, words, phones, stress)]
    elif units != "characters":
        texts = [r["text"] for r in records.values() if r["split"] == "train"]
        labels = make_labels(units, texts, pieces, manifest_folder)
    facts = "LibriSpeech", folder, manifest_folder, records
    manifest = finish(*facts, allow_partial, skip_bad_audio)
    refuse_short(read_manifest(manifest), places, Units(units, labels))
    return manifest, labels


def find_clips(folder):
    """Find clips and transcripts, and report all problems with their places.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    records : dict
        ``{id: {wav, text, speaker, part, split[, condition]}}``.
    places : dict
        ``{id: (file, line)}`` of the transcripts.

    Raises
    ------
    FileNotFoundError
        A part is missing that is needed.
    DataError
        A clip has no transcript, or a transcript no clip, or it is empty or
        has other characters; or a clip is in a place of another.
    """
    if absent := [part for part in NEEDED if not (folder / part).is_dir()]:
        absent = ", ".join(absent)
        raise FileNotFoundError(ABSENT.format(folder=folder, absent=absent))
    sounds, texts, places, misplaced, problems = {}, {}, {}, [], []
    for part, (split, other, _) in PARTS.items():
        paths = walk(folder / part) if (folder / part).is_dir() else ()
        for path in paths:
            if found := SOUND.fullmatch(path):
                speaker, _, clip = found.groups()
                sounds[clip] = {
                    "wav": f"{part}/{path}",
                    "speaker": speaker,
                    "part": part,
                    "split": split,
                    **({"condition": "other"} if other else {}),
                }
            elif TEXTS.fullmatch(path):
                file = folder / part / path
                problems += _read_texts(file, texts, places)
            elif path.endswith((".flac", ".trans.txt")):
                misplaced.append(f"{folder / part / path}")
    if misplaced:
        raise DataError(
            f"{len(misplaced)} files are not named as <speaker>/<chapter>/"
            f"<speaker>-<chapter>...:\n{listed(misplaced, limit=20)}\n"
            "Move away what is no part of LibriSpeech"
        )
    for clip in sorted(texts.keys() - sounds.keys()):
        problems.append((*places[clip], f"{clip} has no file {clip}.flac"))
    for clip in sorted(sounds.keys() - texts.keys()):
        wav = folder / sounds[clip]["wav"]
        file = wav.parent / f"{clip.rpartition('-')[0]}.trans.txt"
        problems.append((file, 1, f"{clip}.flac has no line here"))
    refuse(problems, "Fetch the dataset again, or move these clips away.")
    show(f"{len(sounds)} clips of {len(count(sounds, 'speaker'))} speakers")
    return {c: {**r, "text": texts[c]} for c, r in sounds.items()}, places


def _lexicons(names, *folders):
    """Find the lexicons; where LibriSpeech's is absent, say what fetches it."""
    try:
        return find_lexicons(names, *folders)
    except FileNotFoundError as error:
        fetched = f". --download True fetches LibriSpeech's ({LEXICON})"
        raise FileNotFoundError(f"{error}{fetched}") from error


def _read_texts(file, texts, places):
    """Read a chapter's transcripts; return the problems."""
    text, problem = decode_list(read_list(file))
    problems = [(file, *problem)] if problem else []
    chapter = file.name.partition(".")[0]
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        clip, _, said = row.partition(" ")
        if not re.fullmatch(rf"{chapter}-\d{{4}}", clip):
            problems.append((file, line, f"{clip!r} is no clip of {chapter}"))
            continue
        if clip in texts:
            above = "{}:{}".format(*places[clip])
            problems.append((file, line, f"{clip} is in {above} already"))
        texts[clip], places[clip] = " ".join(said.split()), (file, line)
        found = text_problems(clip, texts[clip], ALPHABET)
        problems += [(file, line, problem) for problem in found]
    return problems
