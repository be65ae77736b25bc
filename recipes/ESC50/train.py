#!/usr/bin/env python3
"""Train and cross-validate a PETL method on ESC-50.

To run this recipe:
> python train.py hparams/soft_moa.yaml --data_folder /path/to/ESC-50-master

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
from esc50_prepare import prepare_esc50
from speechbrain.utils.distributed import get_rank, run_on_main

from petl_modules.checkpoint import weights_sha256
from petl_modules.checkpointer import best_then_earliest
from petl_modules.data import make_datasets, split_by_fold
from petl_modules.experiment import (
    Experiment,
    plain_errors,
    traceback_in_log,
)
from petl_modules.manifest import read_manifest
from petl_modules.tally import Tally


class ESC50Brain(sb.Brain):
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
        """Updates; stops where what should train gets no gradient."""
        if self.optimizer_step == 0:
            dead = [
                name
                for name, parameter in self.modules.named_parameters()
                if parameter.requires_grad and parameter.grad is None
            ]
            if dead:
                raise RuntimeError(f"no gradient reaches {', '.join(dead)}")
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
        self.tally = Tally(self.hparams.labels)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs the stage and, after validation, saves a checkpoint."""
        stats = self.tally.result(shared_out=stage == sb.Stage.TRAIN)
        if not math.isfinite(stats["loss"]):
            raise ValueError(
                f"the {stage.name.lower()} loss is {stats['loss']}: nothing "
                "more is trained. Try a smaller lr, or --precision fp32"
            )
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
        elif stage == sb.Stage.VALID:
            self.hparams.train_logger.log_stats(
                {"epoch": epoch, "lr": self.first_lr},
                train_stats=self.train_stats,
                valid_stats=stats,
            )
            self.save(epoch, stats)
        else:
            self.test_stats = stats
            self.hparams.train_logger.log_stats(self.tested, test_stats=stats)

    def save(self, epoch, stats):
        """Saves; keeps the latest checkpoint and the best one."""
        self.checkpointer.save_and_keep_only(
            meta={
                "epoch": epoch,
                "seconds": self.seconds_before
                + time.monotonic()
                - self.started,
                **{f"train_{k}": v for k, v in self.train_stats.items()},
                **{f"valid_{k}": v for k, v in stats.items()},
            },
            importance_keys=[best_then_earliest],
        )

    def test(self, loader):
        """Tests the last epoch's weights, then the selected ones.

        Returns
        -------
        dict
            The fold's entry in ``summary.json``, but for ``fold``.
        """
        last = self.checkpointer.find_checkpoint()
        best = self.checkpointer.find_checkpoint(best_then_earliest)
        self.tested = {"epoch": last.meta["epoch"], "selected": best == last}
        self.evaluate(loader)
        last_accuracy = self.test_stats["accuracy"]
        if best != last:
            self.checkpointer.load_checkpoint(best)
            self.tested = {"epoch": best.meta["epoch"], "selected": True}
            self.evaluate(loader)
        return {
            "epochs": last.meta["epoch"],
            "best_epoch": best.meta["epoch"],
            "train_loss": best.meta["train_loss"],
            "valid_loss": best.meta["valid_loss"],
            "test_loss": self.test_stats["loss"],
            "train_accuracy": best.meta["train_accuracy"],
            "valid_accuracy": best.meta["valid_accuracy"],
            "test_accuracy": self.test_stats["accuracy"],
            "last_epoch_test_accuracy": last_accuracy,
            "weights_sha256": weights_sha256(self.hparams.tuned_model),
            "seconds": last.meta["seconds"],
        }

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Tests the weights that are loaded; ``test`` chooses them."""


@traceback_in_log()
def run_fold(experiment, fold, parts, labels):
    """Trains and tests one fold from where it stands."""
    hparams, overrides = experiment.load(fold, labels)
    sb.create_experiment_directory(
        experiment_directory=experiment.fold_folder(fold),
        hyperparams_to_save=experiment.file,
        overrides=overrides,
    )
    datasets = make_datasets(
        parts, hparams["data_folder"], hparams["features"], labels
    )
    brain = ESC50Brain(
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
        datasets["valid"],
        valid_loader_kwargs=hparams["test_loader"],
    )
    test_loader = brain.make_dataloader(
        datasets["test"], sb.Stage.TEST, None, **hparams["test_loader"]
    )
    result = {"fold": fold, **brain.test(test_loader)}
    experiment.finish_fold(
        fold, result, brain.tally.predictions(), hparams["tuned_model"]
    )


def main(arguments):
    """Runs all folds that are not finished, then sums up."""
    with plain_errors("--debug" in arguments):
        experiment = Experiment(arguments, __file__)
        settings = experiment.settings
        keys = ("data_folder", "manifest_folder", "allow_partial", "download")
        manifest, labels = run_on_main(
            prepare_esc50, kwargs={key: settings[key] for key in keys}
        )
        records = read_manifest(manifest)
        parts = {
            fold: split_by_fold(
                records, fold, settings["n_folds"], settings["valid_offset"]
            )
            for fold in settings["folds"]
        }
        for fold in experiment.unfinished_folds():
            run_fold(experiment, fold, parts[fold], labels)
        experiment.summarise(labels)


if __name__ == "__main__":
    main(sys.argv[1:])
