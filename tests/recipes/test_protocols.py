"""What the datasets' protocols leave in a summary."""

import json
import shutil
import statistics
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import torch

from petl_modules.data.prepare import read_manifest
from petl_modules.predict import Classifier
from petl_modules.utils import read_csv
from tests.sampling import sample

DATA = {
    "UrbanSound8k": "UrbanSound8K",
    "GSC": "speech_commands_v0.02",
    "FSC": "fluent_speech_commands_dataset",
    "GTZAN": "GTZAN",
    "IEMOCAP": "IEMOCAP_full_release",
}


@pytest.fixture(scope="module")
def run(script, places, tmp_path_factory):
    """Runs a recipe and gives its folder and summary."""

    def ran(dataset, file="linear", folder=None, **changes):
        folder = folder or tmp_path_factory.mktemp(dataset) / "out"
        options = {
            "data_folder": places[DATA[dataset]],
            "manifest_folder": folder.parent,
            "backbone": places["tiny-ast"],
            "output_folder": folder,
            "allow_partial": True,
            "number_of_epochs": 2,
            "batch_size": 8,
            "folds": [1],
            "num_workers": 0,
            "device": "cpu",
            **changes,
        }
        words = [f"--{key}={value}" for key, value in options.items()]
        train = script(f"recipes/{dataset}/train.py")
        train.main([f"hparams/{file}.yaml", *words, "--noprogressbar"])
        summary = json.loads((folder / "summary.json").read_text())
        return folder, summary

    return ran


def manifest_of(folder):
    return read_manifest(next(folder.parent.glob("*.json")))


# UrbanSound8K


@pytest.fixture(scope="module")
def fixed(run):
    return run("UrbanSound8k", fixed_epochs=True, number_of_epochs=3)


def test_fixed_epochs_name_the_protocol(fixed):
    assert "fixed epochs" in fixed[1]["protocol"]
    assert "10 folds" in fixed[1]["protocol"]


def test_fixed_epochs_test_the_last_epoch(fixed):
    fold = fixed[1]["folds"][0]
    assert fold["best_epoch"] == fold["epochs"] == 3
    assert fold["test_accuracy"] == fold["last_epoch_test_accuracy"]


def test_fixed_epochs_validate_nothing(fixed):
    fold = fixed[1]["folds"][0]
    assert fold["valid_loss"] is None and fold["valid_accuracy"] is None
    assert "valid" not in (fixed[0] / "fold1" / "train_log.txt").read_text()


def test_fixed_epochs_keep_the_last_checkpoints(fixed):
    assert len([*fixed[0].glob("fold1/save/CKPT*")]) == 2


def test_metric_that_selects_is_there_before_training(run, tmp_path):
    metric = "{name: acc, mode: max}"
    with pytest.raises(SystemExit, match="no metric 'acc'; there are: loss"):
        run("UrbanSound8k", folder=tmp_path, best_metric=metric)
    assert not [*tmp_path.glob("fold1/save/CKPT*")]


def test_fixed_epochs_are_drawn_in_the_table(fixed, run, capsys):
    run("UrbanSound8k", folder=fixed[0], fixed_epochs=True, number_of_epochs=3)
    assert " -  " in capsys.readouterr().out


def test_usual_protocol_validates_on_the_next_fold(run, capsys):
    _, summary = run("UrbanSound8k", number_of_epochs=1)
    told = "10 folds: test k, validation k + 1, train 8"
    assert summary["protocol"].startswith(told)
    assert summary["folds"][0]["valid_accuracy"] is not None


# GTZAN


@pytest.mark.parametrize(
    "protocol, told",
    [
        ("filtered", "one split (filtered): train, validation, test"),
        ("ten_folds", "10 folds (ten_folds): fixed epochs, "),
    ],
)
def test_gtzan_names_its_protocol(protocol, told, run):
    _, summary = run(
        "GTZAN",
        protocol=protocol,
        fixed_epochs=protocol == "ten_folds",
        number_of_epochs=1,
        frames=40,
        test_windows=2,
    )
    assert summary["protocol"].startswith(told)


# IEMOCAP


@pytest.fixture(scope="module")
def speakers(run):
    return run("IEMOCAP", folds=[1, 4])


def recalls(rows):
    found = defaultdict(list)
    for row in rows:
        found[row["label"]].append(row["label"] == row["predicted"])
    return [sum(right) / len(right) for right in found.values()]


def test_unweighted_accuracy_is_the_mean_recall(speakers):
    folder, summary = speakers
    for fold in summary["folds"]:
        rows = read_csv(folder / f"fold{fold['fold']}" / "predictions.csv")
        expected = statistics.fmean(recalls(rows))
        assert fold["test_unweighted_accuracy"] == pytest.approx(expected)


def test_both_accuracies_are_averaged(speakers):
    summary = speakers[1]
    for name in ("accuracy", "unweighted_accuracy"):
        values = [fold[f"test_{name}"] for fold in summary["folds"]]
        assert summary[f"{name}_mean"] == statistics.fmean(values)
        assert summary[f"{name}_std"] == statistics.pstdev(values)


@pytest.mark.parametrize(("fold", "speaker"), [(1, "Ses01F"), (4, "Ses02M")])
def test_a_fold_tests_one_speaker(speakers, fold, speaker):
    records = manifest_of(speakers[0])
    rows = read_csv(speakers[0] / f"fold{fold}" / "predictions.csv")
    assert {records[row["id"]]["speaker"] for row in rows} == {speaker}
    tested = {c for c, r in records.items() if r["speaker"] == speaker}
    assert {row["id"] for row in rows} == tested


def test_speakers_are_named_in_the_summary(speakers):
    assert speakers[1]["protocol"].startswith("10 speaker folds")


@pytest.mark.parametrize("fixed_epochs", sample([False, True], [False]))
def test_sessions_are_named_in_the_summary(run, fixed_epochs):
    folder, summary = run(
        "IEMOCAP", protocol="sessions", folds=[5], fixed_epochs=fixed_epochs
    )
    assert summary["protocol"].startswith("5 session folds")
    assert ("fixed epochs" in summary["protocol"]) == fixed_epochs
    rows = read_csv(folder / "fold5" / "predictions.csv")
    records = manifest_of(folder)
    assert {records[row["id"]]["session"] for row in rows} == {5}
    assert len({records[row["id"]]["speaker"] for row in rows}) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": "session"}, "none of: speakers, sessions"),
        ({"protocol": "sessions", "folds": [6]}, "no fold 6.*1 to 5"),
        ({"folds": [11]}, "no fold 11.*1 to 10"),
    ],
)
def test_protocols_that_are_not_there(run, changes, words):
    with pytest.raises(SystemExit, match=words):
        run("IEMOCAP", **changes)


# FSC


def test_slots_are_counted_beside_the_intent(run):
    folder, summary = run("FSC", number_of_epochs=1)
    rows = read_csv(folder / "fold1" / "predictions.csv")
    fold = summary["folds"][0]
    for place, slot in enumerate(("action", "object", "location")):
        right = [
            row["label"].split("|")[place] == row["predicted"].split("|")[place]
            for row in rows
        ]
        expected = statistics.fmean(right)
        assert fold[f"test_{slot}_accuracy"] == pytest.approx(expected)
        assert summary[f"{slot}_accuracy_mean"] == pytest.approx(expected)
    whole = statistics.fmean(row["label"] == row["predicted"] for row in rows)
    assert fold["test_accuracy"] == pytest.approx(whole)


def test_files_of_another_recipe_are_refused(run):
    with pytest.raises(SystemExit, match="belongs to another recipe"):
        run("FSC", file="../../GSC/hparams/linear")


# Few-shot


@pytest.fixture(scope="module")
def few(run):
    first = run("GSC", few_shot=2, few_shot_draws=2)
    times = {
        p: p.stat().st_mtime_ns for p in first[0].glob("fold*/result.json")
    }
    second = run("GSC", folder=first[0], few_shot=2, few_shot_draws=3)
    return first[1], second[1], first[0], times


def clips_of(folder, name):
    return (folder / name / "train_clips.txt").read_text().split("\n")[:-1]


def test_each_draw_stands_in_the_summary(few):
    first, second, *_ = few
    pairs = [(fold["fold"], fold["draw"]) for fold in second["folds"]]
    assert pairs == [(1, 1), (1, 2), (1, 3)]
    assert second["folds"][:2] == first["folds"]


def test_finished_draws_are_kept(few):
    assert all(p.stat().st_mtime_ns == time for p, time in few[3].items())


def test_draws_are_averaged(few):
    values = [fold["test_accuracy"] for fold in few[1]["folds"]]
    assert few[1]["accuracy_mean"] == statistics.fmean(values)
    assert few[1]["accuracy_std"] == statistics.pstdev(values)


def test_few_shot_is_named_in_the_protocol(few):
    assert "few-shot: 2 a class, draws: 3" in few[1]["protocol"]


@pytest.mark.parametrize("name", ["fold1", "fold1-draw2", "fold1-draw3"])
def test_list_of_the_draw_is_saved(few, name):
    records = manifest_of(few[2])
    clips = [records[clip] for clip in clips_of(few[2], name)]
    assert {clip["split"] for clip in clips} == {"train"}
    labels = {r["label"] for r in records.values()}
    assert Counter(clip["label"] for clip in clips) == dict.fromkeys(labels, 2)


def test_draws_differ(few):
    lists = [clips_of(few[2], name) for name in ("fold1", "fold1-draw2")]
    assert lists[0] != lists[1]


def test_every_test_clip_is_tested_in_every_draw(few):
    records = manifest_of(few[2])
    expected = {c for c, r in records.items() if r["split"] == "test"}
    for name in ("fold1", "fold1-draw3"):
        rows = read_csv(few[2] / name / "predictions.csv")
        assert {row["id"] for row in rows} == expected


def test_a_copy_of_a_fold_is_no_fold(few, run):
    shutil.copytree(few[2] / "fold1", few[2] / "fold1.bak")
    _, summary = run("GSC", folder=few[2], few_shot=2, few_shot_draws=3)
    assert summary["folds"] == few[1]["folds"]


def test_fewer_draws_are_summed_up_alone(few, run):
    _, summary = run("GSC", folder=few[2], few_shot=2, few_shot_draws=1)
    assert summary["folds"] == few[1]["folds"][:1]
    assert "draws: 1" in summary["protocol"]


def test_a_damaged_result_is_named(few, run):
    file = few[2] / "fold1-draw3" / "result.json"
    whole = file.read_text()
    file.write_text(whole[:20])
    with pytest.raises(SystemExit, match="draw3 is damaged .result.json was"):
        run("GSC", folder=few[2], few_shot=2, few_shot_draws=3)
    file.write_text(whole)


def test_too_many_shots_are_refused(run):
    with pytest.raises(SystemExit, match="few_shot is 100.*fewer clips"):
        run("GSC", few_shot=100)


# wav2vec 2.0


@pytest.mark.parametrize("norm", sample(["group", "layer"], ["group"]))
def test_a_run_on_wav2vec2_classifies_files(run, norm, tiny_wav2vec2, places):
    folder, _ = run(
        "GSC",
        "lora",
        base="wav2vec2.yaml",
        backbone=tiny_wav2vec2[norm],
        batch_size=1,
    )
    rows = read_csv(folder / "fold1" / "predictions.csv")
    classifier = Classifier(folder)
    file = Path(places["speech_commands_v0.02"], f"{rows[0]['id']}.wav")
    label, probability = classifier(file)[0]
    assert label == rows[0]["predicted"]
    assert probability == pytest.approx(float(rows[0]["probability"]), abs=2e-6)


def test_the_last_layers_can_be_trained_from_the_command_line(run, places):
    folder, summary = run(
        "GSC",
        "full_finetuning",
        base="wav2vec2.yaml",
        backbone=places["tiny-wav2vec2"],
        train_backbone="last_1",
    )
    model = Classifier(folder).trained.model
    layer = model.encoder.backbone.sites.module("layers.1")
    assert summary["petl_parameters"] == sum(
        p.numel() for p in layer.parameters()
    )
    assert all(torch.isfinite(p).all() for p in layer.parameters())
