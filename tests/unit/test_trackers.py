"""Loggers of a fold: the text, and trackers that lose and repeat nothing."""

import re
import sys
from pathlib import Path

import pytest
from speechbrain.utils.train_logger import FileTrainLogger

from petl_modules.runs import FoldLogger
from petl_modules.runs.checks import check_values
from petl_modules.runs.trackers import require_tracker
from petl_modules.utils import DataError, HparamsError, read_json
from tests import trackers

ROOT = Path(__file__).resolve().parents[2]
NAME = "my sounds/ast/lora/10/fold1"
PACKAGES = ("tensorboard", "wandb", "trackio")


@pytest.fixture
def begin(tmp_path):
    """Make the logger of a fold, as a run does when it begins or resumes."""
    settings = tmp_path / "hyperparams.yaml"
    settings.write_text("{lr: 0.5, at: [ffn], fold: x, __seed: 1, cut: 1e-3}")

    def made(tracker):
        return FoldLogger(tmp_path / "fold1", tracker, NAME, settings)

    made.folder = tmp_path / "fold1"
    made.folder.mkdir()
    return made


def log_epoch(fold_logger, epoch, saved=True):
    """Log an epoch, and save a checkpoint behind it."""
    value = 1 / epoch
    fold_logger.log_stats(
        {"epoch": epoch, "lr": 0.1 * value},
        {"loss": value, "accuracy": 0.5},
        {"loss": 2 * value, "accuracy": 0.25 * value},
    )
    if saved:
        (fold_logger.folder / "save" / "CKPT+1").mkdir(
            parents=True, exist_ok=True
        )


def log_tests(fold_logger):
    """Log the tests of the fifth epoch, the last one, and of the third."""
    fold_logger.log_stats(
        {"epoch": 5, "selected": False}, test_stats={"loss": 0.75}
    )
    fold_logger.log_stats(
        {"epoch": 3, "selected": True}, test_stats={"loss": 0.625}
    )


def run_killed_twice(begin, kind):
    """Log five epochs and the tests, in three processes.

    The first is killed behind the second checkpoint, the next one between the
    epoch's line and its checkpoint, the last one in the test.
    """
    first = begin(kind)
    log_epoch(first, 1)
    log_epoch(first, 2)
    second = begin(kind)
    log_epoch(second, 3)
    log_epoch(second, 4, saved=False)
    third = begin(kind)
    log_epoch(third, 4)
    log_epoch(third, 5)
    third.log_stats({"epoch": 5, "selected": False}, test_stats={"loss": 0.75})
    log_tests(begin(kind))


def require_equal(found, folder):
    """Require a tracker's values to be those of the text log, each once."""
    expected = trackers.text_values(folder)
    found.pop("epoch", None), expected.pop("epoch")
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [s for s, _ in points], name
        values = [value for _, value in found[name]]
        # Text has two decimals
        assert values == pytest.approx([x for _, x in points], rel=5e-3), name


def test_text_is_speechbrains(begin, tmp_path):
    for fold_logger in (begin("none"), FileTrainLogger(tmp_path / "theirs")):
        fold_logger.log_stats({"epoch": 1, "lr": 0.5}, {"loss": 2.0}, None)
        fold_logger.log_stats({"epoch": 1}, test_stats={"loss": 1e-9})
    text = (tmp_path / "theirs").read_text()
    assert (begin.folder / "train_log.txt").read_text() == text
    assert [x.name for x in begin.folder.iterdir()] == ["train_log.txt"]


@pytest.mark.parametrize("kind", PACKAGES)
def test_missing_package_is_named_before_training(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, kind, None)
    for name in [x for x in sys.modules if x.startswith("torch.utils.tensorb")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(HparamsError, match=f"python -m pip install {kind}, or"):
        require_tracker(kind)


def test_a_folder_is_no_package(tmp_path, monkeypatch):
    """The one that wandb writes, where it is not installed."""
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (tmp_path / "wandb").mkdir()
    with pytest.raises(HparamsError, match="python -m pip install wandb"):
        require_tracker("wandb")
    del sys.modules["wandb"]


def test_unknown_tracker_is_refused():
    with pytest.raises(
        HparamsError, match="logger 'mlflow' is none of: none, "
    ):
        check_values({"logger": "mlflow"})


# For real


def test_tensorboard_has_each_epoch_once(begin):
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    run_killed_twice(begin, "tensorboard")
    require_equal(trackers.tensorboard_values(begin.folder), begin.folder)


def test_wandb_has_each_epoch_once(begin):
    pytest.importorskip("wandb", reason="pip install wandb")
    run_killed_twice(begin, "wandb")
    require_equal(trackers.wandb_values(begin.folder), begin.folder)
    files = [*begin.folder.glob("wandb/offline-run-*/run-*.wandb")]
    assert len(files) == 4 and len({file.name for file in files}) == 1


def test_trackio_has_each_epoch_once(begin, tmp_path, monkeypatch):
    pytest.importorskip("trackio", reason="pip install trackio")
    for module in ("utils", "sqlite_storage"):
        place = f"trackio.{module}.TRACKIO_DIR"
        monkeypatch.setattr(place, tmp_path / "trackio")
    run_killed_twice(begin, "trackio")
    found = trackers.trackio_values(tmp_path / "trackio" / "my-sounds.db")
    require_equal(found, begin.folder)


# With stand-ins


@pytest.fixture
def fake(monkeypatch):
    """A stand-in for a package, which has all steps up to one."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)

    def made(kind, last_step=-1):
        module = trackers.FakeModule(last_step)
        monkeypatch.setitem(sys.modules, kind, module)
        return module

    return made


def test_a_killed_offline_run_of_wandb_is_begun_anew(begin, fake):
    wandb = fake("wandb")
    run_killed_twice(begin, "wandb")
    assert {run.options["id"] for run in wandb.runs} == {
        read_json(begin.folder / "tracker.json", {"id": str}, "")["id"]
    }
    assert [run.ended for run in wandb.runs] == [False, False, False, True]
    last = wandb.runs[-1]
    assert [step for step, _ in last.told] == [1, 2, 3, 4, 5, None]
    assert last.told[1][1] == {
        "epoch": 2,
        "lr": 0.05,
        "train": {"loss": 0.5, "accuracy": 0.5},
        "valid": {"loss": 1.0, "accuracy": 0.125},
    }
    assert last.told[-1][1] == {
        "best_epoch": 3,
        "test": {"loss": 0.625, "last_epoch_loss": 0.75},
    }
    assert last.options["config"] == {"lr": 0.5, "fold": "fold1", "cut": 1e-3}
    assert last.options["name"] == NAME
    assert last.options["project"] == "my-sounds"
    assert last.options["mode"] == "offline"
    assert last.options["dir"] == str(begin.folder)


def test_wandb_goes_online_where_its_variables_say_so(
    begin, fake, monkeypatch, caplog
):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    wandb = fake("wandb")
    with caplog.at_level("INFO"):
        begin("wandb")
    assert wandb.runs[0].options["mode"] == "online"
    assert wandb.runs[0].options["project"] == "mine"
    assert f"{NAME}: https://there" in caplog.text


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_what_a_server_has_is_not_told_again(kind, begin, fake):
    fake(kind)
    first = begin(kind)
    for epoch in range(1, 5):
        log_epoch(first, epoch)
    module = fake(kind, last_step=3)  # the fourth was under way at the kill
    second = begin(kind)
    log_epoch(second, 4)
    log_epoch(second, 5)
    log_tests(second)
    told = [step for step, _ in module.runs[0].told]
    assert told == [4, 5, None if kind == "wandb" else 6]


def test_tests_that_a_server_has_are_not_told_again(begin, fake):
    fake("trackio")
    log_epoch(begin("trackio"), 5)
    trackio = fake("trackio", last_step=6)
    log_tests(begin("trackio"))
    assert trackio.runs[0].told == []


def test_names_of_trackio_differ_as_it_knows_no_ids(begin, fake):
    trackio = fake("trackio")
    for _ in range(2):
        log_epoch(begin("trackio"), 1, saved=False)
    names = [run.options["name"] for run in trackio.runs]
    assert all(re.fullmatch(f"{NAME} [0-9a-f]{{8}}", name) for name in names)
    # Without a checkpoint the epoch is another one's
    assert names[0] != names[1]
    assert [step for step, _ in trackio.runs[1].told] == [1]


def test_a_run_killed_before_its_first_epoch_keeps_its_id(begin, fake):
    wandb = fake("wandb")
    begin("wandb")
    begin("wandb")
    assert len({run.options["id"] for run in wandb.runs}) == 1


def test_a_refusal_is_named(begin, fake):
    wandb = fake("wandb")

    def refuse(**_):
        raise LookupError("No API key configured")

    wandb.init = refuse
    with pytest.raises(HparamsError, match="^logger wandb: LookupE.*No API"):
        begin("wandb")


def test_damaged_record_is_named(begin, fake):
    fake("wandb")
    log_epoch(begin("wandb"), 1)
    (begin.folder / "tracker.json").write_text("{}")
    with pytest.raises(DataError, match="tracker.json is damaged.*Remove it"):
        begin("wandb")


def test_other_processes_log_nothing(begin, fake, monkeypatch):
    wandb = fake("wandb")
    place = "speechbrain.utils.distributed.if_main_process"
    monkeypatch.setattr(place, lambda: False)
    log_epoch(begin("wandb"), 1, saved=False)
    assert not (begin.folder / "tracker.json").exists() and not wandb.runs


def test_processes_wait_for_each_other_as_often(begin, fake, monkeypatch):
    """SpeechBrain's loggers broadcast what they return."""
    fake("wandb")
    meetings = []
    place = "speechbrain.utils.distributed.is_distributed_initialized"
    monkeypatch.setattr(place, lambda: True)
    monkeypatch.setattr(
        "torch.distributed.broadcast_object_list",
        lambda *_, **__: meetings.append(rank),
    )
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        log_epoch(begin("wandb"), 1)
        log_tests(begin("wandb"))
    assert meetings.count("0") == meetings.count("1") == 5


def test_what_is_no_number_is_left_out(begin, fake):
    """It would make a record that cannot be read."""
    wandb = fake("wandb")
    begin("wandb").log_stats({"epoch": 1}, {"loss": 0.5, "f1": float("nan")})
    begin("wandb")
    assert wandb.runs[0].told == [(1, {"epoch": 1, "train": {"loss": 0.5}})]


def test_fixed_epochs_have_no_validation(begin, fake):
    wandb = fake("wandb")
    begin("wandb").log_stats({"epoch": 1}, {"loss": 0.5}, None)
    assert wandb.runs[0].told == [(1, {"epoch": 1, "train": {"loss": 0.5}})]


@pytest.mark.parametrize(
    "file",
    [
        file
        for file in sorted(ROOT.glob("*/*/hparams/*.yaml"))
        if "\ntrain_logger:" in file.read_text("utf-8")
    ],
    ids=lambda file: f"{file.parts[-3]}-{file.stem}",
)
def test_every_base_has_the_key(file):
    text = file.read_text("utf-8")
    assert (
        "\nlogger: none " in text and "\n    tracker: !ref <logger>\n" in text
    )
    (folder,) = re.findall("\noutput_folder: !ref results/(.*)", text)
    assert f"\n    name: !ref {folder}/<fold>\n" in text
