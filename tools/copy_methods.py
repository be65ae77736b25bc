"""Copy what is equal in all recipes from the template to each of them.

``python tools/copy_methods.py`` writes train.py and the method files of every
recipe from those of ``templates/audio_classification``, the only ones to edit
by hand. With ``--check`` it writes nothing, and fails if a copy differs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "templates" / "audio_classification"
# By recipe: the dataset's name and the usual name of its folder
DATASETS = {
    "ESC50": ("ESC-50", "ESC-50-master"),
    "FSC": ("Fluent Speech Commands", "fluent_speech_commands_dataset"),
    "GSC": ("Speech Commands", "speech_commands_v0.02"),
    "GTZAN": ("GTZAN", "GTZAN"),
    "IEMOCAP": ("IEMOCAP", "IEMOCAP_full_release"),
    "UrbanSound8k": ("UrbanSound8K", "UrbanSound8K"),
}
# By recipe and file: what replaces a line of the template
REPLACED = {
    (recipe, "conformer.yaml"): ("kernel_size: 8\n", "kernel_size: 31\n")
    for recipe in ("FSC", "GSC", "IEMOCAP")
}


def copies(recipe):
    """Return the text of each copied file of a recipe, by path."""
    folder = ROOT / "recipes" / recipe
    texts = {folder / "train.py": train_script(recipe)}
    for file in sorted(TEMPLATE.glob("hparams/*.yaml")):
        text = file.read_text(encoding="utf-8")
        base = text.partition("\nbase: ")[2].partition("\n")[0]
        parent = folder / "hparams" / base
        if not base or not (parent in texts or parent.is_file()):
            continue  # a base itself, or for another backbone
        old, new = REPLACED.get((recipe, file.name), ("", ""))
        text = text.replace(old, new) if old else text
        here, there = (
            f.relative_to(ROOT).as_posix() for f in (TEMPLATE, folder)
        )
        texts[folder / "hparams" / file.name] = text.replace(here, there)
    return texts


def train_script(recipe):
    """Return the text of a recipe's train.py, its imports in order."""
    name, folder = DATASETS[recipe]
    text = (TEMPLATE / "train.py").read_text(encoding="utf-8")
    for old, new in {
        "your own sounds": name,
        "/path/to/my_sounds": f"/path/to/{folder}",
        "audio_prepare": f"{recipe.lower()}_prepare",
        "prepare_audio": f"prepare_{recipe.lower()}",
        "AudioBrain": f"{recipe}Brain",
    }.items():
        text = text.replace(old, new)
    target = ROOT / "recipes" / recipe / "train.py"
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
    for recipe in DATASETS:
        for file, text in copies(recipe).items():
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
