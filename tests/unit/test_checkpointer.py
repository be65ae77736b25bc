"""Saves that a kill cannot leave half done, and the one that is selected."""

import itertools
import json
import time
from types import SimpleNamespace

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer

from petl_modules.training import (
    SafeCheckpointer,
    Timer,
    epoch_meta,
    selection_value,
)
from petl_modules.utils import HparamsError, find_damage, seal


@pytest.fixture
def checkpointer(tmp_path):
    layer = torch.nn.Linear(1, 1)
    return SafeCheckpointer(tmp_path / "save", {"layer": layer})


def save_epochs(checkpointer, values, mode="max", num_to_keep=1):
    """Save one checkpoint an epoch, as train.py does."""
    best = {"name": "value", "mode": mode}
    brain = SimpleNamespace(
        checkpointer=checkpointer,
        train_stats={"loss": 1.0},
        hparams=SimpleNamespace(timer=Timer()),
    )
    for epoch, value in enumerate(values, start=1):
        checkpointer.save_and_keep_only(
            meta=epoch_meta(brain, epoch, {"value": value}, best),
            max_keys=["score"],
            num_to_keep=num_to_keep,
        )


def selected(checkpointer):
    return checkpointer.find_checkpoint(max_key="score")


@pytest.mark.parametrize(
    "accuracies, epoch",
    [
        ([0.5], 1),
        ([0.1, 0.5, 0.3], 2),
        ([0.1, 0.2, 0.3], 3),
        ([0.3, 0.2, 0.1], 1),
        ([0.5, 0.5, 0.5], 1),
        ([0.1, 0.5, 0.3, 0.5], 2),
        ([0.0, 0.0], 1),
        ([0.5, 0.1] * 6, 1),
    ],
)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_best_epoch_is_selected_of_equals_the_earliest(
    checkpointer, accuracies, epoch, mode
):
    errors = [1 - accuracy for accuracy in accuracies]
    save_epochs(checkpointer, accuracies if mode == "max" else errors, mode)
    assert selected(checkpointer).meta["epoch"] == epoch


@pytest.mark.parametrize(
    "accuracies, epochs",
    [([0.1, 0.5, 0.3, 0.2], {2, 4}), ([0.1, 0.2, 0.3], {3}), ([1, 1], {1, 2})],
)
def test_the_best_and_the_latest_are_kept(checkpointer, accuracies, epochs):
    save_epochs(checkpointer, accuracies)
    kept = checkpointer.list_checkpoints()
    assert {checkpoint.meta["epoch"] for checkpoint in kept} == epochs


def test_one_more_of_each_can_be_kept(checkpointer):
    save_epochs(checkpointer, [0.1, 0.5, 0.4, 0.3, 0.2, 0.1], num_to_keep=2)
    kept = checkpointer.list_checkpoints()
    assert {checkpoint.meta["epoch"] for checkpoint in kept} == {2, 3, 5, 6}


def test_checkpoints_within_an_epoch_are_not_selected(checkpointer):
    save_epochs(checkpointer, [0.5])
    checkpointer.save_checkpoint(end_of_epoch=False)
    assert selected(checkpointer).meta["epoch"] == 1


@pytest.mark.parametrize(
    ("best", "match"),
    [
        ({"name": "wer", "mode": "min"}, "no metric 'wer'; there are: value"),
        ({"name": "value", "mode": "least"}, "'least' is neither max nor min"),
    ],
)
def test_selection_by_what_is_not_there_is_refused(best, match):
    with pytest.raises(HparamsError, match=match):
        selection_value(best, {"value": 1.0})


def test_each_importance_key_counts_once(checkpointer, monkeypatch):
    """SpeechBrain adds one to a list that is never emptied."""
    calls, find = [], SafeCheckpointer.find_checkpoints

    def counted(self, **options):
        calls.append(options)
        return find(self, **options)

    save_epochs(checkpointer, [0.1] * 5)
    monkeypatch.setattr(SafeCheckpointer, "find_checkpoints", counted)
    checkpointer.save_and_keep_only(max_keys=["score"])
    assert len(calls) == 4  # score and recency, each twice


@pytest.mark.parametrize("lost", ["layer.ckpt", "checksums.json"])
def test_checkpoint_that_is_half_deleted_is_left_out(checkpointer, lost):
    """A kill can end a deletion in its middle."""
    save_epochs(checkpointer, [0.5, 0.4])
    (selected(checkpointer).path / lost).unlink()
    again = SafeCheckpointer(checkpointer.checkpoints_dir)
    assert [c.meta["epoch"] for c in again.list_checkpoints()] == [2]


def test_time_goes_on_after_a_resume(tmp_path):
    (tmp_path / "timer").write_text(json.dumps(100.0))
    timer = Timer()
    timer._load(tmp_path / "timer", end_of_epoch=True)
    assert 100 <= timer.seconds() < 200


def test_latest_is_the_default(checkpointer):
    save_epochs(checkpointer, [0.1, 0.5, 0.3])
    assert checkpointer.find_checkpoint().meta["epoch"] == 3


@pytest.mark.parametrize("hour", [3600, -3600])
def test_latest_is_that_of_the_largest_epoch_and_step(
    checkpointer, hour, monkeypatch
):
    """Saved in this order, by a clock that is put on or back each time."""
    hours, usual = itertools.count(), time.time
    monkeypatch.setattr(time, "time", lambda: usual() + hour * next(hours))
    places = [{"epoch": 2, "step": 9}, {"epoch": 2}, {"epoch": 1}]
    places += [{"epoch": 10, "step": 2}, {"epoch": 9}, {"epoch": 10, "step": 1}]
    for place in places:
        checkpointer.save_checkpoint(meta=place)
    found = [
        {k: v for k, v in c.meta.items() if k in ("epoch", "step")}
        for c in checkpointer.find_checkpoints()
    ]
    assert found == [
        {"epoch": 10, "step": 2},
        {"epoch": 10, "step": 1},
        {"epoch": 9},
        {"epoch": 2},
        {"epoch": 2, "step": 9},
        {"epoch": 1},
    ]
    checkpointer.delete_checkpoints(num_to_keep=1)
    (kept,) = checkpointer.list_checkpoints()
    assert (kept.meta["epoch"], kept.meta["step"]) == (10, 2)


@pytest.mark.parametrize("name", [None, "mine"])
def test_saved_paths_are_the_final_ones(checkpointer, name):
    saved = checkpointer.save_checkpoint(name=name)
    assert saved.path.is_dir() and saved.path.name.startswith("CKPT+")
    assert all(path.is_file() for path in saved.paramfiles.values())


def test_saved_weights_come_back(checkpointer):
    checkpointer.save_checkpoint()
    layer = checkpointer.recoverables["layer"]
    before = layer.weight.clone()
    torch.nn.init.constant_(layer.weight, 5.0)
    checkpointer.recover_if_possible()
    assert torch.equal(layer.weight, before)


class Killed(BaseException):
    """Ends a save in its middle."""


def add_deadly(checkpointer):
    """Adds something whose saving is the end."""

    def die(thing, path):
        raise Killed

    checkpointer.add_recoverable("deadly", object(), custom_save_hook=die)


@pytest.fixture
def killed(checkpointer):
    """One whole checkpoint, and one that a kill left half written."""
    save_epochs(checkpointer, [0.5])
    add_deadly(checkpointer)
    with pytest.raises(Killed):
        save_epochs(checkpointer, [0.9])
    return checkpointer


def test_the_usual_checkpointer_takes_a_half_written_one(tmp_path):
    """The reason for ours; if this fails, SpeechBrain has changed it."""
    usual = Checkpointer(tmp_path)
    add_deadly(usual)
    with pytest.raises(Killed):
        usual.save_checkpoint(meta={"score": 0.9})
    assert usual.find_checkpoint() is not None


def test_half_written_checkpoint_is_there(killed):
    assert any(killed.checkpoints_dir.glob("unfinished-*"))


def test_half_written_checkpoint_is_not_listed(killed):
    epochs = [c.meta["epoch"] for c in killed.list_checkpoints()]
    assert epochs == [1]


def test_half_written_checkpoint_is_removed_by_the_next_run(killed):
    SafeCheckpointer(killed.checkpoints_dir)
    assert not any(killed.checkpoints_dir.glob("unfinished-*"))


def test_whole_checkpoint_is_left_by_the_next_run(killed):
    again = SafeCheckpointer(killed.checkpoints_dir)
    assert again.find_checkpoint().meta["score"] == [0.5, -1]


@pytest.fixture
def sealed(tmp_path):
    """A folder of two files, sealed."""
    torch.manual_seed(0)
    torch.save(torch.randn(100), tmp_path / "model.ckpt")
    (tmp_path / "CKPT.yaml").write_text("epoch: 3\n")
    seal(tmp_path, ["model.ckpt", "CKPT.yaml"])
    return tmp_path


def test_sealed_folder_is_sound(sealed):
    assert find_damage(sealed, ["model.ckpt", "CKPT.yaml"]) is None


@pytest.mark.parametrize("share", range(20))
def test_file_cut_at_any_length_is_found(sealed, share):
    file = sealed / "model.ckpt"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * share // 20])
    assert (
        find_damage(sealed, ["model.ckpt", "CKPT.yaml"])
        == "model.ckpt was changed or cut"
    )


def test_any_flipped_byte_is_found(sealed):
    for name in ("model.ckpt", "CKPT.yaml", "checksums.json"):
        content = (sealed / name).read_bytes()
        step = max(1, len(content) // 50)
        for place in range(0, len(content), step):
            changed = bytearray(content)
            changed[place] ^= 0x10
            (sealed / name).write_bytes(changed)
            assert find_damage(sealed, ["model.ckpt", "CKPT.yaml"]), (
                name,
                place,
            )
        (sealed / name).write_bytes(content)
    assert find_damage(sealed, ["model.ckpt", "CKPT.yaml"]) is None


@pytest.mark.parametrize("content", ["[]", "{}", "3", "null", ""])
def test_seal_of_another_kind_is_damage(sealed, content):
    (sealed / "checksums.json").write_text(content)
    assert find_damage(sealed, ["model.ckpt", "CKPT.yaml"])
