"""Which errors are shown as one line, and which keep their traceback."""

import logging
import os
import sys
from pathlib import Path

import pytest
import torch

from petl_modules.blocks import Bottleneck
from petl_modules.runs import plain_errors
from petl_modules.utils import (
    AudioError,
    DataError,
    DownloadError,
    UserError,
)


def log_of(folder):
    return (folder / "log.txt").read_text(encoding="utf-8")


def test_bug_in_a_block_keeps_its_traceback(
    esc50, words, tmp_path, monkeypatch
):
    def forward(block, x, *others, **more):
        return torch.nn.BatchNorm1d(4)(torch.randn(1, 4))

    monkeypatch.setattr(Bottleneck, "forward", forward)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        esc50.main(words("bottleneck", output_folder=tmp_path))
    log = log_of(tmp_path / "fold1")
    assert "Traceback" in log and "Expected more than 1 value" in log
    assert "Traceback" not in log_of(tmp_path)


def test_wrong_argument_of_a_block_is_one_line(esc50, words, tmp_path):
    line = words("bottleneck", output_folder=tmp_path, reduction=0)
    with pytest.raises(SystemExit, match="^error: .*reduction 0"):
        esc50.main(line)
    assert "HparamsError" in log_of(tmp_path)
    assert not (tmp_path / "fold1").exists()


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("lora", "rank", 0),
        ("lora", "at", "[nowhere]"),
        ("bottleneck", "reduction", -3),
        ("prefix", "layers", "last_99"),
    ],
)
def test_wrong_method_is_known_before_the_data_are_read(
    file, key, value, esc50, words, tmp_path
):
    line = words(file, output_folder=tmp_path, data_folder="nowhere")
    with pytest.raises(SystemExit) as end:
        esc50.main([*line, f"--{key}={value}"])
    text = str(end.value)
    assert "there is no" not in text and str(value).strip("[]") in text


@pytest.mark.parametrize("kind", [DataError, ValueError])
@pytest.mark.parametrize("stage", ["prepare", "plan", "summary"])
def test_any_error_is_in_the_log(
    kind, stage, esc50, words, tmp_path, monkeypatch
):
    def fail(*args, **options):
        raise kind("on purpose")

    target = {
        "prepare": f"{esc50.__name__}.prepare_esc50",
        "plan": "petl_modules.runs.experiment.Experiment.unfinished",
        "summary": "petl_modules.runs.experiment.write_summary",
    }[stage]
    monkeypatch.setitem(sys.modules, esc50.__name__, esc50)
    monkeypatch.setattr(target, fail)
    shown = SystemExit if kind is DataError else ValueError
    with pytest.raises(shown, match="on purpose") as error:
        esc50.main(words("linear", output_folder=tmp_path))
    assert error.type is shown
    log = log_of(tmp_path)
    assert "Traceback" in log and f"{kind.__name__}: on purpose" in log


def test_a_run_leaves_the_process_as_it_was(esc50, words, tmp_path):
    def state():
        return sys.excepthook, os.environ["PATH"], [*logging.root.handlers]

    before = state()
    esc50.main(words("linear", output_folder=tmp_path))
    assert state() == before


def test_run_of_an_earlier_version_is_not_resumed(esc50, words, tmp_path):
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "result.json").write_text("{}")
    old = "lr: 0.1\ntuned_model: !new:petl_modules.tuned_model.TunedModel\n"
    (tmp_path / "hyperparams.yaml").write_text(old)
    with pytest.raises(SystemExit, match="earlier version.*predict") as end:
        esc50.main(words("linear", output_folder=tmp_path))
    assert "lr: 0.1" not in str(end.value)
    assert (tmp_path / "hyperparams.yaml").read_text() == old


@pytest.mark.parametrize(
    "error", [AudioError, DownloadError, PermissionError, UserError]
)
def test_error_of_a_user_is_one_line(error):
    with pytest.raises(SystemExit, match="^error: no such thing$"):
        with plain_errors():
            raise error("no such thing")


@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyError])
def test_other_error_stays_as_it_is(error):
    with pytest.raises(error, match="no such thing"):
        with plain_errors():
            raise error("no such thing")


def test_debug_keeps_the_traceback_of_a_user_error():
    with pytest.raises(DataError):
        with plain_errors(debug=True):
            raise DataError("no such thing")


class Broken(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise AudioError("a.wav: truncated, 3 bytes are missing at its end")


def test_error_of_a_worker_is_one_line():
    loader = torch.utils.data.DataLoader(Broken(), num_workers=1)
    with pytest.raises(SystemExit) as end:
        with plain_errors():
            next(iter(loader))
    assert str(end.value) == (
        "error: a.wav: truncated, 3 bytes are missing at its end"
    )


def test_interrupted_run_says_how_to_resume(capsys):
    with pytest.raises(SystemExit, match="^130$"):
        with plain_errors():
            raise KeyboardInterrupt
    assert "the same command resumes" in capsys.readouterr().err


def test_every_error_of_the_package_is_a_user_error():
    source = Path(sys.modules[UserError.__module__].__file__).read_text()
    kinds = [
        kind
        for name, kind in vars(sys.modules[UserError.__module__]).items()
        if isinstance(kind, type) and f"class {name}(" in source
    ]
    assert len(kinds) >= 6
    assert all(issubclass(kind, UserError) for kind in kinds)
