"""Prepare IEMOCAP: read its label files, check its audio, write one manifest.

The dataset, about 12 hours of acted dialogues in 5 sessions of a woman and a
man each, is by C. Busso et al., "IEMOCAP: Interactive emotional dyadic motion
capture database", Language Resources and Evaluation 42, 2008,
https://sail.usc.edu/iemocap/ (on request, never downloaded here). Of its
10,039 utterances, 5,531 in four classes are used; excited counts as happy.

Authors
 * The PETL audio recipes team 2026
"""

import io
import re

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    finish,
    is_system_file,
    read_list,
    refuse,
)
from petl_modules.utils import DataError, listed

from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

LABELS = ("neu", "ang", "sad", "hap")
CLASSES = {**{label: label for label in LABELS}, "exc": "hap"}
LEFT_OUT = ("fru", "sur", "fea", "dis", "oth", "xxx")
EXPECTED = {
    "utterances": 5531,
    "labels": {"neu": 1708, "ang": 1103, "sad": 1084, "hap": 1636},
    "speakers": 10,
}
# [start - end] <tab> utterance <tab> label <tab> [valence, ...]
LINE = re.compile(r"\[[^\t]*\]\t([^\t]*)\t([^\t]*)\t\[[^\t]*\]")
# <dialog>_<speaker><number>; the dialog's own F or M wore the motion markers
NAME = re.compile(r"((Ses0[1-5])[FM]_\w+)_([FM])[^\W_]+", re.ASCII)
ABSENT = """IEMOCAP is not complete: no label files in

{missing}

It is expected as

    {folder}/
        Session<1 to 5>/dialog/EmoEvaluation/<dialog>.txt
        Session<1 to 5>/sentences/wav/<dialog>/<utterance>.wav

The University of Southern California gives it on request, see
https://sail.usc.edu/iemocap/, so it is not downloaded here. Give
    --data_folder DIR    the folder that holds Session1 to Session5
                         (IEMOCAP_full_release),
    --allow_partial True to use the sessions that are there,
or write a small generated dataset:
    python -m petl_modules.miniatures IEMOCAP DIR"""


def prepare_iemocap(
    data_folder,
    manifest_folder,
    allow_partial=False,
    skip_bad_audio=False,
    features=None,
):
    """Check IEMOCAP and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label, session, speaker}}``
    with ``{data_root}`` for the data folder in ``wav`` and speakers from
    ``Ses01F`` to ``Ses05M``. Its name carries a hash of the labels, the
    folder, the options, and each file's size and time, so that a change of any
    of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``Session1`` to ``Session5``.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    allow_partial : bool
        Accept a subset of the utterances: print the counts, do not check them,
        and only warn about missing sessions and files without a label.
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
        The four classes, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset, or a session of it, is not there.
    PermissionError
        A label file cannot be read or the manifest cannot be written.
    DataError
        The labels, the counts or the audio (``AudioError``) are not right.

    Example
    -------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> prepare_iemocap(folder, folder)
    Traceback (most recent call last):
    FileNotFoundError: IEMOCAP is not complete: no label files in
    ...
    """
    folder = absolute(data_folder)
    files = _label_files(folder, allow_partial)
    records, labelled = _read_labels(folder, files)
    _check_unlabelled(folder, files, labelled, allow_partial)
    check_counts(
        "IEMOCAP",
        {
            "utterances": len(records),
            "labels": count(records, "label"),
            "sessions": count(records, "session"),
            "speakers": len(count(records, "speaker")),
        },
        EXPECTED,
        allow_partial,
    )
    if not records:
        raise DataError(
            f"{folder}: no utterance has one of the labels {', '.join(CLASSES)}"
        )
    manifest = finish(
        "IEMOCAP",
        folder,
        manifest_folder,
        records,
        allow_partial,
        skip_bad_audio,
        features=features,
    )
    return manifest, LABELS


def parse_labels(content, dialog, session):
    """Read the label lines of one dialog; skip the lines of single raters.

    Arguments
    ---------
    content : bytes
        The label file.
    dialog : str
        The dialog that the file is named after.
    session : int
        The session whose folder it is in.

    Returns
    -------
    utterances : list
        ``(line, name, speaker, label)`` of the valid lines, with the label as
        in the file.
    problems : list
        ``(line, text)`` pairs.

    Example
    -------
    >>> text = b"[6.2 - 8.2]\\tSes01F_impro01_M003\\texc\\t[2.5, 2.5, 2.5]\\n"
    >>> parse_labels(text, "Ses01F_impro01", 1)
    ([(1, 'Ses01F_impro01_M003', 'Ses01M', 'exc')], [])
    """
    utterances, problems = [], []
    # Raters' remarks may be in any encoding; label lines are plain ASCII
    text = content.decode("utf-8-sig", "replace")
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        line = line.strip()
        if not line.startswith("["):
            continue
        form = LINE.fullmatch(line)
        if not form:
            wanted = "[times] name label [ratings] with tabs between"
            problems.append((number, f"{line!r} is not {wanted}"))
            continue
        name, label = (field.strip() for field in form.groups())
        wrong = [*_name_problems(name, dialog, session)]
        if label not in CLASSES and label not in LEFT_OUT:
            known = ", ".join([*CLASSES, *LEFT_OUT])
            wrong.append(f"label {label!r} of {name!r} is not one of {known}")
        if wrong:
            problems += [(number, problem) for problem in wrong]
        else:
            _, own, sex = NAME.fullmatch(name).groups()
            utterances.append((number, name, own + sex, label))
    if not utterances and not problems:
        problems.append((1, "the file has no label lines, which begin with ["))
    return utterances, problems


def _name_problems(name, dialog, session):
    """Yield the problems of an utterance's name."""
    form = NAME.fullmatch(name)
    if not form:
        yield f"utterance {name!r} is not named like Ses01F_impro01_M003"
        return
    if form[1] != dialog:
        yield f"utterance {name!r} does not belong to dialog {dialog!r}"
    if form[2] != f"Ses0{session}":
        yield f"utterance {name!r} is not of Session{session}, its folder"


def _label_files(folder, allow_partial):
    """Return the label files by session; warn or raise if a session has none.

    Files of macOS (``._*``) and the single raters' subfolders are skipped.
    """
    files, missing = {}, []
    for session in range(1, 6):
        place = folder / f"Session{session}" / "dialog" / "EmoEvaluation"
        found = [p for p in place.glob("*.txt") if not is_system_file(p.name)]
        if found:
            files[session] = sorted(found)
        else:
            missing.append(str(place))
    if missing and not (files and allow_partial):
        raise FileNotFoundError(
            ABSENT.format(missing=listed(missing), folder=folder)
        )
    if missing:
        logger.warning(
            f"IEMOCAP without the sessions that have no label files:\n"
            f"{listed(missing)}"
        )
    return files


def _read_labels(folder, files):
    """Read all label files and report all of their problems.

    Returns
    -------
    records : dict
        ``{id: {wav, label, session, speaker}}`` of the four classes.
    labelled : set
        Paths of the wav files of all utterances, including those left out.
    """
    records, places, labelled, problems = {}, {}, set(), []
    for session, paths in files.items():
        for path in paths:
            content = read_list(path) or b""
            found, wrong = parse_labels(content, path.stem, session)
            for line, name, speaker, label in found:
                place = f"{path}:{line}"
                above = places.setdefault(name, place)
                if above != place:
                    text = f"utterance {name!r} is listed at {above} already"
                    wrong.append((line, text))
                below = f"sentences/wav/{path.stem}/{name}.wav"
                wav = f"Session{session}/{below}"
                labelled.add(wav)
                if label in CLASSES:
                    records[name] = {
                        "wav": wav,
                        "label": CLASSES[label],
                        "session": session,
                        "speaker": speaker,
                    }
            problems += [(path, line, text) for line, text in sorted(wrong)]
    refuse(problems)
    return records, labelled


def _check_unlabelled(folder, files, labelled, allow_partial):
    """Report wav files without a label line."""
    wavs = [
        path.relative_to(folder)
        for session in files
        for pattern in ("*.wav", "*/*.wav")
        for path in folder.glob(f"Session{session}/sentences/wav/{pattern}")
    ]
    others = [
        str(folder / wav)
        for wav in sorted(wavs)
        if wav.as_posix() not in labelled
        and not any(map(is_system_file, wav.parts))
    ]
    if not others:
        return
    text = (
        f"{len(others)} wav files without a label line in "
        f"dialog/EmoEvaluation:\n{listed(others)}"
    )
    if not allow_partial:
        raise DataError(
            f"{text}\nFetch the label files again, or give --allow_partial "
            "True to leave these wav files out."
        )
    logger.warning(text)
