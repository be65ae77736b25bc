#!/usr/bin/env python3
"""Train and test a PETL method on your own sounds.

To run this recipe:
> python train.py hparams/soft_moa.yaml --data_folder /path/to/my_sounds

Authors
 * The PETL audio recipes team 2026
"""

import math
import os
import sys
from pathlib import Path

# The recipe runs from a checkout, with or without petl_modules installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
# Waiting CPU threads soon sleep: the loader's workers need the cores
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # some 0.05 ms

import speechbrain as sb
import torch
from audio_prepare import prepare_audio
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger

from petl_modules.data import make_datasets
from petl_modules.data.cache import FeatureCache
from petl_modules.data.prepare import read_manifest, read_skipped
from petl_modules.methods import merge
from petl_modules.models import weights_sha256
from petl_modules.runs import Experiment, make, plain_errors, traceback_in_log
from petl_modules.training import (
    LossWatch,
    Stopwatch,
    Tally,
    best_then_earliest,
    epoch_meta,
    fold_result,
    gradients_are_finite,
    pool_once,
    require_best,
    require_gradients,
)
from petl_modules.utils import counted_seed

logger = get_logger(__name__)


class AudioBrain(sb.Brain):
    """Trains what a tuned model lets train."""

    def compute_forward(self, batch, stage):
        """Returns the logits, ``[batch, classes]``."""
        batch = batch.to(self.device, non_blocking=True)
        features, lengths = batch.features
        if stage == sb.Stage.TRAIN:
            features = self.hparams.augment(features)
        return self.modules.model(features, lengths)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the mean cross-entropy, of all processes in training."""
        targets = batch.target.data.squeeze(1)
        losses = torch.nn.functional.cross_entropy(
            predictions, targets, reduction="none"
        )
        count, weight, counted = len(losses), 1 / len(losses), losses
        if stage == sb.Stage.TRAIN:
            count, weight = self.train_sampler.share(self.step)
            # The watch stops at others, or they are left out
            counted = losses.nan_to_num(0.0, 0.0, 0.0)
        self.clips = batch.id[:count]
        self.tally.add(self.clips, predictions, targets, counted)
        return losses[:count].sum() * weight

    def init_optimizers(self):
        """Optimises what is trained, with a schedule that steps per batch."""
        parameters = [p for p in self.modules.parameters() if p.requires_grad]
        self.optimizer = self.opt_class(parameters)
        self.optimizers_dict = {"opt_class": self.optimizer}
        updates = self.steps_per_epoch // self.grad_accumulation_factor
        if not updates:
            raise ValueError(
                f"grad_accumulation_factor {self.grad_accumulation_factor} is "
                f"larger than the {self.steps_per_epoch} batches of an epoch: "
                "nothing would be trained"
            )
        self.schedule = self.hparams.lr_schedule(
            self.optimizer, T_max=updates * self.hparams.number_of_epochs
        )
        self.tally = Tally(self.hparams.labels, self.hparams.metrics)
        lazy = self.device != "cpu" and not self.nonfinite_patience
        self.watch = LossWatch(self.nonfinite_patience, 20 if lazy else 1)
        for name in ("optimizer", "schedule", "tally", "stopwatch"):
            self.checkpointer.add_recoverable(name, getattr(self, name))

    def on_fit_batch_start(self, batch, should_step):
        """Starts the step's own random draws."""
        sampler = self.train_sampler
        torch.manual_seed(
            counted_seed(sampler.seed, sampler.epoch, self.step, sampler.rank)
        )

    def _should_save_intra_epoch_ckpt(self, *times):
        """Not while gradients gather, and not where the epoch ends."""
        if self.step % self.grad_accumulation_factor:
            return False
        if self.step == self.steps_per_epoch:
            return False
        if not super()._should_save_intra_epoch_ckpt(*times):
            return False
        self.watch.look()
        return True

    def fit_batch(self, batch):
        """Takes a step as SpeechBrain does, without waiting for the device."""
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
            step = f"step {self.step} of epoch {self.train_sampler.epoch}"
            self.watch.add(step, self.clips, loss)
            share = loss / self.grad_accumulation_factor
            self.scaler.scale(share).backward()
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss.detach()

    def update_average(self, loss, avg_loss):
        """Returns the mean loss for the progress bar."""
        return self.watch.mean

    @torch.inference_mode()
    def evaluate_batch(self, batch, stage):
        """Returns the loss of a batch, which stays on the device."""
        with self.evaluation_ctx:
            outputs = self.compute_forward(batch, stage)
            return self.compute_objectives(outputs, batch, stage)

    def optimizers_step(self):
        """Updates, once every trained parameter has a gradient."""
        if self.optimizer_step == 0:
            require_gradients(self.modules)
        if self.nonfinite_patience and not self.scaler.is_enabled():
            if not gradients_are_finite(self.modules):
                return self.zero_grad(set_to_none=True)
        super().optimizers_step()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Moves the learning rate."""
        if should_step:
            self.schedule.step()

    def on_stage_start(self, stage, epoch=None):
        """Starts counting, or goes on within an epoch."""
        if stage != sb.Stage.TRAIN or self.step == 0:
            self.tally.reset()
        if stage == sb.Stage.TRAIN:
            self.watch.reset()
        else:
            self.unmerge = merge(self.hparams.tuned_model)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs the stage and, after an epoch's last one, saves."""
        self.watch.look()
        if stage != sb.Stage.TRAIN:
            self.unmerge()
        stats = self.tally.result(shared_out=stage == sb.Stage.TRAIN)
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
            if self.hparams.fixed_epochs:  # there is no validation
                self.end_epoch(epoch)
            return
        if not math.isfinite(stats["loss"]):
            raise ValueError(
                f"the {stage.name.lower()} loss is {stats['loss']}: nothing "
                "more is trained. Try a smaller lr, or fp32 where it computes in "
                "fewer bits"
            )
        if stage == sb.Stage.VALID:
            self.end_epoch(epoch, stats)
        else:
            self.test_stats = stats
            self.hparams.train_logger.log_stats(self.tested, test_stats=stats)

    def end_epoch(self, epoch, valid_stats=None):
        """Logs and saves; the latest checkpoints and the best are kept."""
        self.step, self.avg_train_loss = 0, 0.0  # the next epoch's
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]},
            train_stats=self.train_stats,
            valid_stats=valid_stats,
        )
        earlier = self.checkpointer.list_checkpoints()
        meta = epoch_meta(epoch, self.train_stats, valid_stats, earlier)
        self.checkpointer.save_and_keep_only(
            meta={**meta, "seconds": self.stopwatch.seconds()},
            importance_keys=[best_then_earliest],
            num_to_keep=2,  # one to fall back to
        )

    def test(self, loader):
        """Tests the last epoch's weights, then the selected ones.

        Returns
        -------
        dict
            The fold's entry in ``summary.json``, but for its number.
        """
        last = self.checkpointer.find_checkpoint()
        best = self.checkpointer.find_checkpoint(best_then_earliest)
        require_best(best, last)
        tests = []
        for checkpoint in [last] if best == last else [last, best]:
            self.checkpointer.load_checkpoint(checkpoint)
            selected = checkpoint == best
            epoch = checkpoint.meta["epoch"]
            self.tested = {"epoch": epoch, "selected": selected}
            self.evaluate(loader)
            tests.append(self.test_stats)
        result = {
            **fold_result(best, last, test=tests[-1], last_test=tests[0]),
            "weights_sha256": weights_sha256(self.hparams.tuned_model),
            "seconds": last.meta["seconds"],
        }
        return result

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Tests the weights that are loaded; ``test`` chooses them."""


@traceback_in_log()
def run_fold(experiment, fold, labels, pooled):
    """Trains and tests one fold from where it stands."""
    hparams, overrides = experiment.load(fold, labels)
    sb.create_experiment_directory(
        experiment_directory=experiment.fold_folder(fold),
        hyperparams_to_save=experiment.file,
        overrides=overrides,
    )
    stopwatch, cache = Stopwatch(), None
    if hparams["feature_cache"] and not experiment.run_opts.debug:
        cache = FeatureCache(
            hparams["feature_cache"],
            hparams["features"],
            hparams["feature_cache_dtype"],
            hparams["num_workers"],
        )
    datasets = make_datasets(
        fold.parts,
        hparams["data_folder"],
        hparams["features"],
        labels,
        cache,
    )
    brain = AudioBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=experiment.run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.stopwatch = stopwatch
    if hparams["pool_once"]:
        datasets = pool_once(brain, datasets, hparams, pooled)
    brain.train_sampler = hparams["train_batches"](len(datasets["train"]))
    train_loader = make_dataloader(
        datasets["train"],
        batch_sampler=brain.train_sampler,
        **hparams["train_loader"],
    )
    brain.checkpointer.add_recoverable("train_loader", train_loader)
    brain.steps_per_epoch = len(train_loader)
    brain.fit(
        hparams["epoch_counter"],
        train_loader,
        datasets.get("valid"),
        valid_loader_kwargs=hparams["test_loader"],
    )
    test_loader = brain.make_dataloader(
        datasets["test"], sb.Stage.TEST, None, **hparams["test_loader"]
    )
    result = brain.test(test_loader)
    predictions = brain.tally.predictions()
    experiment.finish_fold(fold, result, predictions, hparams["tuned_model"])


def main(arguments):
    """Runs all folds that are not finished, then sums up."""
    with plain_errors("--debug" in arguments):
        experiment = Experiment(arguments, __file__)
        make_plan = make(experiment.text, ["plan"])["plan"]
        manifest, labels = run_on_main(
            prepare_audio, kwargs=dict(experiment.settings["prepare"])
        )
        records = read_manifest(manifest)
        experiment.claim_data(records, read_skipped(manifest))
        plan = make_plan(records)
        pooled = {}  # of a linear probe, for all folds
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold, labels, pooled)
        experiment.summarise(plan, labels)


if __name__ == "__main__":
    main(sys.argv[1:])
