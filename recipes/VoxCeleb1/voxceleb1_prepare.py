"""Prepare VoxCeleb1: find its clips, check them and its list, write a manifest.

VoxCeleb1, 153,516 clips of interviews with 1,251 speakers, is by A. Nagrani,
J. S. Chung and A. Zisserman, "VoxCeleb: a large-scale speaker identification
dataset", Interspeech 2017, https://www.robots.ox.ac.uk/~vgg/data/voxceleb/
(given on request; never downloaded or repackaged here).

Authors
 * The PETL audio recipes team 2026
"""

import re

from petl_modules.data.prepare import (
    absolute,
    check_counts,
    count,
    decode_list,
    finish,
    path_problem,
    read_list,
    refuse,
    walk,
)
from petl_modules.utils import DataError, HparamsError, listed, show
from petl_modules.verification import find_trials, read_trials

LABELS = tuple(f"id{number}" for number in range(10001, 11252))
TEST = LABELS[269:309]  # id10270 to id10309
PART_OF = {name: "test" if name in TEST else "train" for name in LABELS}
# The folders of clips, and the part that each may hold
ROOTS = {"wav": None, "vox1_dev_wav": "train", "vox1_test_wav": "test"}
CLIPS = {
    "verification": {"test": 4874, "train": 148642},
    "identification": {"test": 8251, "train": 138361, "valid": 6904},
}
SPEAKERS = {"test": 40, "train": 1211}
IDENTIFICATION = "iden_split.txt"
PARTS = {"1": "train", "2": "valid", "3": "test"}
LINE = re.compile(r"([123])\s+(\S+)[.]wav\s*")
ABSENT = """{folder} holds no clips of VoxCeleb1. It is expected as

    {folder}/
        wav/<speaker>/<video>/<n>.wav    both archives, unpacked here
        veri_test2.txt                   the list of trials, here or in meta/

or with vox1_dev_wav/ and vox1_test_wav/ instead of wav/. The clips and lists
are given on request at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/
so they are not downloaded here. Give
    --data_folder DIR    that folder,
or write a small generated dataset:
    python -m petl_modules.miniatures VoxCeleb1 DIR"""


def prepare_voxceleb1(
    data_folder,
    manifest_folder,
    trials="veri_test2.txt",
    allow_partial=False,
    skip_bad_audio=False,
    protocol="verification",
):
    """Check VoxCeleb1 and write its manifest, if it is not up to date.

    The manifest is ``{id: {wav, duration, digest, speaker, recording, split}}``
    with ids as ``speaker/video/n``, the video as ``recording``, and
    ``{data_root}`` for the data folder in ``wav``. In verification, the split
    of the dev part is ``train``; in identification a clip has ``label``, its
    speaker, and the split of the published list. The manifest's name carries a
    hash of the clips, the folder, the options, and each file's size and time,
    so that a change of any of them makes a new one.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The folder that holds ``wav``, or ``vox1_dev_wav`` and
        ``vox1_test_wav``.
    manifest_folder : str or pathlib.Path
        Folder of the manifest.
    trials : str or None
        The list of trials, see ``petl_modules.verification.find_trials``. It
        is checked here. None: there is none.
    allow_partial : bool
        Accept a subset of the clips: print the counts, do not check them. The
        lists then name clips of the subset only.
    skip_bad_audio : bool
        Leave out unreadable clips, see
        ``petl_modules.data.prepare.finish``.
    protocol : str
        ``verification`` or ``identification``.

    Returns
    -------
    manifest : pathlib.Path
        The JSON file.
    speakers : tuple
        The speakers of the dev part that were found, sorted; in
        identification all 1,251, on a subset too.

    Raises
    ------
    FileNotFoundError
        The dataset or a list is not there.
    PermissionError
        A folder or list cannot be read or the manifest cannot be written.
    DataError
        Files, lists, counts or the audio (``AudioError``) are not right.
    HparamsError
        There is no such protocol.
    """
    if protocol not in CLIPS:
        raise HparamsError(
            f"protocol {protocol!r} is none of: {', '.join(CLIPS)}"
        )
    folder = absolute(data_folder)
    records = find_clips(folder)
    speakers = {clip["speaker"]: clip["split"] for clip in records.values()}
    trained = tuple(sorted(s for s in speakers if speakers[s] == "train"))
    if protocol == "identification":
        records, trained = identified(records, folder), LABELS
    elif file := find_trials(folder, trials):
        listing = read_trials(file, records.get, trained)
        name = listing.name or f"no known list, MD5 {listing.md5}"
        show(f"{len(listing)} trials in {file} ({name})")
    parts = [*speakers.values()]
    found = {part: parts.count(part) for part in SPEAKERS}
    wanted = {"clips": CLIPS[protocol], "speakers": SPEAKERS}
    if protocol == "identification":  # all speakers are in all parts
        found, wanted["speakers"] = len(parts), len(LABELS)
    found = {"clips": count(records, "split"), "speakers": found}
    check_counts("VoxCeleb1", found, wanted, allow_partial)
    options = allow_partial, skip_bad_audio
    manifest = finish("VoxCeleb1", folder, manifest_folder, records, *options)
    return manifest, trained


def find_clips(folder):
    """Find the clips, and report all problems with their places and names.

    Hidden files and those of the system are passed over, links are followed,
    and files that are not ``.wav`` are counted.

    Arguments
    ---------
    folder : pathlib.Path
        The data folder.

    Returns
    -------
    records : dict
        ``{id: {wav, speaker, recording, split}}``.

    Raises
    ------
    FileNotFoundError
        There are no clips.
    DataError
        A folder is no speaker's or in the wrong part, or a clip is elsewhere
        or there twice.
    """
    records, problems, others = {}, [], 0
    for root, part in ROOTS.items():
        root = f"{root}/wav" if (folder / root / "wav").is_dir() else root
        for path in walk(folder / root) if (folder / root).is_dir() else ():
            wav, problem = f"{root}/{path}", None
            speaker, *below = path.split("/")
            if below == [""]:
                problem = _speaker_problem(speaker, part)
            elif path.endswith("/"):
                pass
            elif not path.lower().endswith(".wav"):
                others += 1
                if not (folder / wav).exists():
                    problem = "a link to nothing"
            elif len(below) != 2:
                problem = "a clip that is not in <speaker>/<video>/"
            elif speaker in PART_OF:  # if not, its folder is a problem
                clip = path[: -len(".wav")]
                problem = path_problem(path)
                if clip in records:
                    problem = f"the same clip as {records[clip]['wav']}"
                records[clip] = {
                    "wav": wav,
                    "speaker": speaker,
                    "recording": below[0],
                    "split": PART_OF[speaker],
                }
            problems += [f"{folder / wav}: {problem}"] if problem else []
    if problems:
        raise DataError(
            f"{folder} is not VoxCeleb1 as it is published "
            f"({len(problems)} problems):\n{listed(problems, limit=20)}\n"
            "Move away what is no part of it"
        )
    if not records:
        raise FileNotFoundError(ABSENT.format(folder=folder))
    if others:
        show(f"{others} files skipped, not .wav")
    return records


def _speaker_problem(name, part):
    """Return what is wrong with a speaker's folder in a part, or None."""
    if name not in PART_OF:
        return f"no speaker of VoxCeleb1, {LABELS[0]} to {LABELS[-1]}"
    if part not in (None, PART_OF[name]):
        return (
            "a speaker of the other part; the test part is "
            f"{TEST[0]} to {TEST[-1]}"
        )
    return None


def identified(records, folder):
    """Return the records of ``find_clips`` with label and listed split.

    Raises
    ------
    FileNotFoundError
        There is no list.
    DataError
        One line for each problem of the list, as ``file:line: problem``.
    """
    file = find_trials(folder, IDENTIFICATION)
    text, problem = decode_list(read_list(file))
    problems, lines, splits = [problem] if problem else [], {}, {}
    for line, row in enumerate(text.split("\n"), start=1):
        if not (found := LINE.fullmatch(row)):
            if row.strip():
                problems.append((line, f"{row!r} is not '1, 2 or 3 path'"))
            continue
        clip = found[2]
        above = lines.setdefault(clip, line)
        if above != line:
            problems.append((line, f"{clip!r} is in line {above} already"))
        elif clip not in records:
            problems.append((line, f"{clip!r} is no clip of the data"))
        splits[clip] = PARTS[found[1]]
    if not problems and (unlisted := records.keys() - splits.keys()):
        first = min(unlisted)
        problems = [(1, f"{len(unlisted)} clips are missing, such as {first}")]
    refuse([(file, *problem) for problem in problems])
    return {
        clip: {**record, "split": splits[clip], "label": record["speaker"]}
        for clip, record in records.items()
    }
