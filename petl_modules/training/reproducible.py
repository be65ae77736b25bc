"""Training steps that resume exactly and do not wait for the device."""

import math

import torch
from speechbrain import Stage
from speechbrain.utils.logger import get_logger

from petl_modules.utils import TrainingError, counted_seed

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

    @property
    def steps_between_reads(self):
        """Number of steps whose losses are read at a time."""
        return 1 if self.device == "cpu" or self.nonfinite_patience else 20

    def fit_batch(self, batch):
        """Take a step as ``speechbrain.Brain`` does, but read nothing."""
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, Stage.TRAIN)
            self.unread = [*self.unread, (self.step, batch.id, loss.detach())]
            if len(self.unread) >= self.steps_between_reads:
                self.check_losses()
            part = loss / self.grad_accumulation_factor
            self.scaler.scale(part).backward()
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss.detach()

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
                count = max(1, step - self.nonfinite_count)
                self.avg_train_loss += (value - self.avg_train_loss) / count
                continue
            self.nonfinite_count += 1  # SpeechBrain counts anew in each epoch
            problem = (
                f"the loss is {value} in step {step} of epoch "
                f"{self.train_sampler.epoch}; its clips: {', '.join(clips)}. "
            )
            if self.nonfinite_count > self.nonfinite_patience:
                raise TrainingError(
                    f"{problem}Try a smaller lr, or fp32 where it computes in "
                    "fewer bits; --nonfinite_patience N skips N such steps of "
                    "an epoch"
                )
            logger.warning(f"{problem}This step is skipped")

    def check_gradients(self):
        """Remove all gradients of a step if one is not finite."""
        gradients = [
            p.grad for p in self.modules.parameters() if p.grad is not None
        ]
        if not torch.nn.utils.get_total_norm(gradients).isfinite():
            self.zero_grad(set_to_none=True)
            logger.warning(
                f"a gradient is not finite in step {self.step} of epoch "
                f"{self.train_sampler.epoch}: this update is skipped"
            )

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
