"""A run on random windows, tested on several."""

import json
from pathlib import Path

import pytest

from petl_modules.predict import Classifier
from petl_modules.utils import read_csv

CHANGES = {
    "train_windows": "random",
    "test_windows": 3,
    "frames": 60,
    "number_of_epochs": 2,
    "ckpt_interval_steps": 1,
}


WHOLE = "!new:petl_modules.data.Windows {test: whole}"


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def train(esc50, words):
    """Trains fold 1 in a folder; the process dies after some batches."""
    usual = esc50.ESC50Brain.on_fit_batch_end

    def trained(folder, die_after=None, **changes):
        line = words("lora", output_folder=folder, **{**CHANGES, **changes})
        steps = []

        def dying(brain, *args):
            usual(brain, *args)
            steps.append(brain.step)
            if len(steps) == die_after:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(esc50.ESC50Brain, "on_fit_batch_end", dying)
            esc50.main(line)
        result = json.loads((folder / "fold1" / "result.json").read_text())
        del result["fold"]["seconds"]
        return result["fold"]

    return trained


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """The folder of a run that was not disturbed, and its result."""
    folder = tmp_path_factory.mktemp("random") / "out"
    return folder, train(folder)


@pytest.mark.whole
def test_killed_run_ends_the_same(run, train, tmp_path):
    """4 steps an epoch: it dies in each, with workers and without."""
    with pytest.raises(Killed):
        train(tmp_path, die_after=2, num_workers=1)
    with pytest.raises(Killed):
        train(tmp_path, die_after=4)
    assert train(tmp_path, num_workers=1) == run[1]


def test_log_says_what_is_used(run):
    log = (run[0] / "log.txt").read_text()
    assert "50 of 50 clips are longer than 0.615 s: random 0.615 s are" in log


def test_classifier_averages_the_windows_of_the_run(run, corpus, caplog):
    """Its probabilities, and those of a loop over windows, are the run's."""
    fold = run[0] / "fold1"
    classifier = Classifier(fold)
    rows = read_csv(fold / "predictions.csv")
    for row in rows[:5]:
        path = Path(corpus, "audio", f"{row['id']}.wav")
        [(label, probability)] = classifier(path, top=1)
        assert label == row["predicted"]
        assert probability == pytest.approx(float(row["probability"]), abs=1e-4)
    assert "are used" not in caplog.text  # nothing is left out


def test_runs_without_the_key_use_the_beginning(run, tmp_path, corpus):
    fold = run[0] / "fold1"
    text = (fold / "hyperparams.yaml").read_text()
    start = text.index("\nwindows: ")
    end = text.index("\n", text.index("seed:", start))
    old = tmp_path / "old"
    old.mkdir()
    (old / "hyperparams.yaml").write_text(text[:start] + text[end:])
    weights = (fold / "model.safetensors").read_bytes()
    (old / "model.safetensors").write_bytes(weights)
    path = next(Path(corpus, "audio").glob("1-*.wav"))
    first = Classifier(fold)
    windows = first.trained.windows
    windows.train, windows.test = "first", 1
    assert Classifier(old)(path) == first(path)


def test_cache_is_refused_before_audio_is_read(train, tmp_path, monkeypatch):
    def read(*args):
        raise AssertionError("audio is read")

    monkeypatch.setattr("petl_modules.runs.run_data.run_on_main", read)
    cache = {"feature_cache": tmp_path / "cache"}
    with pytest.raises(SystemExit, match="leave feature_cache out"):
        train(tmp_path / "out", **cache)


@pytest.mark.parametrize(
    "key, value, text",
    [
        ("train_windows", "some", "'some' is neither first nor random"),
        ("test_windows", 0, "test is '0': give a number of windows"),
        ("windows", WHOLE, "FilterBank takes 0.615 s"),
        ("windows", 10, "windows is '10': it takes an object"),
    ],
)
def test_wrong_choices_are_named(key, value, text, train, tmp_path):
    with pytest.raises(SystemExit, match=text):
        train(tmp_path, **{key: value})
