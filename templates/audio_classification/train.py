#!/usr/bin/env python3
"""Train and test a PETL method on your own sounds.

To run this recipe:
> python train.py hparams/soft_moa.yaml --data_folder /path/to/my_sounds

Start reading at the bottom: main() prepares the data, plans the folds, trains
and tests each of them, and sums up.

Authors
 * The PETL audio recipes team 2026
"""

import sys
from functools import partial
from pathlib import Path

# The recipe runs from a checkout, with or without petl_modules installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")  # petl_modules first, then torch

from audio_prepare import prepare_audio
from petl_modules.data import make_datasets
from petl_modules.runs import start
from petl_modules.training import (
    ReproducibleSteps,
    epoch_meta,
    evaluate_last_and_best,
    learning_rates,
    make_train_loader,
    parameter_groups,
    pool_once,
    require_gradients,
    seed_step,
    write_confusion,
)

import speechbrain as sb


class AudioBrain(ReproducibleSteps, sb.Brain):
    """A classifier: an encoder with trained parts, pooled, and a linear head."""

    def compute_forward(self, batch, stage):
        """Return the logits, ``[batch, classes]``."""
        batch = batch.to(self.device, non_blocking=True)
        features, lengths = batch.features
        model = self.modules.model
        if stage == sb.Stage.TRAIN:
            return model(self.hparams.augment(features), lengths)
        return self.hparams.windows.average(model, features, lengths)

    def compute_objectives(self, logits, batch, stage):
        """Return the mean loss, in training that of all processes."""
        targets = batch.target.data.squeeze(1)
        losses = self.hparams.loss(logits, targets, reduction="none")
        if stage != sb.Stage.TRAIN:
            self.hparams.metrics.append(batch.id, logits, targets, losses)
            return losses.mean()
        # Every clip counts once, whichever process has it
        count, weight = self.train_sampler.loss_weight(self.step)
        finite = losses.nan_to_num(0.0, 0.0, 0.0)  # others end or skip the step
        self.hparams.metrics.append(batch.id[:count], logits, targets, finite)
        return losses[:count].sum() * weight

    def init_optimizers(self):
        """Optimise what is trained, with a schedule that steps per update."""
        groups = parameter_groups(self.modules, self.hparams.lr_by_part)
        self.optimizer = self.opt_class(groups)
        self.optimizers_dict = {"opt_class": self.optimizer}
        updates = self.train_sampler.updates * self.hparams.number_of_epochs
        self.schedule = self.hparams.lr_schedule(self.optimizer, T_max=updates)
        require_gradients(self.modules, self.optimizer)
        self.checkpointer.add_recoverable("optimizer", self.optimizer)
        self.checkpointer.add_recoverable("schedule", self.schedule)

    def on_fit_batch_start(self, batch, should_step):
        """Let dropout depend on seed, epoch, step and process alone."""
        seed_step(self.train_sampler, self.step)

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Move the learning rate."""
        if should_step:
            self.schedule.step()

    def on_stage_start(self, stage, epoch=None):
        """Start counting, unless the run resumes within an epoch."""
        if stage != sb.Stage.TRAIN or self.step == 0:
            self.hparams.metrics.clear()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log what a stage gave; after an epoch's last stage, save."""
        train = stage == sb.Stage.TRAIN
        self.require_finite(stage, stage_loss)
        stats = self.hparams.metrics.summarize(gather=train)
        if stage == sb.Stage.TEST:
            self.test_stats = stats
            return
        if train:
            self.train_stats, stats = stats, None
            if not self.hparams.fixed_epochs:  # validation follows
                return
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, **learning_rates(self.optimizer)},
            train_stats=self.train_stats,
            valid_stats=stats,
        )
        self.step = 0  # a resumed run begins the next epoch
        self.checkpointer.save_and_keep_only(
            meta=epoch_meta(self, epoch, stats, self.hparams.best_metric),
            max_keys=["score"],
            num_to_keep=2,  # the best and the latest, each with one in reserve
        )


def run_fold(experiment, fold, labels, pooled):
    """Train and test one fold, from where it was interrupted."""
    hparams = experiment.load(fold, labels=labels)
    use_cache = hparams["feature_cache"] and not experiment.run_opts.debug
    datasets = make_datasets(
        fold.parts,
        hparams["data_folder"],
        hparams["features"],
        labels,
        cache=hparams["cache"]() if use_cache else None,
        windows=hparams["windows"],
    )
    if hparams["pool_once"]:  # a linear probe
        datasets, hparams = pool_once(
            datasets, hparams, experiment.run_opts, pooled
        )
    if hparams["hidden_cache"]:  # frozen layers below trained ones
        keep = hparams["keep_hidden"]
        datasets, hparams = keep(datasets, hparams, experiment.run_opts)
    brain = AudioBrain(
        hparams["modules"],
        hparams["opt_class"],
        hparams,
        experiment.run_opts,
        hparams["checkpointer"],
    )
    brain.fit(
        hparams["epoch_counter"],
        make_train_loader(
            brain,
            datasets["train"],
            hparams["train_batches"],
            hparams["train_loader"],
        ),
        datasets.get("valid"),
        valid_loader_kwargs=hparams["test_loader"],
    )
    result = evaluate_last_and_best(brain, datasets["test"])
    rows = hparams["metrics"].predictions()
    experiment.finish_fold(fold, result, rows, hparams["model"])


def main(arguments):
    """Run all folds that are not finished, then sum up."""
    with start(arguments, __file__) as experiment:
        recipe = experiment.recipe
        plan, labels = experiment.prepare(
            prepare_audio, recipe["prepare"], recipe["plan"]
        )
        pooled = {}  # the features of a linear probe, for all folds
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold, labels, pooled)
        experiment.summarise(plan, partial(write_confusion, labels=labels))


if __name__ == "__main__":
    main(sys.argv[1:])
