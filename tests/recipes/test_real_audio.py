"""Recipes on real audio, where there is some.

``PETL_REAL_AUDIO`` names a folder in the layout of ESC-50 or of Speech
Commands, complete or a part, or one that holds such folders. The clips of FSDD
may be laid out as Speech Commands (see ``tests.digits``).
"""

import json
import os
import re
from pathlib import Path

import pytest

from petl_modules.utils import read_csv
from tests.digits import clips_of, convert

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
FSDD = GSC if GSC and clips_of(GSC) else None


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


@pytest.mark.slow
@pytest.mark.skipif(not FSDD, reason="PETL_REAL_AUDIO names no clips of FSDD")
def test_digits_of_another_speaker_are_recognised(script, places, tmp_path):
    """Trained on four speakers, above chance on a fifth."""
    options = {
        "data_folder": convert(FSDD, tmp_path / "fsdd"),
        "manifest_folder": tmp_path / "manifests",
        "output_folder": tmp_path / "out",
        "base": "wav2vec2.yaml",
        "backbone": places["tiny-wav2vec2"],
        "allow_partial": True,
        "number_of_epochs": 10,
        "folds": [1],
        "num_workers": 0,
        "device": "cpu",
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    train = script("recipes/FSDD/train.py")
    train.main(["hparams/linear.yaml", *words, "--noprogressbar"])
    tested = read_csv(tmp_path / "out" / "fold1" / "predictions.csv")
    theirs = {n.removesuffix(".wav") for n in clips_of(FSDD) if "george" in n}
    assert {row["id"] for row in tested} == theirs
    right = sum(row["label"] == row["predicted"] for row in tested)
    assert right > 0.2 * len(tested)
