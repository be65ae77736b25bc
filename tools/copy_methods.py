"""Copy what is equal in all recipes from the templates to each of them.

``python tools/copy_methods.py`` writes the method files of every recipe from
those of ``templates/audio_classification``, with the values of
``tools/method_values.py``, and its train.py from that of its task's template: the
only ones to edit by hand. With ``--check`` it writes nothing, and fails if a copy
differs.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.method_values import REPLACED

METHODS = ROOT / "templates" / "audio_classification"
SPEAKERS = ROOT / "templates" / "speaker_verification"
RECOGNITION = ROOT / "templates" / "speech_recognition"
# By template, what stands in its train.py: name and folder of the data, prepare
# script and function, and Brain
WORDS = {
    METHODS: (
        "your own sounds",
        "my_sounds",
        ("audio_prepare", "prepare_audio", "AudioBrain"),
    ),
    SPEAKERS: (
        "your own recordings",
        "my_speakers",
        ("speaker_prepare", "prepare_speaker", "SpeakerBrain"),
    ),
    RECOGNITION: (
        "your own recordings",
        "my_speech",
        ("speech_prepare", "prepare_speech", "RecognitionBrain"),
    ),
}
# By recipe: the dataset's name and the usual name of its folder
DATASETS = {
    "ESC50": ("ESC-50", "ESC-50-master"),
    "FSC": ("Fluent Speech Commands", "fluent_speech_commands_dataset"),
    "FSDD": ("FSDD", "free-spoken-digit-dataset"),
    "GSC": ("Speech Commands", "speech_commands_v0.02"),
    "GTZAN": ("GTZAN", "GTZAN"),
    "IEMOCAP": ("IEMOCAP", "IEMOCAP_full_release"),
    "LibriSpeech": ("LibriSpeech", "LibriSpeech"),
    "UrbanSound8k": ("UrbanSound8K", "UrbanSound8K"),
    "VoxCeleb1": ("VoxCeleb1", "voxceleb1"),
}
# By recipe: its scripts, each with its template
SCRIPTS = dict.fromkeys(DATASETS, {"train.py": METHODS}) | {
    "VoxCeleb1": {"train.py": SPEAKERS, "identify.py": METHODS},
    "LibriSpeech": {"train.py": RECOGNITION},
}
# What recognises each frame: the base of its files reads waveforms, and files
# with one of these keys, of a pooled clip or of mixed ones, do not fit it
FRAMES = ("LibriSpeech", "speech_recognition")
OF_CLIPS = ("pooling", "pool", "head", "embedding", "mixup")
# Method files for encoders of speech, and the folders that have them
SPEECH_METHODS = (
    *("adapter_bias", "adapter_ffn", "lora_qk"),
    *("e_adapter", "el_adapters", "l_adapter"),
)
SPEECH = (
    *("FSC", "FSDD", "GSC", "IEMOCAP", "VoxCeleb1"),
    *("audio_classification", "speaker_verification"),
    *("LibriSpeech", "speech_recognition"),
)
# By script, the file of the command in its head: identify.py needs its own base
EXAMPLES = {
    "train.py": "hparams/soft_moa.yaml",
    "identify.py": "hparams/identification_ast.yaml",
}
COMMENTS = 24  # the column of comments in method files


def copies(recipe):
    """Return the text of each copied file of a recipe, by path."""
    folder = ROOT / "recipes" / recipe
    scripts = {
        folder / name: train_script(recipe, name, template)
        for name, template in SCRIPTS[recipe].items()
    }
    return {**scripts, **methods(folder)}


def methods(folder):
    """Return the text of each method file that fits a recipe, by path."""
    texts = {}
    for file in sorted(METHODS.glob("hparams/*.yaml")):
        text = file.read_text(encoding="utf-8")
        if folder.name in FRAMES:
            text = of_frames(file.stem, text)
        base = base_of(text)
        below = folder / "hparams" / base
        if not base or not (below.is_file() or below in texts):
            continue  # a base itself, or for another backbone
        if file.stem in SPEECH_METHODS and folder.name not in SPEECH:
            continue
        for key, value in REPLACED.get((folder.name, file.name), {}).items():
            text = replace_value(text, key, value)
        here, there = (
            f.relative_to(ROOT).as_posix() for f in (METHODS, folder)
        )
        texts[folder / "hparams" / file.name] = text.replace(here, there)
    return texts


def base_of(text):
    """Return the base that a recipe file names, or an empty text."""
    return text.partition("\nbase: ")[2].partition("\n")[0]


def of_frames(stem, text):
    """Return a method file for a task of frames; without a base if it has none.

    A method with a file of its own for wav2vec 2.0 has that alone. Whisper was
    trained on transcripts, and takes 30 s of a clip at most.
    """
    of_clip = any(f"\n{key}: " in text for key in OF_CLIPS)
    of_clip = of_clip or stem == "whisper"
    if of_clip or (METHODS / "hparams" / f"{stem}_wav2vec2.yaml").exists():
        return ""
    text = text.replace("the head and the final norm are", "the head is")
    return text.replace("\nbase: ast.yaml\n", "\nbase: wav2vec2.yaml\n")


def replace_value(text, key, value):
    """Return the text of a method file with another value of a key.

    Example
    -------
    >>> text = "# A method\\n\\nbase: ast.yaml\\n\\nlr: 1.0e-3  # of Adam\\nat: [ffn]\\n"
    >>> print(replace_value(replace_value(text, "lr", "0.1"), "frames", "128"))
    # A method
    <BLANKLINE>
    base: ast.yaml
    <BLANKLINE>
    lr: 0.1                 # of Adam
    at: [ffn]
    frames: 128
    <BLANKLINE>
    """
    line = f"{key}: {value}"
    found = re.search(rf"(?m)^{key}: [^#\n]*(#.*)?$", text)
    if found and found[1]:
        line = f"{line.ljust(COMMENTS)}{found[1]}"
    if found:
        return text[: found.start()] + line + text[found.end() :]
    head, base, values, *rest = text.rstrip("\n").split("\n\n")
    return "\n\n".join([head, base, f"{values}\n{line}", *rest]) + "\n"


def train_script(recipe, script, template):
    """Return the text of a recipe's script, its imports in order."""
    name, folder = DATASETS[recipe]
    own_name, own_folder, names = WORDS[template]
    lower = recipe.lower()
    new_names = (f"{lower}_prepare", f"prepare_{lower}", f"{recipe}Brain")
    text = (template / "train.py").read_text(encoding="utf-8")
    for old, new in {
        own_name: name,
        f"/path/to/{own_folder}": f"/path/to/{folder}",
        **dict(zip(names, new_names)),
        "python train.py": f"python {script}",
        f"{script} hparams/soft_moa.yaml": f"{script} {EXAMPLES[script]}",
    }.items():
        text = text.replace(old, new)
    target = ROOT / "recipes" / recipe / script
    for command in (["check", "--quiet", "--fix", "--select=I"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command]
        ruff += [f"--stdin-filename={target}", "-"]
        text = subprocess.run(
            ruff, input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


def main(arguments=None):
    """Run the command line: ``[--check]``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    different = 0
    for texts in (
        *map(copies, DATASETS),
        *map(methods, (SPEAKERS, RECOGNITION)),
    ):
        for file, text in texts.items():
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                different += 1
                verb = "differs:" if check else "written:"
                print(verb, file.relative_to(ROOT))
                if not check:
                    file.write_text(text, encoding="utf-8")
    if check and different:
        sys.exit("run tools/copy_methods.py, and edit the template alone")


if __name__ == "__main__":
    main()
