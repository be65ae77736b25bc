"""Prepare GTZAN: find its clips, choose a protocol, write one manifest.

GTZAN, 1,000 excerpts of 30 s in 10 musical genres, is by G. Tzanetakis and
P. Cook, "Musical genre classification of audio signals", IEEE Transactions on
Speech and Audio Processing 10 (5), 2002. The fault-filtered lists are by
C. Kereliuk, B. L. Sturm and J. Larsen, "Deep Learning and Music Adversaries",
https://arxiv.org/abs/1507.04761, as torchaudio has them.

Authors
 * The PETL audio recipes team 2026
"""

import hashlib
import os
import re

from petl_modules.data import read_audio
from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    finish,
    is_system_file,
)
from petl_modules.utils import (
    AudioError,
    DataError,
    HparamsError,
    listed,
    refusal,
)
from torchaudio.datasets import gtzan

from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

LABELS = tuple(
    "blues classical country disco hiphop jazz metal pop reggae rock".split()
)
N_FOLDS = 10
ROOTS = ("genres", "genres_original", ".")
UNREADABLE = "jazz.00054"  # in a copy of GTZAN that is often fetched
# SHA-256 of the sorted names, one a line
LISTS = {
    "train": "82df3d4426e1dc8a15f1dece2ed0d89ce240ecbd9818b6f947488a9f5d581c85",
    "valid": "049e4ab67938aa22901cf0c611958fce0b9b9ff14362f658036bde470a37f71d",
    "test": "54cd6cf4ad283da2fba4c6ab3f4733374983708eeef9ee209d7670a575d8d988",
}
ABSENT = """no genres were found in {folder}. GTZAN is expected as

    {folder}/
        genres/<genre>/<genre>.<00000 to 00099>.wav

or with genres_original, as some copies have it, instead of genres. Its authors'
page is http://marsyas.info/downloads/datasets.html; the excerpts are from
commercial recordings, no licence is stated, and nothing is downloaded here. Give
    --data_folder DIR    the folder that holds genres,
or write a small generated dataset:
    python -m petl_modules.miniatures GTZAN DIR"""


def prepare_gtzan(
    data_folder,
    manifest_folder,
    protocol="filtered",
    seed=10,
    allow_partial=False,
    skip_bad_audio=False,
    features=None,
):
    """Check GTZAN and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label}}`` with ids as
    ``blues.00000``, ``{data_root}`` for the data folder in ``wav``, and
    ``split`` or ``fold`` as the protocol has it. Its name carries a hash of
    these, the folder, the options, and each file's size and time, so that a
    change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``genres`` or ``genres_original``, or the genres.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    protocol : str
        ``filtered``: the fault-filtered lists, 443 clips to train, 197 to
        validate and 290 to test. ``ten_folds``: all clips in ten folds by
        chance, ten of each genre in a fold.
    seed : int
        Seed of the folds.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``. ``jazz.00054``, which one copy of
        the dataset has damaged, is left out in any case, with a warning.
    features : callable or None
        What will be made of the clips, see ``finish``.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    labels : tuple
        The ten genres, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset is not there.
    PermissionError
        A folder cannot be read or the manifest cannot be written.
    DataError
        Files, lists or the audio (``AudioError``) are not right.
    HparamsError
        There is no such protocol.
    """
    if protocol not in ("filtered", "ten_folds"):
        raise HparamsError(
            f"protocol '{protocol}' is none of: filtered, ten_folds"
        )
    folder = absolute(data_folder)
    clips = find_clips(folder)
    if protocol == "filtered":
        key, parts = "split", filtered_lists()
    else:
        key, parts = "fold", draw_folds(seed)
    missing = sorted(parts.keys() - clips.keys() - {UNREADABLE})
    if missing and not allow_partial:
        raise DataError(
            f"{len(missing)} of the {len(parts)} clips of protocol {protocol} "
            f"are missing in {folder}:\n{listed(missing)}\nFetch them, or give "
            "--allow_partial True to use a subset."
        )
    records = {
        clip: {**clips[clip], key: part}
        for clip, part in sorted(parts.items())
        if clip in clips
    }
    if UNREADABLE in records or not allow_partial:
        _leave_out_unreadable(records, folder)
    counts = {
        "clips": len(records),
        "genres": count(records, "label"),
        f"{key}s": count(records, key),
    }
    check_counts("GTZAN", counts, {}, allow_partial)
    manifest = finish(
        "GTZAN",
        folder,
        manifest_folder,
        records,
        allow_partial,
        skip_bad_audio,
        features=features,
    )
    return manifest, LABELS


def filtered_lists():
    """Return the part of each clip in the fault-filtered lists, by id.

    Raises
    ------
    DataError
        torchaudio has other lists.

    Example
    -------
    >>> filtered_lists()["blues.00029"]
    'train'
    """
    parts = {}
    for part, sha256 in LISTS.items():
        names = getattr(gtzan, f"filtered_{part}", [])
        text = "\n".join(sorted(names))
        if hashlib.sha256(text.encode()).hexdigest() != sha256:
            raise DataError(
                f"this torchaudio has another list filtered_{part} of GTZAN "
                f"({len(names)} names): install a version that README names"
            )
        parts.update(dict.fromkeys(names, part))
    return parts


def draw_folds(seed):
    """Draw the fold of each of the 1,000 clips, from 1, by id.

    A fold has ten clips of each genre. The folds depend on the seed alone.

    Example
    -------
    >>> folds = draw_folds(seed=10)
    >>> len(folds), sum(fold == 3 for fold in folds.values())
    (1000, 100)
    """

    def chance(clip):
        return hashlib.sha256(f"{seed}/{clip}".encode()).digest()

    folds = {}
    for label in LABELS:
        clips = [f"{label}.{number:05d}" for number in range(100)]
        for place, clip in enumerate(sorted(clips, key=chance)):
            folds[clip] = place % N_FOLDS + 1
    return folds


def find_clips(folder):
    """Find the clips of all genres; hidden and system files are skipped.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    dict
        ``{id: {wav, label}}``.

    Raises
    ------
    FileNotFoundError
        There are no genres.
    PermissionError or DataError
        A folder cannot be read, or holds files that are no clips of its genre.
    """
    for root in ROOTS:
        if labels := [x for x in LABELS if (folder / root / x).is_dir()]:
            break
    else:
        raise FileNotFoundError(ABSENT.format(folder=folder))
    clips, problems = {}, []
    if root != ".":
        others = [x for x in _visible(folder / root) if x not in LABELS]
        problems = [f"'{root}/{name}' is no genre of GTZAN" for name in others]
    for label in labels:
        for name in _visible(folder / root / label):
            wav = f"{root}/{label}/{name}".removeprefix("./")
            if re.fullmatch(rf"{label}\.000[0-9]{{2}}\.wav", name):
                clips[name[:-4]] = {"wav": wav, "label": label}
            else:
                problems.append(f"{wav!r} is no {label}.<00000 to 00099>.wav")
    if problems:
        raise DataError(
            f"Problems in GTZAN, {folder} ({len(problems)}):\n"
            f"{listed(problems)}\nRemove these files, or unpack the dataset "
            "again into an empty folder."
        )
    return clips


def _visible(folder):
    """Return the names of a folder's visible entries, sorted."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise refusal(folder, error, "make it a readable folder") from error
    return sorted(name for name in names if not is_system_file(name))


def _leave_out_unreadable(records, folder):
    """Leave out, with a warning, the clip that is damaged in a known copy."""
    reason = f"{folder} does not have it"
    if UNREADABLE in records:
        try:
            read_audio(folder / records[UNREADABLE]["wav"])
            return
        except AudioError as error:
            reason = error
        del records[UNREADABLE]
    logger.warning(
        f"{UNREADABLE}, which is damaged in a known copy of GTZAN, is left out "
        f"({reason})"
    )
