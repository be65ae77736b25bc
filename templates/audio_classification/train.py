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
import time
from pathlib import Path

# The recipe runs from a checkout, with or without petl_modules installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
# Waiting CPU threads sleep: the loader's workers need the cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import speechbrain as sb
import torch
from audio_prepare import prepare_audio
from speechbrain.utils.distributed import get_rank, run_on_main

from petl_modules.checkpoint import weights_sha256
from petl_modules.data import make_datasets
from petl_modules.experiment import (
    Experiment,
    plain_errors,
    traceback_in_log,
)
from petl_modules.freezing import require_gradients
from petl_modules.hparams import make
from petl_modules.manifest import read_manifest
from petl_modules.selection import best_then_earliest, epoch_meta, fold_result
from petl_modules.tally import Tally


class AudioBrain(sb.Brain):
    """Trains what a tuned model lets train."""

    def compute_forward(self, batch, stage):
        """Returns the logits, ``[batch, classes]``."""
        batch = batch.to(self.device)
        features, lengths = batch.features
        if stage == sb.Stage.TRAIN:
            features = self.hparams.augment(features)
        return self.modules.model(features, lengths)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the cross-entropy."""
        targets = batch.target.data.squeeze(1)
        loss = torch.nn.functional.cross_entropy(predictions, targets)
        self.tally.add(batch.id, predictions, targets, loss)
        return loss

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
        self.checkpointer.add_recoverable("optimizer", self.optimizer)
        self.checkpointer.add_recoverable("schedule", self.schedule)

    def on_fit_start(self):
        """Goes on where an interrupted fold stopped."""
        super().on_fit_start()
        latest = self.checkpointer.find_checkpoint()
        self.seconds_before = latest.meta.get("seconds", 0.0) if latest else 0.0
        self.started = time.monotonic()

    def optimizers_step(self):
        """Updates, once every trained parameter has a gradient."""
        if self.optimizer_step == 0:
            require_gradients(self.modules)
        super().optimizers_step()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Moves the learning rate."""
        if should_step:
            self.schedule.step()

    def on_stage_start(self, stage, epoch=None):
        """Starts counting, and the epoch's own random draws."""
        if stage == sb.Stage.TRAIN:
            self.first_lr = self.optimizer.param_groups[0]["lr"]
            rank = get_rank() or 0
            torch.manual_seed(self.hparams.seed + 1_000_003 * epoch + rank)
        self.tally = Tally(self.hparams.labels, self.hparams.metrics)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs the stage and, after an epoch's last one, saves."""
        stats = self.tally.result(shared_out=stage == sb.Stage.TRAIN)
        if not math.isfinite(stats["loss"]):
            raise ValueError(
                f"the {stage.name.lower()} loss is {stats['loss']}: nothing "
                "more is trained. Try a smaller lr, or --precision fp32"
            )
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
            if self.hparams.fixed_epochs:  # there is no validation
                self.end_epoch(epoch)
        elif stage == sb.Stage.VALID:
            self.end_epoch(epoch, stats)
        else:
            self.test_stats = stats
            self.hparams.train_logger.log_stats(self.tested, test_stats=stats)

    def end_epoch(self, epoch, valid_stats=None):
        """Logs and saves; the latest checkpoint and the best one are kept."""
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": self.first_lr},
            train_stats=self.train_stats,
            valid_stats=valid_stats,
        )
        seconds = self.seconds_before + time.monotonic() - self.started
        self.checkpointer.save_and_keep_only(
            meta=epoch_meta(epoch, seconds, self.train_stats, valid_stats),
            importance_keys=[best_then_earliest],
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
        tests = []
        for checkpoint in [last] if best == last else [last, best]:
            self.checkpointer.load_checkpoint(checkpoint)
            selected = checkpoint == best
            epoch = checkpoint.meta["epoch"]
            self.tested = {"epoch": epoch, "selected": selected}
            self.evaluate(loader)
            tests.append(self.test_stats)
        return {
            **fold_result(best, last, test=tests[-1], last_test=tests[0]),
            "weights_sha256": weights_sha256(self.hparams.tuned_model),
            "seconds": last.meta["seconds"],
        }

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Tests the weights that are loaded; ``test`` chooses them."""


@traceback_in_log()
def run_fold(experiment, fold, labels):
    """Trains and tests one fold from where it stands."""
    hparams, overrides = experiment.load(fold, labels)
    sb.create_experiment_directory(
        experiment_directory=experiment.fold_folder(fold),
        hyperparams_to_save=experiment.file,
        overrides=overrides,
    )
    datasets = make_datasets(
        fold.parts, hparams["data_folder"], hparams["features"], labels
    )
    brain = AudioBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=experiment.run_opts,
        checkpointer=hparams["checkpointer"],
    )
    train_loader = brain.make_dataloader(
        datasets["train"], sb.Stage.TRAIN, **hparams["train_loader"]
    )
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
        manifest, labels = run_on_main(
            prepare_audio, kwargs=dict(experiment.settings["prepare"])
        )
        make_plan = make(experiment.text, ["plan"])["plan"]
        plan = make_plan(read_manifest(manifest))
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold, labels)
        experiment.summarise(plan, labels)


if __name__ == "__main__":
    main(sys.argv[1:])
