"""The ESC50 recipe from its command line to what it leaves."""

import json
import re
import shutil
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from petl_modules import predict
from petl_modules.data import read_audio
from petl_modules.models import weights_sha256
from petl_modules.predict import Classifier, find_fold
from petl_modules.utils import read_csv

ROOT = Path(__file__).resolve().parents[2]

FOLD_TYPES = {
    "fold": int,
    "epochs": int,
    "best_epoch": int,
    "train_loss": float,
    "valid_loss": float,
    "test_loss": float,
    "train_accuracy": float,
    "valid_accuracy": float,
    "test_accuracy": float,
    "last_epoch_test_accuracy": float,
    "weights_sha256": str,
    "seconds": float,
}
SUMMARY_TYPES = {
    "dataset": str,
    "protocol": str,
    "n_folds": int,
    "backbone": str,
    "method": str,
    "seed": int,
    "metric": dict,
    "folds": list,
    "accuracy_mean": float,
    "accuracy_std": float,
    "total_parameters": int,
    "trainable_parameters": int,
    "petl_parameters": int,
    "versions": dict,
}


def state(folder):
    """Each file with the time of its last change."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module")
def runs(words, start, tmp_path_factory):
    """Fold 1 from the root, then folds 1 and 2 from the recipe's folder."""
    folder = tmp_path_factory.mktemp("runs") / "out"
    recipe = ROOT / "recipes" / "ESC50"
    places = [(ROOT, "recipes/ESC50/train.py"), (recipe, "train.py")]
    made = []
    for (cwd, script), folds in zip(places, ([1], [1, 2])):
        line = words(
            "soft_moa", output_folder=folder, folds=folds, number_of_epochs=2
        )
        process = start(script, *line, cwd=cwd)
        out, err = process.communicate()
        assert process.returncode == 0, err
        made.append(
            SimpleNamespace(
                out=out,
                summary=json.loads((folder / "summary.json").read_text()),
                fold1=state(folder / "fold1"),
            )
        )
    return SimpleNamespace(folder=folder, first=made[0], second=made[1])


def typed(values, types):
    return {key: type(value) for key, value in values.items()} == types


def test_summary_has_its_keys(runs):
    assert typed(runs.second.summary, SUMMARY_TYPES)


def test_summary_has_its_keys_in_order(runs):
    assert list(runs.second.summary) == list(SUMMARY_TYPES)


def test_each_fold_has_its_keys(runs):
    assert all(typed(f, FOLD_TYPES) for f in runs.second.summary["folds"])


@pytest.mark.parametrize(
    "key, value",
    [
        ("dataset", "ESC50"),
        ("method", "soft_moa"),
        ("seed", 10),
        ("total_parameters", 344_000),
        ("trainable_parameters", 14_400),
        ("petl_parameters", 14_400 - 129 * 50),
    ],
)
def test_summary_names_the_run(runs, key, value):
    assert runs.second.summary[key] == value


def test_summary_names_the_backbone(runs, tiny_ast):
    assert runs.second.summary["backbone"] == tiny_ast


def test_folds_have_trained_all_epochs(runs):
    assert [f["epochs"] for f in runs.second.summary["folds"]] == [2, 2]


@pytest.mark.parametrize(
    "key, average",
    [
        ("accuracy_mean", statistics.fmean),
        ("accuracy_std", statistics.pstdev),
    ],
)
def test_averages_are_those_of_the_folds(runs, key, average):
    summary = runs.second.summary
    values = [fold["test_accuracy"] for fold in summary["folds"]]
    assert summary[key] == average(values)


@pytest.mark.parametrize("index", [0, 1])
def test_predictions_give_the_accuracy(runs, index):
    fold = runs.second.summary["folds"][index]
    rows = read_csv(runs.folder / f"fold{index + 1}" / "predictions.csv")
    right = [row["label"] == row["predicted"] for row in rows]
    assert sum(right) / len(right) == fold["test_accuracy"]


@pytest.mark.parametrize("index", [0, 1])
def test_stored_weights_are_those_of_the_summary(runs, index):
    fold = runs.second.summary["folds"][index]
    model = Classifier(runs.folder / f"fold{index + 1}").trained.model
    assert weights_sha256(model) == fold["weights_sha256"]


@pytest.mark.parametrize("fold", [1, 2])
def test_predictions_are_those_of_the_test_fold(runs, corpus, fold):
    listed = read_csv(Path(corpus) / "meta" / "esc50.csv")
    clips = {row["filename"] for row in listed if row["fold"] == str(fold)}
    rows = read_csv(runs.folder / f"fold{fold}" / "predictions.csv")
    assert {f"{row['id']}.wav" for row in rows} == clips


def test_confusion_matrix_counts_every_clip(runs):
    rows = read_csv(runs.folder / "confusion.csv")
    cells = [int(n) for row in rows for k, n in row.items() if k != "label"]
    assert sum(cells) == 20


def test_confusion_matrix_has_all_classes(runs):
    rows = read_csv(runs.folder / "confusion.csv")
    assert [row["label"] for row in rows] == list(rows[0])[1:]


def test_confusion_matrix_rows_are_true_classes(runs):
    rows = read_csv(runs.folder / "confusion.csv")
    dogs = next(row for row in rows if row["label"] == "dog")
    assert sum(int(n) for k, n in dogs.items() if k != "label") == 2


def test_confusion_matrix_is_drawn(runs):
    picture = (runs.folder / "confusion.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_finished_fold_is_left_alone(runs):
    assert runs.second.fold1 == runs.first.fold1


def test_finished_fold_stays_in_the_summary(runs):
    first, second = runs.first.summary, runs.second.summary
    assert second["folds"][0] == first["folds"][0]


def test_further_fold_is_added(runs):
    assert [f["fold"] for f in runs.second.summary["folds"]] == [1, 2]


@pytest.mark.parametrize(
    "part",
    [
        "ESC50, soft_moa on ",
        "fold  epochs  best  train %  valid %  test %",
        " % over 2 of 5 folds",
        "trained parameters 14,400 (7,950 without the head) of 344,000",
    ],
)
def test_table_is_printed(runs, part):
    assert part in runs.second.out


def test_printed_mean_is_that_of_the_summary(runs):
    mean, std = re.search(r"accuracy (\S+) ± (\S+) %", runs.second.out).groups()
    summary = runs.second.summary
    assert (mean, std) == (
        f"{100 * summary['accuracy_mean']:.2f}",
        f"{100 * summary['accuracy_std']:.2f}",
    )


def test_a_run_is_the_same_in_another_process(runs, esc50, words, tmp_path):
    """Alone and behind another fold, in this process and in a fresh one."""
    esc50.main(
        words("soft_moa", output_folder=tmp_path, folds=[2], number_of_epochs=2)
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    theirs = dict(runs.second.summary["folds"][1], seconds=0)
    assert dict(summary["folds"][0], seconds=0) == theirs


def test_result_says_how_it_came_about(runs):
    file = runs.folder / "fold2" / "result.json"
    facts = json.loads(file.read_text())["facts"]
    rows = read_csv(runs.folder / "fold2" / "predictions.csv")
    assert facts["clips"]["test"] == len(rows)
    assert facts["processes"] == 1 and facts["device"].startswith("cpu")


def test_best_fold_of_a_run_is_found(runs):
    folds = runs.second.summary["folds"]
    best = max(folds, key=lambda fold: fold["valid_accuracy"])["fold"]
    assert find_fold(runs.folder) == runs.folder / f"fold{best}"


def test_classifier_predicts_as_the_run_did(runs, corpus):
    classifier = Classifier(runs.folder / "fold1")
    rows = read_csv(runs.folder / "fold1" / "predictions.csv")
    audio = Path(corpus) / "audio"
    guesses = [classifier(audio / f"{r['id']}.wav", top=1)[0][0] for r in rows]
    assert guesses == [row["predicted"] for row in rows]


def test_classifier_with_its_backbone_moved(runs, corpus, tiny_ast, tmp_path):
    moved = shutil.copytree(tiny_ast, tmp_path / "moved")
    clip = next(Path(corpus, "audio").glob("1-*.wav"))
    fold = runs.folder / "fold1"
    here = Classifier(fold, backbone=moved)(clip)
    assert here == Classifier(fold)(clip)


def test_fold_has_its_script(runs):
    saved = (runs.folder / "fold1" / "train.py").read_text(encoding="utf-8")
    script = ROOT / "recipes" / "ESC50" / "train.py"
    assert saved == script.read_text(encoding="utf-8")
    assert {path.name for path in (runs.folder / "fold1").glob("*.py")} == {
        "train.py"
    }


def test_environment_is_that_of_the_interpreter(runs):
    assert "torch==" in (runs.folder / "fold1" / "env.log").read_text()


def test_predict_prints_classes(runs, corpus, capsys):
    clip = next((Path(corpus) / "audio").iterdir())
    with pytest.raises(SystemExit) as end:
        predict.main([str(runs.folder), str(clip), "--top", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert (end.value.code, len(lines), lines[1]) == (0, 5, str(clip))


def test_predict_goes_on_behind_a_bad_file(runs, corpus, tmp_path, capsys):
    clip = next((Path(corpus) / "audio").iterdir())
    with pytest.raises(SystemExit) as end:
        predict.main([str(runs.folder), str(tmp_path / "no.wav"), str(clip)])
    said = capsys.readouterr()
    assert end.value.code == 1 and "no.wav" in said.err
    assert str(clip) in said.out


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_predict_refuses_no_classes(runs, top):
    with pytest.raises(SystemExit) as end:
        predict.main([str(runs.folder), "a.wav", "--top", top])
    assert end.value.code == 2


def test_predict_says_that_a_device_is_absent(runs):
    with pytest.raises(SystemExit, match="error: "):
        predict.main([str(runs.folder), "a.wav", "--device", "nowhere"])


def test_predict_says_where_no_run_is(tmp_path):
    with pytest.raises(SystemExit, match="no trained model in"):
        predict.main([str(tmp_path), "a.wav"])


LOGITS = """\
import sys, torch
from pathlib import Path
from petl_modules.data import read_audio
from petl_modules.predict import Classifier
threads, run, audio, target = sys.argv[1:]
torch.set_num_threads(int(threads))
made = Classifier(run).trained
with torch.inference_mode():
    logits = [
        made.model(made.features(read_audio(clip)).unsqueeze(0))
        for clip in sorted(Path(audio).glob("*.wav"))[:10]
    ]
torch.save(torch.cat(logits), target)
"""


def test_fresh_process_gives_the_same_bits(
    esc50, words, start, corpus, tmp_path, monkeypatch
):
    """BatchNorm's statistics included."""
    brains = []

    def keep(brain, clips, evaluate=esc50.evaluate_last_and_best):
        brains.append(brain)
        return evaluate(brain, clips)

    monkeypatch.setattr(esc50, "evaluate_last_and_best", keep)
    esc50.main(words("conformer", output_folder=tmp_path / "out"))
    process = start(
        "-c",
        LOGITS,
        torch.get_num_threads(),
        tmp_path / "out",
        Path(corpus) / "audio",
        tmp_path / "logits.pt",
    )
    clips = sorted((Path(corpus) / "audio").glob("*.wav"))[:10]
    model = brains[0].modules.model
    features = brains[0].hparams.features
    with torch.inference_mode():
        logits = [
            model(features(read_audio(clip)).unsqueeze(0)) for clip in clips
        ]
    assert process.wait() == 0, process.stderr.read()
    assert torch.equal(torch.cat(logits), torch.load(tmp_path / "logits.pt"))
