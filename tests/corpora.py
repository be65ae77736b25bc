"""Small generated corpora in the layouts of the real ones.

Each function writes a corpus that a small model can learn in seconds: the
pitch of a tone tells the class. Draws have fixed seeds, so a corpus is the
same every time. Files that a prepare script must cope with or leave alone
(macOS's ``._`` files, odd formats) are among them.
"""

import csv
import zlib
from pathlib import Path

import numpy as np
import soundfile
from torchaudio.datasets import gtzan

from petl_modules.miniatures.corpus import write_miniature

PITCHES = (300.0, 800.0, 2000.0)  # Hz, one a class


def tone(rng, pitch, seconds, rate=16000):
    """A tone in noise, ``[samples]``, its pitch and level a little random."""
    time = np.arange(round(seconds * rate)) / rate
    hertz = pitch * rng.uniform(0.93, 1.07)
    clean = np.sin(2 * np.pi * (hertz * time + rng.uniform()))
    noise = rng.standard_normal(len(time))
    return rng.uniform(0.2, 0.6) * (clean + 0.1 * noise)


def sound_of(name, samples=1600):
    """Noise that is another one for each name, ``[samples]``."""
    rng = np.random.default_rng(zlib.crc32(str(name).encode(errors="replace")))
    return rng.uniform(-0.2, 0.2, samples)


# Rate, channels and sample format of UrbanSound8K's clips, taken in turns. No
# FLOAT: such files hold the time of writing.
URBANSOUND8K_FORMATS = (
    (44100, 2, "PCM_16"),
    (48000, 1, "PCM_24"),
    (96000, 2, "PCM_24"),
    (22050, 1, "PCM_U8"),
    (44100, 1, "PCM_32"),
)
URBANSOUND8K_CLASSES = {1: "car_horn", 3: "dog_bark", 8: "siren"}


def write_urbansound8k(folder):
    """Write 45 clips of three classes and ten folds as UrbanSound8K.

    They are of 0.05 to 1.5 s, in various formats, one or two of a recording.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where ``metadata`` and ``audio`` go.

    Returns
    -------
    folder : pathlib.Path
        The folder.
    """
    folder = Path(folder)
    rng = np.random.default_rng(8000)
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in range(1, 11):
        place = folder / "audio" / f"fold{fold}"
        place.mkdir(parents=True)
        for pitch, (number, label) in zip(
            PITCHES, URBANSOUND8K_CLASSES.items()
        ):
            recording = 100000 + 100 * number + fold
            for take in range(1 + fold % 2):
                turn = len(rows) % len(URBANSOUND8K_FORMATS)
                rate, channels, subtype = URBANSOUND8K_FORMATS[turn]
                seconds = 0.05 if len(rows) == 3 else rng.uniform(0.3, 1.5)
                samples = tone(rng, pitch, seconds, rate)
                levels = np.linspace(1, 0.5, channels)  # no two channels equal
                name = f"{recording}-{number}-0-{take}.wav"
                soundfile.write(
                    place / name, np.outer(samples, levels), rate, subtype
                )
                rows.append(
                    f"{name},{recording},0.0,{seconds},1,{fold},{number},{label}"
                )
        (place / f"._{name}").write_bytes(b"\0\5\26\7")
        (place / ".DS_Store").write_bytes(b"\0")
    (folder / "metadata").mkdir()
    table = folder / "metadata" / "UrbanSound8K.csv"
    table.write_text("\n".join(rows) + "\n")
    return folder


GSC_WORDS = ("no", "up", "yes")
GSC_SPEAKERS = {
    "train": ("0a7c2a8d", "1b4c9b89", "2c6d3924"),
    "valid": ("3d86b69a",),
    "test": ("4e6902d0",),
}


def write_gsc(folder):
    """Write 30 clips of three words as Speech Commands 0.02.

    Of each word, three speakers say two clips for training, one says two for
    validation and one two for testing, of 0.5 s at 16 kHz.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where the words' folders and the two lists go.

    Returns
    -------
    folder : pathlib.Path
        The folder.
    """
    folder = Path(folder)
    rng = np.random.default_rng(35)
    clips = {split: [] for split in GSC_SPEAKERS}
    for pitch, word in zip(PITCHES, GSC_WORDS):
        (folder / word).mkdir(parents=True)
        for split, speakers in GSC_SPEAKERS.items():
            for take in range(2 * len(speakers)):
                speaker = speakers[take // 2]
                clip = f"{word}/{speaker}_nohash_{take % 2}.wav"
                soundfile.write(folder / clip, tone(rng, pitch, 0.5), 16000)
                clips[split].append(clip)
        (folder / word / "._0a7c2a8d_nohash_0.wav").write_bytes(b"\0\5\26\7")
    for split, name in (("valid", "validation"), ("test", "testing")):
        text = "\n".join(clips[split]) + "\n"
        (folder / f"{name}_list.txt").write_text(text)
    noise = folder / "_background_noise_" / "white_noise.wav"
    noise.parent.mkdir()
    soundfile.write(noise, 0.1 * rng.standard_normal(16000), 16000)
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "README.md").write_text("Generated sounds.\n")
    (folder / "LICENSE").write_text("As the project's.\n")
    return folder


FSC_INTENTS = (
    (("activate", "lights", "kitchen"), "Kitchen lights on, please"),
    (("activate", "music", "none"), 'Play "music"'),
    (("deactivate", "lights", "kitchen"), 'Lights off, I said "off"'),
)
FSC_SPEAKERS = {
    "train": ("2BqVo8kVB2Skwgyb", "4BrX8aDqK2cLZRYl", "52XVOeXMXYuaElyw"),
    "valid": ("2ojo7YRL7Gck83Z3",),
    "test": ("4aGjX3AG5xcxeL7a",),
}
FSC_CLIPS = {"train": 5, "valid": 2, "test": 2}  # of each intent


def write_fsc(folder):
    """Write 27 clips of three intents as Fluent Speech Commands.

    They are of 0.4 to 1.2 s at 16 kHz. No speaker is in two splits. The
    intents share slots, so that a slot may be right where the intent is not.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where ``data`` and ``wavs`` go.

    Returns
    -------
    folder : pathlib.Path
        The folder.
    """
    folder = Path(folder)
    rng = np.random.default_rng(31)
    (folder / "data").mkdir(parents=True)
    for split, speakers in FSC_SPEAKERS.items():
        rows = []
        for pitch, (slots, said) in zip(PITCHES, FSC_INTENTS):
            for take in range(FSC_CLIPS[split]):
                speaker = speakers[take % len(speakers)]
                clip = f"0a3129c0-4474-11e9-a9a5-{len(rows):012x}.wav"
                wav = f"wavs/speakers/{speaker}/{clip}"
                (folder / wav).parent.mkdir(parents=True, exist_ok=True)
                samples = tone(rng, pitch, rng.uniform(0.4, 1.2))
                soundfile.write(folder / wav, samples, 16000)
                rows.append([len(rows), wav, speaker, said, *slots])
        table = folder / "data" / f"{split}_data.csv"
        with open(table, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(
                ["", "path", "speakerId", "transcription"]
                + ["action", "object", "location"]
            )
            writer.writerows(rows)
    return folder


GTZAN_CLIPS = {"train": 5, "valid": 2, "test": 2}  # of each genre


def write_gtzan(folder):
    """Write 27 clips of three genres in the fault-filtered lists as GTZAN.

    They are of 0.3 to 1.2 s at 22,050 Hz.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where ``genres`` goes.

    Returns
    -------
    folder : pathlib.Path
        The folder.
    """
    rng = np.random.default_rng(22)
    for pitch, genre in zip(PITCHES, ("blues", "jazz", "rock")):
        place = Path(folder) / "genres" / genre
        place.mkdir(parents=True)
        for split, count in GTZAN_CLIPS.items():
            names = getattr(gtzan, f"filtered_{split}")
            for name in [n for n in names if n.startswith(genre)][:count]:
                samples = tone(rng, pitch, rng.uniform(0.3, 1.2), 22_050)
                soundfile.write(place / f"{name}.wav", samples, 22_050)
    return Path(folder)


IEMOCAP_PITCHES = {"neu": 250.0, "ang": 600.0, "sad": 1400.0, "hap": 3200.0}


def write_iemocap(folder):
    """Write 60 utterances of four classes, and one of none, as IEMOCAP.

    Each of the ten speakers says one or two of each class, of 0.4 to 1.2 s at
    16 kHz; one of the happy ones is labelled ``exc``, one more is ``xxx``.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where ``Session1`` to ``Session5`` go.

    Returns
    -------
    folder : pathlib.Path
        The folder.
    """
    folder = Path(folder)
    rng = np.random.default_rng(5531)
    for session in range(1, 6):
        # Who wears the markers gives a dialog its letter; both speak in it
        first, second = f"Ses0{session}F_impro01", f"Ses0{session}M_script01_1b"
        turns = {first: [], second: []}
        for number, label in enumerate(IEMOCAP_PITCHES):
            for sex in "FM":
                turns[first].append((f"{sex}{number:03}", label))
                if (number + session) % 2:
                    turns[second].append((f"{sex}{number:03}", label))
        if session == 1:
            turns[first][-1] = (turns[first][-1][0], "exc")
            turns[second].append(("M099", "xxx"))
        for dialog, labels in turns.items():
            _write_dialog(folder / f"Session{session}", dialog, labels, rng)
    return folder


def _write_dialog(session, dialog, turns, rng):
    """Write the label file and the sounds of one dialog."""
    wavs = session / "sentences" / "wav" / dialog
    wavs.mkdir(parents=True)
    text, start = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n", 0
    for turn, label in turns:
        seconds = rng.uniform(0.4, 1.2)
        emotion = {"exc": "hap", "xxx": "neu"}.get(label, label)
        samples = tone(rng, IEMOCAP_PITCHES[emotion], seconds)
        soundfile.write(wavs / f"{dialog}_{turn}.wav", samples, 16000)
        times = f"[{start:.4f} - {start + seconds:.4f}]"
        name = f"{dialog}_{turn}"
        text += f"{times}\t{name}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
        text += "C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
        start += seconds
    labels = session / "dialog" / "EmoEvaluation"
    raters = labels / "Categorical"
    raters.mkdir(parents=True, exist_ok=True)
    (labels / f"{dialog}.txt").write_text(text)
    (labels / f"._{dialog}.txt").write_bytes(b"\0\5\26\7")
    (wavs / f"._{name}.wav").write_bytes(b"\0\5\26\7")
    (raters / f"{dialog}_e2_cat.txt").write_text(f"{name} :Neutral; ()\n")


def write_my_sounds(folder):
    """Write 20 clips in a folder for each of two classes, for the template.

    Arguments
    ---------
    folder : pathlib.Path
        Where the folders of the classes go.
    """
    rng = np.random.default_rng(0)
    for label, pitch in {"high": 1200, "low": 300}.items():
        (folder / label).mkdir(parents=True)
        for i in range(10):
            suffix = ("wav", "flac")[i % 2]
            samples = tone(rng, pitch, seconds=0.3 + 0.1 * i)
            soundfile.write(folder / label / f"{i}.{suffix}", samples, 16000)


VOXCELEB1_SPEAKERS = {
    "train": [f"id{number}" for number in (*range(10001, 10006), 11251)],
    "test": ["id10270", "id10271", "id10309"],
}


def write_voxceleb1(folder, leaked=False):
    """Write 54 clips of 1 s of six dev and three test speakers as VoxCeleb1.

    The pitch of a tone tells the speaker. Each has two videos of three clips.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where ``vox1_dev_wav``, ``vox1_test_wav``, the list of trials, and
        ``meta/iden_split.txt`` go.
    leaked : bool
        Put trials of a dev speaker on the list.

    Returns
    -------
    folder : pathlib.Path
        The folder.
    """
    folder, clips, split = Path(folder), {}, []
    for part, speakers in VOXCELEB1_SPEAKERS.items():
        root = folder / f"vox1_{part.replace('train', 'dev')}_wav" / "wav"
        for speaker in speakers:
            pitch = 250 * 1.3 ** len(clips)
            clips[speaker] = []
            for take in range(6):
                video = f"{speaker[-3:]}-_video{'AB'[take // 3]}x"
                clip = f"{speaker}/{video}/{take % 3 + 1:05}.wav"
                clips[speaker].append(clip)
                split.append(f"{(1, 1, 2, 1, 1, 3)[take]} {clip}\n")
                (root / clip).parent.mkdir(parents=True, exist_ok=True)
                samples = tone(np.random.default_rng(len(split)), pitch, 1.0)
                soundfile.write(root / clip, samples, 16000)
            (root / clip).with_name("._00003.wav").write_bytes(b"\0\5\26\7")
        (root.parent / ".DS_Store").write_bytes(b"\0")
    tested = [*VOXCELEB1_SPEAKERS["test"]]
    trials = voxceleb1_trials({speaker: clips[speaker] for speaker in tested})
    if leaked:
        one, other = clips["id10001"][0], clips["id10002"][0]
        trials += f"0 {one} {clips[tested[0]][0]}\n0 {one} {other}\n"
    (folder / "veri_test2.txt").write_text(trials)
    (folder / "meta").mkdir()
    (folder / "meta" / "iden_split.txt").write_text("".join(split))
    return folder


def write_my_speakers(folder):
    """Write 36 clips of 1 s of six speakers, in two recordings each."""
    folder = Path(folder)
    for place, name in enumerate(("ada", "bob", "cleo", "dan", "eve", "fay")):
        for take in range(6):
            file = folder / name / f"day{take // 3}" / f"{take}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng((place, take))
            soundfile.write(file, tone(rng, 250 * 1.3**place, 1.0), 16000)
    return folder


def write_fsdd(folder):
    """Write the miniature of FSDD with one take of each digit and speaker."""
    return write_miniature("FSDD", folder, takes=1)


def write_librispeech(folder):
    """Write the miniature of LibriSpeech with 36 sentences in four parts."""
    return write_miniature("LibriSpeech", folder, sentences=2)


MY_TEXTS = ("low high", "high low high", "l\xf3w", "high")


def write_my_speech(folder):
    """Write 20 recordings of tones, and a text that names them beside each."""
    folder, hertz = Path(folder), {"low": 300, "high": 1200, "l\xf3w": 150}
    for place in range(20):
        rng = np.random.default_rng(place)
        text = MY_TEXTS[place % len(MY_TEXTS)]
        parts = [tone(rng, hertz[word], 0.4) for word in text.split()]
        file = folder / f"day{place % 3}" / f"{place}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.concatenate(parts), 16000)
        file.with_suffix(".txt").write_text(f"{text}\n", encoding="utf-8")
    return folder


def voxceleb1_trials(clips):
    """All pairs of videos of one speaker, and as many of two, as a list."""
    lines, speakers = [], [*clips]
    for place, speaker in enumerate(speakers):
        others = clips[speakers[place - 1]]
        for take in range(3):
            one = clips[speaker][take]
            lines.append(f"1 {one} {clips[speaker][take + 3]}\n")
            lines.append(f"0 {one} {others[take + 3]}\n")
    return "".join(lines)
