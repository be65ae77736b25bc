"""Check a dataset's audio, and write its manifest."""

import contextlib

from speechbrain.utils.logger import get_logger

from petl_modules.data import UsedPart, check_audio
from petl_modules.data.levels import odd_classes
from petl_modules.data.prepare.chance_folds import make_folds
from petl_modules.data.prepare.duplicates import check_duplicates
from petl_modules.data.prepare.manifest import (
    bad_audio_path,
    manifest_path,
    read_manifest,
    read_remarks,
    read_skipped,
    write_manifest,
)
from petl_modules.utils import AudioError, alone_in, listed, refusal

logger = get_logger(__name__)


def finish(
    name,
    folder,
    manifest_folder,
    records,
    allow_partial=False,
    skip_bad_audio=False,
    n_folds=None,
    features=None,
):
    """Check the audio and write the manifest, if no up-to-date manifest exists.

    One process at a time does so in a folder of manifests; others wait.
    The manifest's name has a hash of the records, the folder, the options, the
    part of a clip that is used, and each file's size and time: a change of any
    of them gives a new manifest.
    What is odd about clips that can be used is logged as a warning, and kept
    in ``<stem>.remarks.txt`` for later runs.

    Arguments
    ---------
    name : str
        The dataset.
    folder : pathlib.Path
        The data folder.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    records : dict
        Records by id, ``wav`` relative to the data folder.
    allow_partial : bool
        Whether the dataset may be incomplete. If not, it is a whole published
        one, see ``check_duplicates``.
    skip_bad_audio : bool
        Leave unreadable clips out of the manifest, list them in
        ``<stem>.bad_audio.txt`` and log a warning.
    n_folds : int or None
        Number of folds to make by chance, see ``make_folds``. None: the
        records have their parts.
    features : callable or None
        What will be made of the clips, see ``petl_modules.data.load_features``.
        The part of a clip that they use is judged, and two clips are one sound
        if it is equal. None: the whole clip.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file: a ``Record`` by id, sorted by id.

    Raises
    ------
    AudioError
        A file is missing or unreadable; with ``skip_bad_audio``, all are.
    PermissionError or DataError
        The manifest cannot be written.
    DataError
        Folds cannot be made, or one sound has several labels.
    """
    records = dict(sorted(records.items()))
    if n_folds is not None:
        make_folds(records, n_folds)  # too few clips: known before all are read
    paths = [folder / record["wav"] for record in records.values()]
    options = [bool(allow_partial), bool(skip_bad_audio)]
    facts = [str(folder), options, records, UsedPart.of(features)]
    manifest = manifest_path(manifest_folder, name.lower(), facts, paths)
    with _missing(manifest) as missing:
        if missing:
            checked = check_audio(
                paths, f"Checking {name}", skip_bad_audio, features
            )
            facts = dict(zip(records, checked))
            whole, skipped = _usable(records, facts)
            if n_folds is not None:
                make_folds(whole, n_folds)  # equal sounds together
            remarks = _remarks(whole, {clip: facts[clip] for clip in whole})
            write_manifest(manifest, whole, skipped, remarks)
    check_duplicates(read_manifest(manifest), published=not allow_partial)
    for remark in read_remarks(manifest):
        logger.warning(f"{name}: {remark}")
    if skipped := read_skipped(manifest):
        logger.warning(
            f"{len(skipped)} of {len(records)} clips of {name} cannot be read "
            f"and are left out, see {bad_audio_path(manifest)}:\n"
            f"{listed(skipped, limit=5)}"
        )
    return manifest


@contextlib.contextmanager
def _missing(manifest):
    """Tell whether a manifest is to be written, after any other run is done.

    Its folder may be read-only if it is there.
    """
    if manifest.exists():
        yield False
        return
    try:
        manifest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(manifest, error, "choose another folder") from error
    with alone_in(manifest.parent):
        yield not manifest.exists()


def _usable(records, facts):
    """Return the manifest's records, and what is wrong with other clips.

    Arguments
    ---------
    records : dict
        Records by id.
    facts : dict
        Their ``AudioFacts``, or the error of a clip, by id.

    Returns
    -------
    whole : dict
        A ``Record`` by id.
    skipped : dict
        Texts by id.
    """
    whole, skipped = {}, {}
    for clip, record in records.items():
        found = facts[clip]
        if isinstance(found, AudioError):
            skipped[clip] = " ".join(str(found).split())
            continue
        others = {k: v for k, v in record.items() if k != "wav"}
        wav = f"{{data_root}}/{record['wav']}"
        told = {"duration": found.duration, "digest": found.digest}
        if found.used_digest:
            told["used_digest"] = found.used_digest
        whole[clip] = {"wav": wav, **told, **others}
    return whole, skipped


def _remarks(records, facts):
    """Return what is odd about clips and classes, one text a kind.

    Arguments
    ---------
    records : dict
        Records by id.
    facts : dict
        Their ``AudioFacts`` by id.

    Returns
    -------
    list of str
    """
    clips, levels = {}, {}
    for clip, found in facts.items():
        label = records[clip].get("label")
        levels.setdefault(label, []).append(found.level)
        for remark in found.remarks:
            clips.setdefault(remark, []).append(clip)
    remarks = [
        f"{len(ids)} of {len(facts)} clips: {remark}:\n{listed(ids, limit=5)}"
        for remark, ids in clips.items()
    ]
    if classes := odd_classes(levels):
        remarks.append(
            "the level alone tells some classes from the others. If the sounds "
            "are not so different, but were recorded or saved in another way, "
            f"bring them to one level:\n{listed(classes)}"
        )
    return remarks
