"""Losses are read some at a time, and each keeps its step and clips."""

from functools import partial
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain import Stage
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer

from petl_modules.data import EpochBatches
from petl_modules.training import (
    ClassificationMetrics,
    ReproducibleSteps,
    make_train_loader,
)
from petl_modules.utils import HparamsError, TrainingError


class Steps(ReproducibleSteps):
    """A Brain without a model: its losses are given."""

    steps_between_reads = 1
    nonfinite_patience = 0
    grad_accumulation_factor = 1
    avg_train_loss = 0.0

    def __init__(self, **changes):
        vars(self).update(changes)
        self.train_sampler = SimpleNamespace(epoch=2)

    def add(self, step, clips, loss):
        self.skipping = False  # a new update
        loss = torch.tensor(float(loss))
        self.unread = [*self.unread, (step, clips, loss)]
        if len(self.unread) >= self.steps_between_reads:
            self.check_losses()

    def start_epoch(self):
        self.skipped_updates, self.avg_train_loss = 0, 0.0


class Lossy(Steps):
    """A Brain with a loss of its own."""

    def compute_objectives(self, outputs, batch, stage):
        return self.loss(outputs)


def constant(outputs):
    return torch.tensor(1.0)


def unreduced(outputs):
    return 2 * outputs


def full(outputs):
    raise RuntimeError("CUDA out of memory")


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (constant, "^loss.*do not depend on the model's outputs"),
        (unreduced, "^loss.*do not depend on .* or more than one"),
        (print, "^loss or metrics, .*: AttributeError: 'NoneType'"),
        (torch.nn.Linear, "^loss or metrics, .*: .*'out_features'"),
        (lambda outputs: 1 / 0, "^loss or metrics, .*: ZeroDivisionError"),
    ],
)
def test_first_loss_that_is_none_is_the_users(loss, words):
    outputs = torch.zeros(2, requires_grad=True)
    steps = Lossy(loss=loss)
    with pytest.raises(HparamsError, match=words):
        steps._training_loss(outputs, None)
    steps.loss_tried = True  # a later one fails through a bug
    if loss not in (constant, unreduced, print):
        with pytest.raises((ZeroDivisionError, TypeError)):
            steps._training_loss(outputs, None)


def test_full_memory_is_not_the_fault_of_the_loss():
    with pytest.raises(RuntimeError, match="^CUDA out of memory"):
        Lossy(loss=full)._training_loss(None, None)


def test_right_loss_passes():
    steps = Lossy(loss=torch.sum)
    loss = steps._training_loss(torch.ones(3, requires_grad=True), None)
    assert loss == 3 and steps.loss_tried


def test_nothing_is_read_between_two_reads():
    steps = Steps(steps_between_reads=3)
    steps.add(1, ["a"], "nan")
    steps.add(2, ["b"], 1)
    with pytest.raises(
        TrainingError, match="is nan in step 1 of epoch 2; .*: a. "
    ):
        steps.add(3, ["c"], 2)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_the_clips_are_named(bad):
    steps = Steps()
    steps.add(1, ["a"], 1)
    with pytest.raises(
        TrainingError, match=f"is {bad} in step 2 .*: b, c. Try"
    ):
        steps.add(2, ["b", "c"], bad)


def test_patience_is_that_of_an_epoch():
    steps = Steps(nonfinite_patience=1)
    for _ in range(2):
        steps.start_epoch()
        steps.add(1, ["a"], "nan")
        steps.add(2, ["a"], 3)
        assert steps.avg_train_loss == 3.0
    with pytest.raises(TrainingError, match="step 3"):
        steps.add(3, ["b"], "nan")


def test_mean_of_all_reads():
    losses = torch.rand(10)
    steps = Steps(steps_between_reads=3)
    for step, loss in enumerate(losses, 1):
        steps.add(step, [], loss)
    steps.check_losses()
    assert steps.avg_train_loss == pytest.approx(losses.mean().item())
    steps.check_losses()  # nothing new
    assert steps.avg_train_loss == pytest.approx(losses.mean().item())


@pytest.mark.parametrize(
    ("device", "patience", "every"),
    [("cpu", 0, 1), ("cuda:0", 0, 20), ("cuda:0", 2, 1)],
)
def test_a_gpu_is_not_waited_for(device, patience, every):
    class OnDevice(ReproducibleSteps):
        pass

    steps = OnDevice()
    steps.device, steps.nonfinite_patience = device, patience
    assert steps.steps_between_reads == every


def test_unread_losses_are_read_where_a_stage_ends():
    steps = Steps(steps_between_reads=20)
    steps.add(1, ["a"], "inf")
    with pytest.raises(TrainingError, match="is inf in step 1"):
        steps.require_finite(Stage.TRAIN, 0.0)


@pytest.mark.parametrize("stage", [Stage.VALID, Stage.TEST])
@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_pass_whose_loss_is_not_finite_names_the_clips(stage, bad):
    metrics = ClassificationMetrics(["cat", "dog"])
    for clips, *losses in (("ab", 1, 2), ("cd", float(bad), 3)):
        targets = torch.zeros(2, dtype=int)
        metrics.append(clips, torch.eye(2), targets, torch.tensor(losses))
    steps = Steps(hparams=SimpleNamespace(metrics=metrics))
    with pytest.raises(
        TrainingError, match=f"the {stage.name.lower()} loss is {bad}.*: c. "
    ):
        steps.require_finite(stage, torch.tensor(float(bad)))
    steps.require_finite(stage, torch.tensor(1.0))
    steps.require_finite(stage, 0.0)


def test_metrics_that_keep_no_losses():
    steps = Steps(hparams=SimpleNamespace(metrics=None))
    with pytest.raises(TrainingError, match="the test loss is nan. Training"):
        steps.require_finite(Stage.TEST, float("nan"))


def bad_gradient(bad=True, **changes):
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    if bad:
        model.bias.grad.fill_(float("nan"))
    return Steps(modules=model, zero_grad=model.zero_grad, step=3, **changes)


@pytest.mark.parametrize("bad", [False, True])
def test_gradients_go_together_or_not_at_all(bad, caplog):
    steps = bad_gradient(bad, nonfinite_patience=1)
    steps.check_gradients()
    assert ("not finite in step 3 of epoch 2" in caplog.text) == bad
    assert [p.grad is None for p in steps.modules.parameters()] == [bad, bad]


def test_bad_gradients_use_up_patience():
    steps = bad_gradient(nonfinite_patience=1, skipped_updates=1)
    with pytest.raises(TrainingError, match="a gradient is not finite .* lr"):
        steps.check_gradients()


def test_an_update_uses_up_patience_once():
    steps = bad_gradient(nonfinite_patience=1)
    steps.add(3, ["a"], "nan")
    steps.check_gradients()
    assert steps.skipped_updates == 1


class ToyBrain(ReproducibleSteps, sb.Brain):
    """Gives the losses of its batches, and stops before some step."""

    stop_before = None

    def compute_forward(self, batch, stage):
        if self.step == self.stop_before:
            raise KeyboardInterrupt
        return self.modules.model(batch.x.data)

    def compute_objectives(self, outputs, batch, stage):
        return outputs.mean() * batch.x.data.mean()


def toy_brain(folder, **changes):
    brain = ToyBrain(
        {"model": torch.nn.Linear(1, 1)},
        lambda parameters: torch.optim.SGD(parameters, 0.01),
        run_opts={
            "ckpt_interval_steps": 1,
            "nonfinite_patience": 1,
            "skip_nonfinite_grads": True,
            "noprogressbar": True,
        },
        checkpointer=Checkpointer(folder),
    )
    vars(brain).update(changes)
    return brain


def test_a_resumed_epoch_has_the_patience_that_was_left(tmp_path):
    def fit(**changes):
        brain = toy_brain(tmp_path, **changes)
        clips = [{"id": name, "x": torch.tensor([torch.nan])} for name in "ab"]
        batches = partial(EpochBatches, batch_size=1, seed=0)
        options = {"collate_fn": PaddedBatch}
        brain.fit([1], make_train_loader(brain, clips, batches, options))

    with pytest.raises(KeyboardInterrupt):
        fit(stop_before=2)
    with pytest.raises(TrainingError, match="is nan in step 2 of epoch 1"):
        fit()


def test_the_first_loss_is_that_of_the_first_step_of_all(tmp_path):
    steps = Steps()
    steps.add(1, ["a"], 3)
    assert steps.first_loss is None  # epoch 2 of a run that does not know it
    steps.train_sampler.epoch = 1
    for step, loss in ((1, 2), (2, 1), (3, 5)):
        steps.add(step, ["a"], loss)
    assert steps.first_loss == 2.0
    brain = toy_brain(tmp_path, first_loss=2.0, avg_train_loss=0.0)
    brain._save(tmp_path / "kept")
    brain.first_loss = None
    brain._recover(tmp_path / "kept", end_of_epoch=True)
    assert brain.first_loss == 2.0


def test_mean_loss_of_an_evaluation_stays_on_the_device():
    steps, mean = Steps(modules=torch.nn.Linear(1, 1).eval()), 0.0
    for steps.step, loss in enumerate((1.0, 2.0, 6.0), 1):
        mean = steps.update_average(torch.tensor(loss), mean)
    assert torch.is_tensor(mean) and mean == 3.0


class Saving:
    """What SpeechBrain's Brain decides by time and steps."""

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        return steps_since_ckpt >= 2


class EightSteps:
    epoch = 2

    def __len__(self):
        return 8


class SavingSteps(Steps, Saving):
    grad_accumulation_factor = 2

    def asked(self, step, since):
        self.step, self.train_sampler = step, EightSteps()
        return self._should_save_intra_epoch_ckpt(0.0, since)


def test_checkpoints_are_between_updates_and_not_at_the_end():
    steps = SavingSteps()
    saved = [n for n in range(1, 9) if steps.asked(n, since=2)]
    assert saved == [2, 4, 6]
    assert not steps.asked(4, since=1)


def test_no_checkpoint_of_losses_that_were_not_read():
    steps = SavingSteps(steps_between_reads=20)
    steps.add(1, ["a"], 3)
    assert steps.asked(2, since=2)
    assert steps.avg_train_loss == 3.0 and not steps.unread
    steps.add(3, ["b"], "nan")
    with pytest.raises(TrainingError, match="is nan in step 3"):
        steps.asked(4, since=2)
