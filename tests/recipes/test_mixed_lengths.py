"""wav2vec 2.0 base is tested in batches as it is tested clip by clip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from petl_modules.backbones import Wav2Vec2
from petl_modules.training import ClassificationMetrics
from petl_modules.utils import read_csv
from tests.sampling import sample

ROOT = Path(__file__).resolve().parents[2]
# Rate and samples of the test clips, which are cut to 16,000 at 16 kHz
SHAPES = (
    (16_000, 8_000),
    (16_000, 24_000),
    (16_000, 8_001),
    (44_100, 22_050),
    (16_000, 8_000),
    (8_000, 10_000),
)


def clips_of(data):
    """The test clips in the order of the manifest."""
    names = (data / "testing_list.txt").read_text().split()
    return sorted(name.removesuffix(".wav") for name in names)


def predicted(folder):
    """The clips of a run's predictions, in their order."""
    rows = read_csv(folder / "fold1" / "predictions.csv")
    return [row["id"] for row in rows]


@pytest.fixture(scope="module")
def mixed(places, tmp_path_factory):
    """Speech Commands with clips of many lengths and rates."""
    data = tmp_path_factory.mktemp("mixed") / "data"
    shutil.copytree(places["speech_commands_v0.02"], data)
    rng = np.random.default_rng(0)
    for clip, (rate, samples) in zip(clips_of(data), SHAPES, strict=True):
        noise = 0.1 * rng.standard_normal(samples)
        soundfile.write(data / f"{clip}.wav", noise, rate)
    listed = (data / "validation_list.txt").read_text()
    others = {f"{clip}.wav" for clip in clips_of(data)} | {*listed.split()}
    paths = sorted(data.glob("[a-z]*/[!.]*.wav"))
    paths = [p for p in paths if p.relative_to(data).as_posix() not in others]
    for place, path in enumerate(paths):
        rate, samples = SHAPES[place % len(SHAPES)]
        soundfile.write(path, 0.1 * rng.standard_normal(samples), rate)
    return data


@pytest.fixture
def line(mixed, places, tmp_path):
    """Gives a command line without the script."""

    def words(stem, folder, **changes):
        options = {
            "data_folder": mixed,
            "manifest_folder": tmp_path / "manifests",
            "backbone": places["tiny-wav2vec2"],
            "output_folder": folder,
            "allow_partial": True,
            "number_of_epochs": 1,
            "batch_size": 8,
            "num_workers": 0,
            "device": "cpu",
            **changes,
        }
        return [
            f"hparams/{stem}.yaml",
            "--base=wav2vec2.yaml",
            *(f"--{key}={value}" for key, value in options.items()),
            "--noprogressbar",
        ]

    return words


@pytest.fixture
def evaluated(monkeypatch):
    """Shapes of what the backbone gets without a graph."""
    shapes, forward = [], Wav2Vec2.forward

    def spied(self, inputs, lengths=None):
        if not torch.is_grad_enabled():
            shapes.append(tuple(inputs.shape))
        return forward(self, inputs, lengths)

    monkeypatch.setattr(Wav2Vec2, "forward", spied)
    return shapes


# Batches of 3, longest first: two clips that are cut and the one of 8,001
# samples, then the three of 8,000
TESTED = [(3, 16_000), (3, 8_000)]


@pytest.mark.parametrize("workers", sample([0, 2], [2]))
def test_test_is_that_of_clip_by_clip(
    workers, script, mixed, line, evaluated, tmp_path, monkeypatch
):
    gsc = script("recipes/GSC/train.py")
    seen, append = {}, ClassificationMetrics.append

    def spied(self, clips, logits, *others):
        seen.update(zip(clips, logits.detach()))
        append(self, clips, logits, *others)

    monkeypatch.setattr(ClassificationMetrics, "append", spied)
    logits = []
    for size in (1, 3):
        evaluated.clear()
        options = {"test_batch_size": size, "num_workers": workers}
        gsc.main(line("lora", tmp_path / str(size), **options))
        logits.append(torch.stack([seen[clip] for clip in clips_of(mixed)]))
        assert predicted(tmp_path / str(size)) == clips_of(mixed)
        if size == 1:
            assert {rows for rows, _ in evaluated} == {1}
    assert evaluated == [(3, 8_000), (3, 8_000), *TESTED]
    torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-5)


def test_pooled_features_are_those_of_clip_by_clip(
    script, mixed, line, evaluated, tmp_path, monkeypatch
):
    gsc = script("recipes/GSC/train.py")
    pool, pooled = gsc.pool_once, []
    monkeypatch.setattr(
        gsc, "pool_once", lambda *args: pooled.append(pool(*args)) or pooled[-1]
    )
    for size in (1, 3):
        evaluated.clear()
        gsc.main(line("linear", tmp_path / str(size), test_batch_size=size))
        assert predicted(tmp_path / str(size)) == clips_of(mixed)
    for part, clips in pooled[0][0].items():
        others = pooled[1][0][part]
        assert clips.clips == others.clips
        for one, other in zip(clips, others, strict=True):
            torch.testing.assert_close(
                one["features"], other["features"], rtol=1e-5, atol=1e-5
            )
    # Of all 30 clips, 8 are cut and 4 have 8,001 samples
    batches = [(3, 16_000)] * 3 + [(3, 8_001)] + [(3, 8_000)] * 6
    assert evaluated == batches


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize("stem", ["lora", "linear"])
def test_two_processes_test_every_clip_once(stem, mixed, line, tmp_path):
    words = line(stem, tmp_path / "out", test_batch_size=3, batch_size=4)
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc_per_node=2", ROOT / "recipes" / "GSC" / "train.py", *words]
        + ["--distributed_backend=gloo"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert predicted(tmp_path / "out") == clips_of(mixed)
