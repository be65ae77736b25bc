"""A trained run as a classifier of sounds: batches, probabilities, vectors."""

import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

import petl_modules
from petl_modules import AudioClassifier
from petl_modules.data import read_audio, window_features
from petl_modules.export import export
from petl_modules.inference import batches, prefetch
from petl_modules.predict import Classifier
from petl_modules.utils import AudioError, HparamsError
from tests.trained import LABELS, write_run

RATE = 16_000
RUNS = {
    "ast": ("soft_moa", "ast", {}),
    "wav2vec2": ("lora", "wav2vec2", {"seconds": 1.0}),
    "prompts": ("prompt_deep", "wav2vec2", {"seconds": 1.0}),
    "windows": ("linear", "ast", {"frames": 50, "test_windows": 3}),
    "whole": (
        "linear",
        "wav2vec2",
        {"seconds": float("inf"), "test_windows": "whole"},
    ),
}


@pytest.fixture(scope="module")
def folds(tiny_ast, tiny_wav2vec2, tmp_path_factory):
    """Folds of runs, by the keys of ``RUNS``."""
    folder = tmp_path_factory.mktemp("runs")
    encoders = {"ast": (tiny_ast, None)}
    encoders["wav2vec2"] = tiny_wav2vec2["group"], "wav2vec2.yaml"
    return {
        name: write_run(folder / name, method, *encoders[kind], **values)
        for name, (method, kind, values) in RUNS.items()
    }


@pytest.fixture(scope="module")
def classifiers(folds):
    return {name: AudioClassifier(folds[name]) for name in folds}


@pytest.fixture(scope="module", params=RUNS)
def classifier(request, classifiers):
    return classifiers[request.param]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of many lengths, rates and channels, some of one length."""
    folder = tmp_path_factory.mktemp("sounds")
    draw = np.random.default_rng(0)
    paths = []
    for index in range(14):
        rate = (8_000, 16_000, 22_051)[index % 3]
        seconds = (0.01, 0.3, 0.75, 0.75, 1.6)[index % 5]
        shape = max(1, int(seconds * rate)), 1 + index % 2
        samples = 0.1 * draw.standard_normal(shape)
        paths.append(folder / f"ü{index:02}.flac")
        soundfile.write(paths[-1], samples, rate)
    return paths


def by_hand(classifier, path):
    """Probabilities by the model's parts, of one file alone."""
    run = classifier.trained
    samples = read_audio(path, run.features.sample_rate)
    longest = getattr(run.features, "longest", None)
    starts = [0]
    if run.windows.test not in (1, "whole"):
        rest = max(0, len(samples) - longest)
        starts = [i * rest // (run.windows.test - 1) for i in range(3)]
        samples = samples.repeat(-(-longest // len(samples)))
        if rest == 0:
            samples = samples[:longest]
    logits = []
    for start in starts:
        part = samples[start:][:longest]
        with torch.inference_mode():
            logits.append(run.model(run.features(part)[None])[0])
    return torch.stack(logits).mean(0).softmax(-1).numpy()


@pytest.mark.parametrize("size", [1, 3, 16])
def test_batches_give_what_each_file_gives_alone(classifier, files, size):
    expected = np.stack([by_hand(classifier, path) for path in files])
    assert np.abs(expected - expected[0]).max() > 1e-3
    found = classifier.predict_proba(files, batch_size=size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert found.shape == (14, len(LABELS)) and found.dtype == np.float32


def test_lists_are_in_order_and_mixed(classifiers, files):
    classifier = classifiers["wav2vec2"]
    samples, rate = soundfile.read(files[1], dtype="float32")
    given = [
        files[0],
        (samples.T, rate),
        files[1].read_bytes(),
        str(files[0]),
        {"array": samples.T, "sampling_rate": rate},
        open(files[1], "rb"),
    ]
    found = classifier.predict_proba(given)
    alone = [classifier.predict_proba(one)[0] for one in files[:2]]
    expected = [alone[i] for i in (0, 1, 1, 0, 1, 1)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    of_folder = classifier.predict_proba(files[0].parent)
    np.testing.assert_allclose(
        of_folder, classifier.predict_proba(files), rtol=0, atol=1e-6
    )


def test_one_gives_a_list_and_many_a_list_of_lists(classifiers, files):
    classifier = classifiers["ast"]
    row = classifier.predict_proba(files[3])[0]
    order = np.argsort(-row)
    every = [(LABELS[i], pytest.approx(row[i], abs=1e-6)) for i in order]
    assert classifier(files[3], top=None) == every
    assert classifier(files[3], top=2) == every[:2]
    assert classifier(files[3], top=99) == classifier(str(files[3])) == every
    assert classifier([files[3]], top=1) == [every[:1]]
    assert classifier(files[3].parent, top=1)[3] == every[:1]
    assert classifier.labels == LABELS
    assert sum(row) == pytest.approx(1)


def test_nothing_gives_nothing(classifiers):
    classifier = classifiers["ast"]
    assert classifier([]) == []
    assert classifier.predict_proba([]).shape == (0, len(LABELS))
    assert len(classifier.embed([])) == 0


def test_it_opens_as_classifier_and_from_pretrained(folds, files):
    assert Classifier is AudioClassifier is petl_modules.AudioClassifier
    for opened in (
        Classifier(folds["ast"]),
        AudioClassifier.from_pretrained(folds["ast"].parent),
        AudioClassifier.from_pretrained(str(folds["ast"]), device="cpu"),
    ):
        assert opened.folder == folds["ast"]
        assert opened(files[0], top=1)[0][0] in LABELS


def test_from_pretrained_takes_another_place_of_the_backbone(
    folds, tiny_ast, tmp_path, files
):
    moved = shutil.copytree(tiny_ast, tmp_path / "moved")
    found = AudioClassifier.from_pretrained(folds["ast"], backbone=moved)
    assert found(files[0]) == AudioClassifier(folds["ast"])(files[0])


# Vectors


def test_vectors_are_what_the_head_reads(classifier, files):
    vectors = classifier.embed(files)
    width = classifier.trained.model.encoder.d_out
    assert vectors.shape == (14, width)
    with torch.inference_mode():
        head = classifier.trained.model.head
        found = head(torch.from_numpy(vectors)).softmax(-1)
    expected = classifier.predict_proba(files)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["ast", "wav2vec2", "windows"])
def test_vectors_of_layers_are_means_of_their_states(name, classifiers, files):
    classifier = classifiers[name]
    found = classifier.embed(files[:6], layers=True, batch_size=3)
    run = classifier.trained
    for path, vectors in zip(files, found):
        samples = read_audio(path, RATE)
        features = window_features(run.windows, run.features, samples)
        if run.windows.test == 1:
            features = features[None]
        with torch.inference_mode():
            states, _ = run.model.encoder(features, all_layers=True)
        expected = torch.stack([s.mean(1).mean(0) for s in states])
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        found[:, -1], classifier.embed(files[:6]), rtol=0, atol=1e-5
    )


# What is odd


def test_cut_and_odd_sounds_are_warned_of(classifiers, files, caplog):
    classifier = classifiers["ast"]
    silent = np.zeros(RATE), RATE
    with caplog.at_level(logging.WARNING):
        classifier([files[4], silent])
        classifier(silent)
        classifier(files[4])
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"sound 1 of 2: {files[4]}: longer than 1.015 s: the first 1.015 s are "
        "used",
        "sound 2 of 2: there is nothing but silence, or a constant",
        "the sound: there is nothing but silence, or a constant",
        f"{files[4]}: longer than 1.015 s: the first 1.015 s are used",
    ]


def test_a_bad_sound_is_named_by_its_place(classifiers, files, tmp_path):
    classifier = classifiers["ast"]
    bad = (np.zeros(9, "int16"), RATE)
    with pytest.raises(AudioError, match="^sound 3 of 4: its samples are int"):
        classifier([files[0], files[1], bad, files[2]])
    with pytest.raises(AudioError, match="^sound 2 of 2: no.wav: No such"):
        classifier.embed([files[0], "no.wav"])
    with pytest.raises(AudioError, match="^no.wav: No such file"):
        classifier("no.wav")


def test_outputs_that_are_not_finite_are_refused(folds, files, monkeypatch):
    classifier = AudioClassifier(folds["ast"])
    features = classifier.trained.features

    def infinite(samples):
        values = features(samples)
        return values if len(samples) > 500 else values * float("nan")

    infinite.sample_rate = features.sample_rate
    classifier.trained.features = infinite
    with pytest.raises(AudioError, match="sound 2 of 2: .*are not finite"):
        classifier([files[1], files[0]])
    found = dict(classifier.each(zip("abc", files[:3]), batch_size=2))
    assert isinstance(found["a"], AudioError) and len(found["b"]) == len(LABELS)
    for name, row in (("b", found["b"]), ("c", found["c"])):
        alone = classifier.predict_proba(files["abc".index(name)])[0]
        np.testing.assert_allclose(row, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "values", [{"top": 0}, {"top": 1.5}, {"batch_size": 0}, {"batch_size": "8"}]
)
def test_wrong_numbers_are_refused(values, classifiers, files):
    (name,) = values
    with pytest.raises(HparamsError, match=name):
        classifiers["ast"](files[:2], **values)


def test_runs_of_other_tasks_are_refused(tiny_ast, tmp_path):
    fold = write_run(
        tmp_path, "linear", tiny_ast, template="speaker_verification"
    )
    with pytest.raises(HparamsError, match="petl_modules.verify"):
        AudioClassifier(fold)


# Batches


def test_batches_have_similar_lengths_and_a_bound():
    lengths = [3, 50, 4, 49, 5, 51, 200]
    sounds = [
        batches.Prepared(str(i), torch.zeros(n), n)
        for i, n in enumerate(lengths)
    ]
    found = [*batches._batches(sounds, 4)]
    assert sorted(place for batch in found for place in batch) == [*range(7)]
    assert [[lengths[i] for i in batch] for batch in found] == [
        [200],
        [51, 50],
        [49, 5],
        [4, 3],
    ]
    for batch in found:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= 4 * batches.SECONDS


def test_few_sounds_wait_for_the_model():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    found = prefetch.prefetched(lambda number: number + 1, items(), ahead=5)
    for count in range(1, 20):
        assert next(found) == count
        assert len(taken) <= count + 5
    found.close()


def test_errors_of_workers_are_raised():
    found = prefetch.prefetched(lambda x: 1 / x, [1, 1, 0, 1], ahead=2)
    with pytest.raises(ZeroDivisionError):
        [*found]


# Imports


@pytest.mark.parametrize("module", ["petl_modules", "petl_modules.blocks"])
def test_imports_are_light(module):
    code = f"import {module}, sys; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    tops = {name.partition(".")[0] for name in found.stdout.split()}
    assert not tops & {"transformers", "speechbrain", "hyperpyyaml"}
    assert module != "petl_modules" or "torch" not in tops


# Other folders


def test_an_exported_folder_opens(folds, files, tmp_path):
    export(folds["ast"], tmp_path / "out", "petl")
    expected = AudioClassifier(folds["ast"]).predict_proba(files)
    found = AudioClassifier.from_pretrained(tmp_path / "out")
    assert found.labels == LABELS
    np.testing.assert_allclose(
        found.predict_proba(files), expected, rtol=0, atol=1e-6
    )


def test_an_ensemble_of_folds_classifies_and_does_not_embed(
    tiny_ast, files, tmp_path
):
    for fold in (1, 2):
        folder = write_run(
            tmp_path / "run", "bottleneck", tiny_ast, fold=fold, seed=fold
        )
    export(folder.parent, tmp_path / "out", "petl", fold="all")
    ensemble = AudioClassifier.from_pretrained(tmp_path / "out")
    found = ensemble.predict_proba(files[:4], batch_size=3)
    alone = [ensemble.predict_proba(file)[0] for file in files[:4]]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6)
    for layers in (False, True):
        with pytest.raises(HparamsError, match="open one fold"):
            ensemble.embed(files[:2], layers=layers)
