"""Recipes on real audio, where there is some.

``PETL_REAL_AUDIO`` names a folder in the layout of ESC-50 or of Speech
Commands, complete or a part, or one that holds such folders.
"""

import json
import os
import re
from pathlib import Path

import pytest

from petl_modules.utils import read_csv

GIVEN = os.environ.get("PETL_REAL_AUDIO")


def find(mark):
    """The folder with this file in it, or None."""
    if not GIVEN:
        return None
    given = Path(GIVEN).resolve()
    folders = [given, *sorted(p for p in given.iterdir() if p.is_dir())]
    return next((f for f in folders if (f / mark).is_file()), None)


ESC50 = find("meta/esc50.csv")
GSC = find("testing_list.txt")


@pytest.mark.skipif(not ESC50, reason="PETL_REAL_AUDIO names no ESC-50")
def test_esc50(esc50, words, tmp_path):
    esc50.main(
        words(
            "soft_moa",
            data_folder=ESC50,
            manifest_folder=tmp_path,
            output_folder=tmp_path / "out",
        )
    )
    tested = read_csv(tmp_path / "out" / "fold1" / "predictions.csv")
    listed = read_csv(ESC50 / "meta" / "esc50.csv")
    assert len(tested) == sum(row["fold"] == "1" for row in listed)


@pytest.mark.slow
@pytest.mark.skipif(not GSC, reason="PETL_REAL_AUDIO names no Speech Commands")
def test_full_fine_tuning_fits_the_training_words(
    script, places, tmp_path, monkeypatch
):
    """Every weight learns: the training clips are learnt by heart."""
    monkeypatch.chdir(tmp_path)
    options = {
        "data_folder": GSC,
        "backbone": places["tiny-ast"],
        "allow_partial": True,
        "number_of_epochs": 40,
        "batch_size": 16,
        "lr": 5e-4,
        "output_folder": "out",
        "device": "cpu",
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    train = script("recipes/GSC/train.py")
    train.main(["hparams/full_finetuning.yaml", *words, "--noprogressbar"])
    log = Path("out", "fold1", "train_log.txt").read_text()
    accuracies = re.findall(r"train accuracy: ([\d.e+-]+)", log)
    assert float(accuracies[-1]) > 0.9
    summary = json.loads(Path("out", "summary.json").read_text())
    clips = (GSC / "testing_list.txt").read_text().split()
    tested = read_csv(Path("out", "fold1", "predictions.csv"))
    assert len(tested) == len(clips)
    assert "allow_partial" in summary["protocol"]
