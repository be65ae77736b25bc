"""Trained weights are verified wherever a finished fold is used."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_modules import predict
from petl_modules.models import read_trained
from petl_modules.models.weights_file import write_trained
from petl_modules.predict import Classifier
from petl_modules.runs import RecipeFile
from petl_modules.utils import CheckpointError, UserError


@pytest.fixture(scope="module")
def trained(words, esc50, tmp_path_factory):
    """A run with folds 1 and 2, and the command line that made it."""
    folder = tmp_path_factory.mktemp("trained") / "out"
    esc50.main(words("linear", output_folder=folder, folds=[1, 2]))
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of it in its place, to be damaged."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "out"))


def flip(file):
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def other_fold(file):
    """An intact file, of another fold."""
    shutil.copy(file.parents[1] / "fold2" / file.name, file)


def diverged(file):
    state, about = read_trained(file)
    state["head.bias"][3] = float("nan")
    write_trained(state, about["settings"], file)


DAMAGE = {
    "flip": (flip, "its SHA-256 is not"),
    "empty": (lambda file: file.write_bytes(b""), "cannot be read"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-9]), "be read"),
    "other fold": (other_fold, "other weights than those of its result"),
    "diverged": (diverged, "other weights than those of its result"),
    "missing": (lambda file: file.unlink(), "cannot be read"),
}


@pytest.mark.parametrize("folds", [[1], [2]])
@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_fold_is_not_kept(case, folds, run, words, esc50):
    """Nor is it averaged, if another one is asked for."""
    damage, _ = DAMAGE[case]
    damage(run / "fold1" / "model.safetensors")
    what = "is missing" if case == "missing" else "was changed or cut"
    text = f"fold1 is damaged \\(model.safetensors {what}\\). Delete .*fold1,"
    with pytest.raises(SystemExit, match=text):
        esc50.main(words("linear", output_folder=run, folds=folds))


def test_the_remedy_that_is_named_helps(run, words, esc50):
    before = (run / "summary.json").read_text()
    flip(run / "fold1" / "model.safetensors")
    shutil.rmtree(run / "fold1")
    esc50.main(words("linear", output_folder=run, folds=[1, 2]))
    after = (run / "summary.json").read_text()
    sums = [
        [line for line in text.splitlines() if "sha256" in line]
        for text in (before, after)
    ]
    assert sums[0] == sums[1] and len(sums[0]) == 2


@pytest.mark.parametrize("case", sorted({*DAMAGE} - {"missing"}))
def test_predict_refuses_a_damaged_fold(case, run, corpus):
    damage, words_of_it = DAMAGE[case]
    damage(run / "fold1" / "model.safetensors")
    clip = next(Path(corpus, "audio").iterdir())
    with pytest.raises(SystemExit, match=words_of_it):
        predict.main([str(run / "fold1"), str(clip)])


@pytest.mark.parametrize("key", ["features", "model"])
def test_predict_refuses_other_objects(key, run, monkeypatch):
    make = RecipeFile.make
    monkeypatch.setattr(
        RecipeFile, "make", lambda *words: {**make(*words), key: 5}
    )
    with pytest.raises(UserError, match=f"yaml is .*{key} makes a int"):
        Classifier(run / "fold1")


def test_predict_refuses_a_changed_recipe(run):
    file = run / "fold1" / "hyperparams.yaml"
    file.write_text(file.read_text() + "# mine\n")
    with pytest.raises(UserError, match="hyperparams.yaml is damaged"):
        Classifier(run / "fold1")


def test_weights_without_a_result_are_still_verified(run):
    (run / "fold1" / "result.json").unlink()
    Classifier(run / "fold1")
    diverged(run / "fold1" / "model.safetensors")
    with pytest.raises(CheckpointError, match="head.bias .* not finite"):
        Classifier(run / "fold1")


def test_predict_refuses_outputs_that_are_not_finite(
    run, tmp_path, corpus, capsys, monkeypatch
):
    """One clip is named, the others are classified, and the code is 1."""
    good = next(Path(corpus, "audio").iterdir())
    soundfile.write(tmp_path / "odd.wav", np.zeros(16_000), 16_000)
    usual = Classifier.__init__

    def poisoned(classifier, *arguments, **options):
        usual(classifier, *arguments, **options)
        features = classifier.trained.features

        def infinite(samples):
            values = features(samples)
            return values if samples.any() else values * float("nan")

        infinite.sample_rate = features.sample_rate
        classifier.trained.features = infinite

    monkeypatch.setattr(Classifier, "__init__", poisoned)
    with pytest.raises(SystemExit) as end:
        predict.main([str(run), "odd.wav", str(good)])
    said = capsys.readouterr()
    assert end.value.code == 1
    assert "error: odd.wav: " in said.err and "not finite" in said.err
    assert "nan" not in said.out and str(good) in said.out
