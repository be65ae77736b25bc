"""Prepare FSC: read its lists, check its audio, write one manifest.

Fluent Speech Commands, 30,043 spoken commands with 31 intents, is by
L. Lugosch et al., "Speech Model Pre-training for End-to-End Spoken Language
Understanding", Interspeech 2019, https://arxiv.org/abs/1904.03670
(CC BY-NC-ND 4.0, Fluent.ai; never downloaded or repackaged here).

Authors
 * The PETL audio recipes team 2026
"""

from itertools import product
from pathlib import PureWindowsPath

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    finish,
    path_problem,
    read_list,
    read_table,
    refuse,
    warn_of_leaks,
)

INTENTS = (  # valid combinations of actions, objects and locations
    ("activate,deactivate", "lamp,music", "none"),
    ("activate,deactivate", "lights", "none,bedroom,kitchen,washroom"),
    ("increase,decrease", "heat", "none,bedroom,kitchen,washroom"),
    ("increase,decrease", "volume", "none"),
    ("bring", "juice,newspaper,shoes,socks", "none"),
    ("change language", "none,Chinese,English,German,Korean", "none"),
)
LABELS = tuple(
    sorted(
        "|".join(slots)
        for row in INTENTS
        for slots in product(*(names.split(",") for names in row))
    )
)
ACTIONS = sorted({label.split("|")[0] + "|..." for label in LABELS})
SLOTS = ("action", "object", "location")
COLUMNS = ("path", "speakerId", "transcription", *SLOTS)
CLIPS = {"train": 23132, "valid": 3118, "test": 3793}
ABSENT = """{csv} was not found. Fluent Speech Commands is expected as

    {folder}/
        data/train_data.csv, valid_data.csv, test_data.csv
        wavs/speakers/<speaker>/<clip>.wav

Fluent.ai gives it for research, under CC BY-NC-ND 4.0, on request at
https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-research/
so it is not downloaded here. Give
    --data_folder DIR    the folder that holds data and wavs,
or write a small generated dataset:
    python -m petl_modules.miniatures FSC DIR"""


def prepare_fsc(
    data_folder,
    manifest_folder,
    allow_partial=False,
    skip_bad_audio=False,
    features=None,
):
    """Check FSC and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, label, split, speaker,
    transcription}}`` with ``{data_root}`` for the data folder in ``wav`` and
    ``action|object|location`` as the label. Its name carries a hash of the
    lists, the folder, the options, and each file's size and time, so that a
    change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``data`` and ``wavs``.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them.
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
        The 31 intents in alphabetical order, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset is not there.
    PermissionError
        A list cannot be read or the manifest cannot be written.
    DataError
        The lists, the counts or the audio (``AudioError``) are not right.

    Example
    -------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> prepare_fsc(folder, folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: ...train_data.csv was not found. Fluent Speech ...
    """
    folder = absolute(data_folder)
    tables = {split: folder / "data" / f"{split}_data.csv" for split in CLIPS}
    lists = {split: (csv, read_list(csv)) for split, csv in tables.items()}
    if all(content is None for _, content in lists.values()):
        raise FileNotFoundError(
            ABSENT.format(csv=tables["train"], folder=folder)
        )
    records = parse_clips(lists)
    check_counts(
        "FSC",
        {
            "clips": len(records),
            "intents": len(count(records, "label")),
            "splits": count(records, "split"),
        },
        {
            "clips": sum(CLIPS.values()),
            "intents": len(LABELS),
            "splits": CLIPS,
        },
        allow_partial,
    )
    warn_of_leaks(records, "speaker", "split")
    manifest = finish(
        "FSC",
        folder,
        manifest_folder,
        records,
        allow_partial,
        skip_bad_audio,
        features=features,
    )
    return manifest, LABELS


def parse_clips(lists):
    """Read the lists of clips and report all of their problems.

    Arguments
    ---------
    lists : dict
        ``(file, content)`` by split: name and bytes of each CSV file. The
        bytes of a missing file are None.

    Returns
    -------
    records : dict
        ``{id: {wav, label, split, speaker, transcription}}``. The id is the
        path below ``wavs`` without its suffix.

    Raises
    ------
    DataError
        One line for each problem, as ``file:line: problem``.

    Example
    -------
    >>> header = b",path,speakerId,transcription,action,object,location\\n"
    >>> row = b'0,wavs/speakers/a/b.wav,a,"Lamp, on",activate,lamp,none'
    >>> clips = parse_clips({"train": ("train_data.csv", header + row)})
    >>> clips["speakers/a/b"]["label"]
    'activate|lamp|none'
    """
    records, places, problems = {}, {}, []
    for split, (table, content) in lists.items():
        if content is None:
            problems.append((table, 1, "the file was not found"))
            continue
        rows, wrong = read_table(content, COLUMNS)
        for line, row in rows:
            wrong += [(line, text) for text in _row_problems(row)]
            path = PureWindowsPath(row["path"])  # knows both kinds of slash
            clip = "/".join([*path.parts[1:-1], path.stem])
            place = f"{table}:{line}"
            above = places.setdefault(clip, place)
            if above != place:
                text = f"clip {clip!r} is listed at {above} already"
                wrong.append((line, text))
            records[clip] = {
                "wav": path.as_posix(),
                "label": _intent(row),
                "split": split,
                "speaker": row["speakerId"],
                "transcription": row["transcription"],
            }
        problems += [(table, line, text) for line, text in sorted(wrong)]
    refuse(problems)
    return records


def _intent(row):
    """Return a row's label."""
    return "|".join(row[slot] for slot in SLOTS)


def _row_problems(row):
    """Yield the problems of one row."""
    parts = PureWindowsPath(row["path"]).parts
    if problem := path_problem(row["path"]):
        yield f"path {problem}"
    elif len(parts) < 2 or parts[0] != "wavs":
        yield f"path {row['path']!r} does not begin with wavs/"
    if not row["speakerId"]:
        yield "speakerId is empty"
    intent = _intent(row)
    if intent not in LABELS:
        action = row["action"] + "|"
        known = [label for label in LABELS if label.startswith(action)]
        yield f"intent {intent!r} is not one of {', '.join(known or ACTIONS)}"
