"""Write recorded voices for speaker verification, with a list of trials.

    python tools/real_speech.py speech *.deb
    python tools/real_voices.py speech voices

The new folder has a folder of WAV files for each voice, as
``templates/speaker_verification`` reads them, ``trials.txt`` and ``clips.csv``:
clip, part, voice, collection, source, licence, seconds and whether
``pretrained/small-wav2vec2`` has heard the voice. ``TEST`` and ``VALID`` name the
voices that test and validate, the others train; those with too little speech
are left out. No test voice has been heard.

A voice is one language of one collection, taken for one speaker. Both clips of a
trial are of one collection, and each collection has as many target as
non-target trials, so that the collection tells nothing. All clips are cut to
their speech, of one loudness and sampled at 8 kHz, as telephone prompts are.
What cannot be taken away: a voice has a microphone, a room and a language of its
own, so that to tell channels or languages apart helps to tell voices apart.
"""

import argparse
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from petl_modules.utils import (
    DataError,
    UserError,
    build_folder,
    counted_seed,
    fail,
    listed,
    require_new_folder,
    write_csv,
)
from petl_modules.verification import Trials, draw_trials, write_trials
from tools.changed_speech import RATE, read_speech
from tools.real_speech import read_recordings
from tools.real_texts import HELD_OUT, choose

VALID = tuple(f"klettres-{x}" for x in "de fr hu nl".split())
# No texts of the others are known, so nothing was learnt from them
TEST = (
    *(f"asterisk-{x}" for x in "Allison IvrvoiceRU June Menardi".split()),
    *HELD_OUT,
    *(f"klettres-{x}" for x in "ar he ml nb".split()),
    *(
        f"ktuberling-{x}"
        for x in "ca da de el es fi fr ga gl it lt nds nl nn pt ro ru sl sr sv "
        "uk wa".split()
    ),
)
MOST = {"train": 60, "valid": 24, "test": 24}  # clips of a voice
LEAST_CLIPS, LEAST_SECONDS = 10, 8  # of a voice
SHORTEST = 0.5  # seconds of speech in a clip
SEED = 0


def part_of(voice):
    """Return the part of a voice: train, valid or test."""
    held_out = "valid" if voice in VALID else "train"
    return "test" if voice in TEST else held_out


def heard_voices(rows):
    """Return the voices that ``tools/pretrain_small.py`` learns from."""
    learnt, _ = choose(rows)
    files = {file for file, *_ in learnt}
    return {row["voice"] for row in rows if row["file"] in files}


def choose_clips(rows, voice):
    """Return clips of a voice, drawn by the seed and their names.

    Arguments
    ---------
    rows : list of dict
        The voice's rows of ``read_recordings``, with ``source``: where the
        file is in the folder.
    voice : str
        Its name.

    Returns
    -------
    list of tuple
        Row and samples at 16 kHz of each clip; of a voice with less than
        ``LEAST_CLIPS`` or ``LEAST_SECONDS``, none.
    """
    found = []
    for row in sorted(rows, key=lambda row: counted_seed(SEED, row["source"])):
        if len(found) == MOST[part_of(voice)]:
            break
        if row["seconds"] < SHORTEST:
            continue
        samples = read_speech(row["file"])
        if len(samples) >= SHORTEST * RATE:
            found.append((row, samples))
    seconds = sum(len(samples) for _, samples in found) / RATE
    enough = len(found) >= LEAST_CLIPS and seconds >= LEAST_SECONDS
    return found if enough else []


def write_clip(path, samples):
    """Write samples at 16 kHz as a file at 8 kHz, of one loudness."""
    samples = scipy.signal.resample_poly(samples, 1, 2)
    samples -= samples.mean()  # some recorders add a constant, a voice does not
    samples /= np.abs(samples).max()
    soundfile.write(path, 0.9 * samples, RATE // 2, subtype="PCM_16")


def within_collections(clips):
    """Return trials of clips of one collection each.

    Arguments
    ---------
    clips : list of dict
        Rows with ``clip``, ``voice`` and ``collection``.

    Returns
    -------
    petl_modules.verification.Trials
        For each clip, another one of its voice and one of another voice of its
        collection.
    """
    groups = {}
    for row in clips:
        records = groups.setdefault(row["collection"], {})
        records[row["clip"]] = {"speaker": row["voice"]}
    drawn = [draw_trials(records, SEED) for records in groups.values()]
    return Trials(
        [clip for each in drawn for clip in each.first],
        [clip for each in drawn for clip in each.second],
        np.concatenate([each.same for each in drawn]),
        "",
    )


def check_voices(voices, heard):
    """Refuse recordings without voices that test, or with such that were heard."""
    if absent := {*TEST, *VALID} - {*voices}:
        raise DataError(
            "recorded speech lacks voices that test or validate:\n"
            f"{listed(sorted(absent))}\n"
            "Make its folder again by tools/real_speech.py, of all packages"
        )
    if known := {*TEST} & heard:
        raise DataError(
            "tools/pretrain_small.py learns from voices that test:\n"
            f"{listed(sorted(known))}\nTake them out of TEST, or add them to "
            "HELD_OUT in tools/real_texts.py"
        )


def build(rows, folder):
    """Write the voices' clips, their list and the trials."""
    voices, heard = {}, heard_voices(rows)
    for row in rows:
        if row["voice"]:
            voices.setdefault(row["voice"], []).append(row)
    check_voices(voices, heard)
    clips, small = [], []
    for voice in tqdm(sorted(voices), "voices", leave=False):
        found = choose_clips(voices[voice], voice)
        if found:
            (folder / voice).mkdir(parents=True)
        else:
            small.append(voice)
        for number, (row, samples) in enumerate(found):
            clip = f"{voice}/{number:02}"
            write_clip(folder / f"{clip}.wav", samples)
            clips.append(
                {
                    "clip": clip,
                    "part": part_of(voice),
                    "voice": voice,
                    "collection": row["collection"],
                    "source": row["source"],
                    "licence": row["licence"],
                    "heard": int(voice in heard),
                    "seconds": round(len(samples) / RATE, 3),
                }
            )
    write_csv(folder / "clips.csv", clips)
    tested = [row for row in clips if row["part"] == "test"]
    trials = within_collections(tested)
    write_trials(folder / "trials.txt", trials)
    print(summarize(clips))
    print("left out, with too little speech:", ", ".join(small) or "none")
    print(f"{len(trials)} trials, {sum(trials.same)} of them target trials")


def summarize(clips):
    """Return a line for each part and collection: voices, clips, seconds."""
    groups = {}
    for row in clips:
        groups.setdefault((row["part"], row["collection"]), []).append(row)
    lines = []
    for (part, collection), found in sorted(groups.items()):
        voices = Counter(row["voice"] for row in found)
        seconds = sorted(row["seconds"] for row in found)
        lines.append(
            f"{part:6}{collection:11}{len(voices):4} voices{len(found):5} clips"
            f"{sum(seconds) / 60:6.1f} min, median "
            f"{seconds[len(seconds) // 2]:.2f} s"
        )
    return "\n".join(lines)


def main(arguments=None):
    """Run the command line (see the head of this file)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path, help="of tools/real_speech.py")
    parser.add_argument("folder", type=Path, help="a new folder")
    given = parser.parse_args(arguments)
    require_new_folder(given.folder)
    rows = [
        {**row, "source": row["file"].relative_to(given.speech).as_posix()}
        for row in read_recordings(given.speech)
    ]
    build_folder(given.folder, partial(build, rows))
    print("the voices that validate:", f"[{','.join(VALID)}]")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted, nothing was written")
    except (UserError, OSError) as error:
        fail(error)
