"""Prepare Speech Commands: find its clips, check them, write one manifest.

Google Speech Commands 0.02, 105,829 clips of up to 1 s, 35 words, is by
P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech
Recognition", https://arxiv.org/abs/1804.03209 (CC BY 4.0). Its two lists name
the clips of the validation and the test part; all others are for training.

Authors
 * The PETL audio recipes team 2026
"""

import os
import re

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    decode_list,
    finish,
    is_system_file,
    read_list,
    warn_of_leaks,
)
from petl_modules.utils import DataError, listed, refusal

GSC_URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
LABELS = tuple(
    """
    backward bed bird cat dog down eight five follow forward four go happy
    house learn left marvin nine no off on one right seven sheila six stop
    three tree two up visual wow yes zero
    """.split()
)
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"  # long recordings of no class
CLIP = re.compile("([0-9A-Za-z]+)_nohash_[0-9]+[.]wav")
PATTERN = "<speaker>_nohash_<n>.wav"
ABSENT = """{absent} not found. Speech Commands 0.02 is expected as

    {folder}/
        <word>/<speaker>_nohash_<n>.wav
        validation_list.txt
        testing_list.txt

It is at {url}
(licence CC BY 4.0, 2.3 GB) and unpacks into the current folder, so make one:
    mkdir speech_commands_v0.02
    tar xf speech_commands_v0.02.tar.gz -C speech_commands_v0.02
Then give
    --data_folder DIR    that folder,
or write a small generated dataset:
    python -m petl_modules.miniatures GSC DIR"""


def prepare_gsc(
    data_folder,
    manifest_folder,
    allow_partial=False,
    skip_bad_audio=False,
    features=None,
):
    """Check Speech Commands and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label, split, speaker}}``
    with ids as ``word/speaker_nohash_n``, splits ``train``, ``valid`` and
    ``test``, and ``{data_root}`` for the data folder in ``wav``. Its name
    carries a hash of the clips and their splits, the folder, the options, and
    each file's size and time, so that a change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds the words' folders and the two lists.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them. The
        lists then name clips of the subset only.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.
    features : callable or None
        What will be made of the clips, see there.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    labels : tuple
        The 35 words, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset is not there.
    PermissionError
        A folder or list cannot be read or the manifest cannot be written.
    DataError
        Files, lists, counts or the audio (``AudioError``) are not right.
    """
    folder = absolute(data_folder)
    lists = {
        split: (folder / name, read_list(folder / name))
        for split, name in LISTS.items()
    }
    absent = [str(path) for path, content in lists.values() if content is None]
    if absent:
        verb = "were" if len(absent) > 1 else "was"
        named = f"{' and '.join(absent)} {verb}"
        raise FileNotFoundError(
            ABSENT.format(absent=named, folder=folder, url=GSC_URL)
        )
    clips, strange = find_clips(folder)
    splits, wrong = parse_lists(lists, clips)
    _refuse(strange + wrong)
    records = {
        clip: {**clips[clip], "split": splits.get(clip, "train")}
        for clip in clips
    }
    check_counts(
        "Speech Commands",
        {
            "clips": len(records),
            "words": len(count(records, "label")),
            "splits": count(records, "split"),
        },
        {
            "clips": 105829,
            "words": 35,
            "splits": {"test": 11005, "train": 84843, "valid": 9981},
        },
        allow_partial,
    )
    warn_of_leaks(records, "speaker", "split")
    manifest = finish(
        "GSC",
        folder,
        manifest_folder,
        records,
        allow_partial,
        skip_bad_audio,
        features=features,
    )
    return manifest, LABELS


def find_clips(folder):
    """Find the clips of all words, and report files that belong to no word.

    Hidden files and those of the system, the folder of background noise, and
    folders without wav files are skipped.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    clips : dict
        ``{id: {wav, label, speaker}}``, in the same order on every file system.
    problems : list
        One text each, as ``folder: problem``.

    Raises
    ------
    PermissionError or DataError
        A folder cannot be read.

    Example
    -------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "yes").mkdir()
    >>> (folder / "yes" / "0a_nohash_1.wav").touch()
    >>> find_clips(folder)
    ({'yes/0a_nohash_1': {'wav': 'yes/0a_nohash_1.wav', 'label': 'yes', 'speaker': '0a'}}, [])
    """
    clips, problems = {}, []
    for entry in _visible(folder):
        word, path = entry.name, folder / entry.name
        if not entry.is_dir():
            if _is_wav(word):
                problems.append(f"{folder}: {word!r} is in no word's folder")
        elif word in LABELS:
            for name in (inner.name for inner in _visible(path)):
                if parts := CLIP.fullmatch(name):
                    wav = f"{word}/{name}"
                    clips[wav.removesuffix(".wav")] = {
                        "wav": wav,
                        "label": word,
                        "speaker": parts[1],
                    }
                else:
                    problems.append(f"{path}: {name!r} is not {PATTERN}")
        elif word != NOISE and any(_is_wav(e.name) for e in _visible(path)):
            text = "has wav files and is none of the 35 words"
            problems.append(f"{folder}: folder {word!r} {text}")
    return clips, problems


def parse_lists(lists, clips):
    """Read the split of each clip from the lists, and report all problems.

    Arguments
    ---------
    lists : dict
        ``{split: (path, content)}`` with the content as bytes.
    clips : container
        Ids of the existing clips.

    Returns
    -------
    splits : dict
        ``{id: split}`` of the listed clips.
    problems : list
        One text each, as ``file:line: problem``.

    Example
    -------
    >>> parse_lists({"test": ("testing_list.txt", b"yes/0a_nohash_1.wav")}, [])
    ({}, ["testing_list.txt:1: there is no 'yes/0a_nohash_1.wav'"])
    """
    splits, places, problems = {}, {}, []
    for split, (path, content) in lists.items():
        text, problem = decode_list(content)
        if problem:
            line, why = problem
            problems.append(f"{path}:{line}: {why}")
            continue
        lines = text.split("\n")
        names = {n: text.strip(" \t\r") for n, text in enumerate(lines, 1)}
        if not any(names.values()):
            problems.append(f"{path}:1: no clips are listed")
        for line, wav in names.items():
            if not wav:
                continue
            place = f"{path}:{line}"
            above = places.setdefault(wav, place)
            if problem := _line_problem(wav, clips):
                problems.append(f"{place}: {problem}")
            elif above != place:
                problems.append(f"{place}: {wav!r} is listed at {above} too")
            else:
                splits[wav.removesuffix(".wav")] = split
    return splits, problems


def _line_problem(wav, clips):
    """Return the problem of one line, or None."""
    word, _, name = wav.partition("/")
    if not CLIP.fullmatch(name):
        return f"{wav!r} is not <word>/{PATTERN}"
    if word not in LABELS:
        return f"{word!r} in {wav!r} is none of the 35 words"
    if wav.removesuffix(".wav") not in clips:
        return f"there is no {wav!r}"
    return None


def _visible(folder):
    """Return a folder's visible entries, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            seen = [e for e in entries if not is_system_file(e.name)]
    except OSError as error:
        raise refusal(folder, error, "make it a readable folder") from error
    return sorted(seen, key=lambda entry: entry.name)


def _is_wav(name):
    """Return whether a file name ends with .wav, in any case."""
    return name.lower().endswith(".wav")


def _refuse(problems):
    """Raise one error with all problems of files and lists, if any."""
    if problems:
        raise DataError(
            f"Problems in Speech Commands ({len(problems)}):\n"
            f"{listed(problems)}\n"
            "Correct them, or unpack the dataset again into an empty folder. "
            "The lists of a subset (--allow_partial True) name its clips only."
        )
