"""Prepare FSDD: find its clips, check them, write one manifest.

The Free Spoken Digit Dataset, 3,000 clips of ten digits by six speakers, is by
Z. Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset
(CC BY-SA 4.0). Each speaker is a fold.

Authors
 * The PETL audio recipes team 2026
"""

import os
import re

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    finish,
    is_system_file,
    unpack,
)
from petl_modules.data.prepare import download as fetch
from petl_modules.utils import DataError, is_taken, listed, refusal

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
FSDD_URL = (
    "https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/"
    f"{COMMIT}"
)
FSDD_SHA256 = "beaca4fb849cad13103b2cffba913b3d7fdb5f15222da4ddd07187b3c38a757a"
BYTES = 50_000_000  # of the unpacked dataset, at most
LABELS = tuple("zero one two three four five six seven eight nine".split())
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
FOLDS = {speaker: fold for fold, speaker in enumerate(SPEAKERS, 1)}
TAKES = 50  # of each digit by each speaker
CLIP = re.compile("([0-9])_([a-z]+)_(0|[1-9][0-9]*)[.]wav")
ABSENT = """no recordings were found in {folder}. FSDD is expected as

    {folder}/
        recordings/<digit>_<speaker>_<take>.wav

It is at https://github.com/Jakobovski/free-spoken-digit-dataset (licence
CC BY-SA 4.0). Either give
    --data_folder DIR    the folder that holds recordings, or
    --download True      to fetch it there (16 MB),
or write a small generated dataset:
    python -m petl_modules.miniatures FSDD DIR"""


def prepare_fsdd(
    data_folder,
    manifest_folder,
    allow_partial=False,
    download=False,
    url=FSDD_URL,
    sha256=FSDD_SHA256,
    skip_bad_audio=False,
    features=None,
):
    """Check FSDD and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label, fold, speaker}}``
    with ids as ``7_jackson_32``, the folds 1 to 6 for the speakers in
    alphabetical order, and ``{data_root}`` for the data folder in ``wav``. Its
    name carries a hash of the clips, the folder, the options, and each file's
    size and time, so that a change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``recordings``.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them.
    download : bool
        Fetch the dataset where the folder is absent or empty.
    url : str
        The zip archive to fetch.
    sha256 : str
        The archive's SHA-256.
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
        The ten digits as words, from ``zero``, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset is not there.
    PermissionError
        The folder cannot be read or the manifest cannot be written.
    DataError
        Names, counts or the audio (``AudioError``) are not right, or the
        download would overwrite something.
    DownloadError
        The archive could not be fetched or unpacked, or is another one.
    """
    folder = absolute(data_folder)
    if download and not (folder / "recordings").is_dir():
        _download(url, sha256, folder)
    records = find_clips(folder)
    check_counts(
        "FSDD",
        {
            "clips": len(records),
            "digits": count(records, "label"),
            "speakers": count(records, "speaker"),
        },
        {
            "clips": len(LABELS) * len(SPEAKERS) * TAKES,
            "digits": dict.fromkeys(LABELS, len(SPEAKERS) * TAKES),
            "speakers": dict.fromkeys(SPEAKERS, len(LABELS) * TAKES),
        },
        allow_partial,
    )
    manifest = finish(
        "FSDD",
        folder,
        manifest_folder,
        records,
        allow_partial,
        skip_bad_audio,
        features=features,
    )
    return manifest, LABELS


def find_clips(folder):
    """Find the clips; hidden and system files are skipped.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    dict
        ``{id: {wav, label, fold, speaker}}``.

    Raises
    ------
    FileNotFoundError
        There are no clips.
    PermissionError or DataError
        The folder cannot be read, or holds files that are no clips of FSDD.
    """
    place, records, problems = folder / "recordings", {}, []
    for name in _visible(place) if place.is_dir() else ():
        if problem := name_problem(name):
            problems.append(f"{name!r} {problem}")
            continue
        digit, speaker, _ = name.split("_")
        records[name.removesuffix(".wav")] = {
            "wav": f"recordings/{name}",
            "label": LABELS[int(digit)],
            "fold": FOLDS[speaker],
            "speaker": speaker,
        }
    if problems:
        raise DataError(
            f"Problems in FSDD, {place} ({len(problems)}):\n{listed(problems)}\n"
            "Remove these files, or fetch the dataset again into an empty "
            "folder."
        )
    if not records:
        raise FileNotFoundError(ABSENT.format(folder=folder))
    return records


def name_problem(name):
    """Return what is wrong with a clip's name, or None.

    Example
    -------
    >>> name_problem("7_jackson_32.wav")
    >>> name_problem("7_jackson_50.wav")
    'has take 50: there are 0 to 49'
    """
    parts = CLIP.fullmatch(name)
    if not parts:
        return "is not <digit>_<speaker>_<take>.wav"
    _, speaker, take = parts.groups()
    if speaker not in FOLDS:
        return f"has speaker {speaker!r}: there are {', '.join(SPEAKERS)}"
    if int(take) >= TAKES:
        return f"has take {take}: there are 0 to {TAKES - 1}"
    return None


def _visible(folder):
    """Return the names of a folder's visible entries, sorted."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise refusal(folder, error, "make it a readable folder") from error
    return sorted(name for name in names if not is_system_file(name))


def _download(url, sha256, folder):
    """Fetch the archive, check it and unpack it to the data folder."""
    if is_taken(folder):
        raise DataError(
            f"{folder} holds something, but no recordings, and nothing is "
            "downloaded over it. Give --data_folder a new or empty folder."
        )
    archive = folder.parent / f"free-spoken-digit-dataset-{COMMIT}.zip"
    had_archive = archive.exists()
    fetch(url, archive, largest=2 * BYTES, sha256=sha256)
    unpack(archive, folder, largest=2 * BYTES)
    if not had_archive:
        archive.unlink()
