"""The template from sounds of one's own to predictions."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from petl_modules import predict
from petl_modules.utils import read_csv

TRAIN = "templates/audio_classification/train.py"
SHORT = {"number_of_epochs": 1, "frames": 50}
# Enough to learn two pitches. SpecAugment would hide most of such short clips
LEARNT = {"number_of_epochs": 12, "batch_size": 4, "fixed_epochs": True}
AST = {"frames": 50, "reduction": 16, "augment": "!new:torch.nn.Identity"}


@pytest.fixture
def run(script, places, tmp_path, monkeypatch):
    """Runs the template on a list or folder of the generated sounds."""
    monkeypatch.chdir(tmp_path)

    def ran(file="soft_moa", **changes):
        options = {
            "data_folder": places["my_sounds"],
            "backbone": places["tiny-ast"],
            "output_folder": "out",
            "manifest_folder": "manifests",
            "batch_size": 8,
            "num_workers": 0,
            "device": "cpu",
            **changes,
        }
        words = [f"--{key}={value}" for key, value in options.items()]
        script(TRAIN).main([f"hparams/{file}.yaml", *words, "--noprogressbar"])
        folder = tmp_path / "out"
        folds = sorted(folder.glob("fold*"))
        return SimpleNamespace(
            folder=folder,
            summary=json.loads((folder / "summary.json").read_text()),
            tested=[read_csv(fold / "predictions.csv") for fold in folds],
        )

    return ran


@pytest.fixture
def clips(places):
    """The generated sounds, as paths below their folder, by class."""
    folder = Path(places["my_sounds"])
    return {
        label: sorted(
            path.relative_to(folder).as_posix()
            for path in (folder / label).iterdir()
        )
        for label in ("high", "low")
    }


def write_list(clips, column, value_of):
    """Write a list with a column whose value depends on a clip's place."""
    rows = [f"path,label,{column}"]
    for label, names in clips.items():
        rows += [f"{n},{label},{value_of(i)}" for i, n in enumerate(names)]
    Path("clips.csv").write_text("\n".join(rows))
    return "clips.csv"


def ids(rows):
    return [row["id"] for row in rows]


def test_folders(run, clips):
    made = run(folds=[2, 4], **SHORT)
    assert made.summary["dataset"] == "my_sounds"
    assert made.summary["protocol"].startswith("5 folds: test k, validation")
    assert [fold["fold"] for fold in made.summary["folds"]] == [2, 4]
    for tested in made.tested:  # two clips of each class
        assert [row["label"] for row in tested] == ["high"] * 2 + ["low"] * 2
        assert all(row["id"] in clips[row["label"]] for row in tested)
    assert not set(ids(made.tested[0])) & set(ids(made.tested[1]))


def test_list_with_folds(run, clips):
    table = write_list(clips, "fold", lambda i: 1 + i % 3)
    made = run("linear", table=table, **SHORT)
    assert made.summary["protocol"].startswith("3 folds: ")
    assert [ids(tested) for tested in made.tested] == [
        clips["high"][k::3] + clips["low"][k::3] for k in range(3)
    ]


def test_list_with_splits(run, clips):
    splits = ["train"] * 6 + ["valid"] * 2 + ["test"] * 2
    table = write_list(clips, "split", splits.__getitem__)
    made = run("linear", table=table, **SHORT)
    assert made.summary["protocol"] == "one split: train, validation, test"
    [tested] = made.tested
    assert ids(tested) == clips["high"][8:] + clips["low"][8:]


def test_folders_of_splits(run, places, clips, tmp_path):
    for label, names in clips.items():
        for i, name in enumerate(names):
            split = ("train", "valid", "test")[i % 3]
            place = tmp_path / "parts" / split / label
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(places["my_sounds"]) / name, place)
    made = run("linear", data_folder="parts", **SHORT)
    assert made.summary["protocol"] == "one split: train, validation, test"
    [tested] = made.tested
    assert {Path(name).parent.as_posix() for name in ids(tested)} == {
        "test/high",
        "test/low",
    }


def test_without_validation(run, clips):
    table = write_list(clips, "split", lambda i: ("train", "test")[i == 9])
    with pytest.raises(SystemExit) as error:
        run("linear", table=table, **SHORT)
    assert "no clip left for: valid" in str(error.value)
    assert "--fixed_epochs True" in str(error.value)
    made = run("linear", table=table, fixed_epochs=True, **SHORT)
    [fold] = made.summary["folds"]
    assert fold["valid_loss"] is None and fold["valid_accuracy"] is None
    assert fold["best_epoch"] == fold["epochs"] == 1
    [tested] = made.tested
    assert ids(tested) == [clips["high"][9], clips["low"][9]]


def test_few_shot(run):
    made = run("linear", folds=[1], few_shot=2, few_shot_draws=2, **SHORT)
    assert [fold["draw"] for fold in made.summary["folds"]] == [1, 2]
    drawn = [
        (made.folder / name / "train_clips.txt").read_text().splitlines()
        for name in ("fold1", "fold1-draw2")
    ]
    assert drawn[0] != drawn[1]
    for names in drawn:
        labels = [Path(name).parent.name for name in names]
        assert labels == ["high"] * 2 + ["low"] * 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data_folder": "absent"}, "error: there is no folder "),
        ({"table": "absent.csv"}, "error: --table: there is no file "),
        ({"n_folds": 11}, "fewer clips than the 11 folds: high: 10, low: 10"),
        ({"folds": [6]}, "there is no fold 6: folds go from 1 to 5"),
    ],
)
def test_what_cannot_be_is_told_plainly(run, change, expected):
    with pytest.raises(SystemExit) as error:
        run("linear", **change, **SHORT)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("soft_moa", AST),
        ("bottleneck", {"base": "wav2vec2.yaml", "seconds": 0.5}),
        ("conformer_wav2vec2", {"seconds": 0.5}),
    ],
)
def test_a_trained_model_classifies_files(
    file, options, run, places, clips, capsys
):
    # Labels that YAML could take for other things than text
    names = {"1": clips["high"], "no": clips["low"]}
    table = write_list(names, "split", lambda i: ("train", "test")[i > 7])
    backbone = "tiny-ast" if "frames" in options else "tiny-wav2vec2"
    options = {**options, "backbone": places[backbone]}
    made = run(file, table=table, **LEARNT, **options)
    assert made.summary["backbone"] == places[backbone]
    files = [f"{places['my_sounds']}/{names[label][9]}" for label in names]
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        predict.main([str(made.folder), *files, "--top", "1"])
    assert end.value.code == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"model: {made.folder / 'fold1'}"
    assert lines[::2] == files
    assert [line.split()[-1] for line in lines[1::2]] == ["1", "no"]


def test_cut_and_skipped_clips_are_told(run, places, tmp_path, capsys):
    """In one line of preparation, and by predict."""
    data = tmp_path / "sounds"
    shutil.copytree(places["my_sounds"], data)
    first, second, *_ = sorted((data / "low").iterdir())
    long = data / "low" / "long.wav"
    samples, rate = soundfile.read(second)
    soundfile.write(long, np.tile(samples, 9), rate)
    first.write_bytes(b"no sound")
    run("linear", data_folder=data, folds=[1], skip_bad_audio=True, **SHORT)
    length = 400 / 16000 + 0.49  # 50 frames
    lines = [
        line
        for line in capsys.readouterr().out.splitlines()
        if "clips are longer than" in line
    ]
    assert len(lines) == 1
    assert f"longer than {length:.4g} s: the first {length:.4g} s" in lines[0]
    assert lines[0].endswith("; 1 unreadable clips are left out")
    with pytest.raises(SystemExit):
        predict.main(["out", str(long)])
    shown = capsys.readouterr()
    told = f"{long}: longer than {length:.4g} s: the first"
    assert (shown.out + shown.err).count(told) == 1
