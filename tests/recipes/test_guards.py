"""Faults that must not pass in silence, and several processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from petl_modules.models import read_trained
from petl_modules.utils import read_csv
from tests.sampling import sample

ROOT = Path(__file__).resolve().parents[2]


def folds_of(folder):
    return json.loads((folder / "summary.json").read_text())["folds"]


# Losses that are not finite


@pytest.fixture
def poisoned(esc50, monkeypatch):
    """Makes the loss of a clip NaN, in training or in evaluation."""

    def poison(clip, training=True):
        usual = esc50.ESC50Brain.compute_forward

        def forward(brain, batch, stage):
            logits = usual(brain, batch, stage)
            if clip in batch.id and brain.modules.training == training:
                rows = torch.tensor([name == clip for name in batch.id])
                logits = logits.masked_fill(rows.unsqueeze(1), float("nan"))
            return logits

        monkeypatch.setattr(esc50.ESC50Brain, "compute_forward", forward)

    return poison


def a_training_clip(corpus):
    """A clip of fold 2, which trains when fold 1 tests."""
    rows = read_csv(Path(corpus) / "meta" / "esc50.csv")
    return next(r["filename"] for r in rows if r["fold"] == "2")[:-4]


def test_loss_that_is_not_finite_names_its_clips(
    esc50, words, corpus, poisoned, tmp_path
):
    clip = a_training_clip(corpus)
    poisoned(clip)
    with pytest.raises(SystemExit, match=f"loss is nan in step.*{clip}"):
        esc50.main(words("lora", output_folder=tmp_path))


@pytest.mark.parametrize(("stage", "fold"), [("valid", "5"), ("test", "1")])
def test_loss_that_is_not_finite_in_evaluation_names_its_clip(
    stage, fold, esc50, words, corpus, poisoned, tmp_path
):
    rows = read_csv(Path(corpus) / "meta" / "esc50.csv")
    clip = next(r["filename"] for r in rows if r["fold"] == fold)[:-4]
    poisoned(clip, training=False)
    with pytest.raises(
        SystemExit, match=rf"the {stage} loss is nan.* 1 clips: {clip}\. "
    ):
        esc50.main(words("lora", output_folder=tmp_path))


def test_steps_can_be_left_out(esc50, words, corpus, poisoned, tmp_path, capfd):
    clip = a_training_clip(corpus)
    poisoned(clip)
    line = words("lora", output_folder=tmp_path, nonfinite_patience=1)
    esc50.main(line)
    log = (tmp_path / "fold1" / "log.txt").read_text()
    assert "This update is skipped" in log and clip in log
    state, _ = read_trained(tmp_path / "fold1" / "model.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    assert folds_of(tmp_path)[0]["train_loss"] > 0


@pytest.mark.parametrize(("lr", "told"), [(3.0, True), (1e-3, False)])
def test_a_run_that_learns_nothing_is_told(lr, told, esc50, words, tmp_path):
    line = words("linear", output_folder=tmp_path, lr=lr, number_of_epochs=2)
    esc50.main(line)
    log = (tmp_path / "fold1" / "log.txt").read_text()
    assert ("is not below that of the first step" in log) == told


# Audio that cannot be read


@pytest.fixture
def spoilt(corpus, tmp_path):
    """A data folder with a training and a test clip that are no audio."""
    data = shutil.copytree(corpus, tmp_path / "data")
    rows = read_csv(data / "meta" / "esc50.csv")
    bad = [
        next(row["filename"] for row in rows if row["fold"] == fold)
        for fold in ("1", "2")
    ]
    for name in bad:
        (data / "audio" / name).write_bytes(b"junk")
    return data, sorted(name[:-4] for name in bad)


@pytest.fixture
def line(words, spoilt, tmp_path):
    """Gives the words of a run on the spoilt data."""

    def line(**changes):
        return words(
            "linear",
            data_folder=spoilt[0],
            manifest_folder=tmp_path / "manifests",
            output_folder=tmp_path / "out",
            **changes,
        )

    return line


def test_clips_that_cannot_be_read_refuse_the_run(esc50, line, spoilt):
    data, bad = spoilt
    with pytest.raises(SystemExit) as end:
        esc50.main(line())
    assert str(end.value).startswith("error: 2 of 50 audio files cannot be")
    assert all(
        f"{data / 'audio' / clip}.wav: " in str(end.value) for clip in bad
    )
    assert "Traceback" not in str(end.value)


@pytest.mark.parametrize("once", [True, False])
def test_clips_can_be_left_out(once, esc50, line, spoilt, tmp_path, caplog):
    _, bad = spoilt
    changes = {} if once else {"test_batch_size": 1}
    esc50.main(line(skip_bad_audio=True, pool_once=once, **changes))
    assert "2 of 50 clips of ESC50 cannot be read" in caplog.text
    assert all(clip in caplog.text for clip in bad)
    assert folds_of(tmp_path / "out")[0]["skipped_clips"] == bad
    tested = read_csv(tmp_path / "out" / "fold1" / "predictions.csv")
    assert len(tested) == 9 and not {row["id"] for row in tested} & {*bad}
    (lines,) = (tmp_path / "manifests").glob("*.bad_audio.txt")
    assert [x.split("\t")[0] for x in lines.read_text().splitlines()] == bad


@pytest.mark.parametrize("workers", sample([0, 1], [1]))
def test_clip_that_breaks_after_preparation_ends_the_run(
    workers, esc50, words, corpus, tmp_path, monkeypatch
):
    data = shutil.copytree(corpus, tmp_path / "data")
    (name, *_) = sorted(
        row["filename"]
        for row in read_csv(data / "meta" / "esc50.csv")
        if row["fold"] == "2"
    )
    usual = esc50.prepare_esc50

    def prepare(**options):
        found = usual(**options)
        (data / "audio" / name).write_bytes(b"junk")
        return found

    monkeypatch.setattr(esc50, "prepare_esc50", prepare)
    changes = {"manifest_folder": tmp_path, "num_workers": workers}
    with pytest.raises(SystemExit) as end:
        esc50.main(
            words(
                "linear",
                data_folder=data,
                output_folder=tmp_path / "out",
                **changes,
            )
        )
    assert str(end.value).startswith(f"error: {data / 'audio' / name}:")
    assert "Traceback" not in str(end.value)


# What is frozen


def test_debug_run_finds_what_should_not_change(
    esc50, words, tmp_path, monkeypatch
):
    usual = esc50.ESC50Brain.on_fit_batch_end

    def meddle(brain, *args):
        usual(brain, *args)
        layer = brain.hparams.model.encoder.backbone.sites.module(
            "layers.0.key"
        )
        layer.weight.data.add_(1e-6)

    monkeypatch.setattr(esc50.ESC50Brain, "on_fit_batch_end", meddle)
    with pytest.raises(RuntimeError, match="frozen, and yet changed: .*k_proj"):
        esc50.main([*words("lora", output_folder=tmp_path), "--debug"])


@pytest.mark.parametrize(
    "file", sample(["conformer", "bitfit", "prompt_deep"], ["conformer"])
)
def test_debug_run_finds_nothing_else(file, esc50, words, tmp_path):
    esc50.main([*words(file, output_folder=tmp_path), "--debug"])


# Several processes, on the CPU


PLAIN = """\
base: {file}.yaml
lr: 0.05
opt_class: !name:torch.optim.SGD
    lr: !ref <lr>
augment: !new:torch.nn.Identity
"""


RECIPE = ROOT / "recipes" / "ESC50" / "train.py"
# Runs the recipe, and fails if threads of the group outlive it
WATCHED = f"""\
import atexit
import os
import runpy
import sys
from pathlib import Path

from petl_modules.runs import Experiment

def threads():
    names = [p.read_text() for p in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]

def last_look():
    print(before, threads(), file=sys.stderr, flush=True)
    os._exit(1 if threads() or not before else 0)

def fail(*args):
    raise RuntimeError("on purpose")

atexit.register(last_look)  # called behind what is registered later
sys.path.insert(0, {str(RECIPE.parent)!r})
if BROKEN:
    Experiment.finish_fold = fail
try:
    runpy.run_path({str(RECIPE)!r}, run_name="__main__")
finally:
    before = threads()
"""


def train(tmp_path, words, name, file, script=RECIPE, **changes):
    """Run a recipe in two processes."""
    (tmp_path / f"{file}_sgd.yaml").write_text(PLAIN.format(file=file))
    line = words("x", output_folder=tmp_path / name, **changes)[1:]
    launch = ["-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node=2"]
    run = subprocess.run(
        [sys.executable, *launch, script, tmp_path / f"{file}_sgd.yaml"]
        + [*line, "--distributed_backend=gloo"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return tmp_path / name


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", sample(["conformer", "soft_moa", "prefix"], ["conformer"])
)
def test_two_processes_learn_what_one_does(file, esc50, words, tmp_path):
    """30 clips in steps of 8 together: the last step has 6, 3 each."""
    two = train(tmp_path, words, "two", file, batch_size=4)
    one = tmp_path / "one"
    line = words("x", output_folder=one, batch_size=8)[1:]
    esc50.main([str(tmp_path / f"{file}_sgd.yaml"), *line])
    states = [
        read_trained(f / "fold1/model.safetensors")[0] for f in (one, two)
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(
            states[1][name], value, rtol=1e-3, atol=1e-5, msg=name
        )
    folds = [folds_of(folder)[0] for folder in (one, two)]
    for key in ("train_loss", "valid_loss", "test_loss"):
        assert folds[0][key] == pytest.approx(folds[1][key], rel=1e-3)
    for key in ("train_accuracy", "valid_accuracy", "test_accuracy"):
        assert folds[0][key] == folds[1][key]
    rows = read_csv(two / "fold1" / "predictions.csv")
    assert len(rows) == len({row["id"] for row in rows}) == 10


@pytest.mark.whole
@pytest.mark.slow
def test_two_processes_in_debug_mode(words, tmp_path):
    train(tmp_path, words, "out", "lora", debug=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are in /proc")
@pytest.mark.parametrize("broken", [False, True])
def test_two_processes_leave_no_thread_behind(broken, words, tmp_path):
    """One that lets go of a tensor as the interpreter ends aborts it."""
    script = tmp_path / "watched.py"
    script.write_text(WATCHED.replace("BROKEN", str(broken)))
    out = train(tmp_path, words, "out", "lora", script)
    assert (out / "summary.json").exists() != broken


def test_gathered_gradients_are_those_of_a_large_batch(
    esc50, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("soft_moa_sgd.yaml").write_text(PLAIN.format(file="soft_moa"))
    states = []
    for batch, factor in ((8, 1), (4, 2)):
        line = words(
            "x",
            output_folder=f"out{batch}",
            batch_size=batch,
            grad_accumulation_factor=factor,
        )[1:]
        esc50.main(["soft_moa_sgd.yaml", *line])
        state, _ = read_trained(f"out{batch}/fold1/model.safetensors")
        states.append(state)
    for name, value in states[0].items():
        torch.testing.assert_close(
            states[1][name], value, rtol=1e-4, atol=1e-6, msg=name
        )
