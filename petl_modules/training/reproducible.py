"""Training steps that resume exactly and do not wait for the device."""

import logging
import math

import torch
import yaml
from speechbrain import Stage
from speechbrain.core import INTRA_EPOCH_CKPT_FLAG
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.logger import get_logger

from petl_modules.utils import (
    HparamsError,
    TrainingError,
    counted_seed,
    naming,
)

logger = get_logger(__name__)


def seed_step(sampler, step):
    """Seed the random draws of one training step, such as dropout.

    The seed follows from the run's seed, epoch, step and process: there is no
    state of a random generator to restore when a run resumes.

    Arguments
    ---------
    sampler : petl_modules.data.EpochBatches
        Knows seed, epoch and process.
    step : int
        The step of the epoch, from 1.
    """
    numbers = sampler.seed, sampler.epoch, step, sampler.rank
    torch.manual_seed(counted_seed(*numbers))


@register_checkpoint_hooks
class ReproducibleSteps:
    """A mixin for a Brain: exact resume, and losses that stay on the device.

    It overrides how SpeechBrain takes a step (``fit_batch``,
    ``evaluate_batch``, ``update_average``), what it does about values that
    are not finite (``check_losses``, ``check_gradients``), and when it saves
    within an epoch. Forward, loss, optimiser and logging are the
    Brain's. Name it before ``speechbrain.Brain``, and set ``train_sampler``.

    SpeechBrain reads the loss in each step, which makes the host wait for the
    device. Here the losses of several steps are read at a time.
    """

    unread = ()  # (step, clips, loss) of the steps not read yet
    skipped_updates = 0  # of this epoch: nonfinite_patience that is used up
    skipping = False  # whether the current update is among them
    loss_tried = False  # whether a loss has been computed
    first_loss = None  # of the first step of all, what training has to lower

    @property
    def steps_between_reads(self):
        """Number of steps whose losses are read at a time."""
        return 1 if self.device == "cpu" or self.nonfinite_patience else 20

    def fit_batch(self, batch):
        """Take a step as ``speechbrain.Brain`` does, but read nothing."""
        should_step = self.step % self.grad_accumulation_factor == 0
        if self.step == 1:  # not where a run resumes within an epoch
            self.skipped_updates, self.skipping = 0, False
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, Stage.TRAIN)
                loss = self._training_loss(outputs, batch)
            self.unread = [*self.unread, (self.step, batch.id, loss.detach())]
            if len(self.unread) >= self.steps_between_reads:
                self.check_losses()
            part = loss / self.grad_accumulation_factor
            self.scaler.scale(part).backward()
        if should_step:
            self.optimizers_step()
            self.skipping = False
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss.detach()

    def _training_loss(self, outputs, batch):
        """Return the loss; what is wrong with the first one is the user's."""
        if self.loss_tried:
            return self.compute_objectives(outputs, batch, Stage.TRAIN)
        with naming("loss or metrics, in the recipe file"):
            loss = self.compute_objectives(outputs, batch, Stage.TRAIN)
            if not (loss.dim() == 0 and loss.requires_grad):
                raise HparamsError(
                    "loss, in the recipe file, makes numbers that do not "
                    "depend on the model's outputs, or more than one a clip"
                )
        self.loss_tried = True
        return loss

    @torch.inference_mode()
    def evaluate_batch(self, batch, stage):
        """Return the loss of a batch, which stays on the device."""
        with self.evaluation_ctx:
            outputs = self.compute_forward(batch, stage)
            return self.compute_objectives(outputs, batch, stage)

    def update_average(self, loss, avg_loss):
        """Return the mean loss, in an evaluation as a tensor.

        In training it is that of the losses that ``check_losses`` has read.
        """
        if self.modules.training:
            return avg_loss
        return avg_loss + (loss - avg_loss) / self.step

    def check_losses(self):
        """Read the losses of the steps since the last call.

        Raises
        ------
        TrainingError
            If one is not finite and no patience is left. It names the step
            and its clips.
        """
        if not self.unread:
            return
        steps, self.unread = self.unread, ()
        values = torch.stack([loss for _, _, loss in steps]).tolist()
        for (step, clips, _), value in zip(steps, values):
            if math.isfinite(value):
                if self.first_loss is None and self.train_sampler.epoch == 1:
                    self.first_loss = value
                count = max(1, step - self.skipped_updates)
                self.avg_train_loss += (value - self.avg_train_loss) / count
                continue
            self._skip_update(
                f"the loss is {value} in step {step} of epoch "
                f"{self.train_sampler.epoch}; its clips: {', '.join(clips)}. "
            )

    def check_gradients(self):
        """Remove all gradients of an update if one is not finite.

        Raises
        ------
        TrainingError
            If one is not finite and no patience is left.
        """
        gradients = [
            p.grad for p in self.modules.parameters() if p.grad is not None
        ]
        if not torch.nn.utils.get_total_norm(gradients).isfinite():
            self._skip_update(
                f"a gradient is not finite in step {self.step} of epoch "
                f"{self.train_sampler.epoch}. "
            )
            self.zero_grad(set_to_none=True)

    def _skip_update(self, problem):
        """Use up patience, once an update: its loss and gradient may be bad."""
        if not self.skipping:
            self.skipping = True
            self.skipped_updates += 1
        if self.skipped_updates > self.nonfinite_patience:
            raise TrainingError(
                f"{problem}Try a smaller lr, or fp32 where it computes in "
                "fewer bits; --nonfinite_patience N skips N such updates of "
                "an epoch"
            )
        logger.warning(f"{problem}This update is skipped")

    def require_finite(self, stage, loss):
        """Stop at the end of a stage if a loss was not finite.

        Arguments
        ---------
        stage : speechbrain.Stage
            The stage that ends.
        loss : float or torch.Tensor
            Its mean loss.

        Raises
        ------
        TrainingError
            See ``check_losses``; or if the mean is not finite. It names the
            clips.
        """
        self.check_losses()
        if not math.isfinite(loss):
            problem = f"the {stage.name.lower()} loss is {float(loss)}"
            # The metrics of a task may not keep the loss of each clip
            find = getattr(self.hparams.metrics, "nonfinite_clips", list)
            if clips := find():
                some = ", ".join(clips[:20]) + ", ..." * (len(clips) > 20)
                problem += f", through {len(clips)} clips: {some}"
            raise TrainingError(
                f"{problem}. Training stops. Try a smaller lr, or fp32 where "
                "it computes in fewer bits"
            )

    def _should_save_intra_epoch_ckpt(self, *times):
        """Save neither between two updates nor where the epoch ends."""
        if self.step % self.grad_accumulation_factor:
            return False
        if self.step == len(self.train_sampler):
            return False
        if not super()._should_save_intra_epoch_ckpt(*times):
            return False
        self.check_losses()
        return True

    @mark_as_saver
    def _save(self, path):
        """Save what SpeechBrain's Brain does, and what is kept here."""
        super()._save(path)
        kept = {
            "skipped_updates": self.skipped_updates,
            "first_loss": self.first_loss,
        }
        with open(path, "a", encoding="utf-8") as file:
            yaml.safe_dump(kept, file)

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        """Load what ``_save`` wrote."""
        super()._recover(path, end_of_epoch)
        with open(path, encoding="utf-8") as file:
            saved = yaml.safe_load(file)
        self.skipped_updates = saved.get("skipped_updates", 0)
        self.first_loss = saved.get("first_loss")

    def _save_intra_epoch_ckpt(self):
        """Save within an epoch, with epoch and step (see ``progress``)."""
        self.checkpointer.save_and_keep_only(
            meta={
                INTRA_EPOCH_CKPT_FLAG: True,
                "epoch": self.train_sampler.epoch,
                "step": self.step,
            },
            end_of_epoch=False,
            ckpt_predicate=lambda c: INTRA_EPOCH_CKPT_FLAG in c.meta,
            verbosity=logging.DEBUG,
        )
