#!/usr/bin/env python3
"""Train and test a PETL method that verifies speakers: your own recordings.

To run this recipe:
> python train.py hparams/lora.yaml --data_folder /path/to/my_speakers

Speakers are classified in training. Validation and test parts have other
speakers, and trials: are two clips of the same speaker? Start reading at the
bottom: main() prepares the data, plans the folds, trains and tests each of
them, and sums up.

Authors
 * The PETL audio recipes team 2026
"""

import sys
from pathlib import Path

# The recipe runs from a checkout, with or without petl_modules installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from petl_modules.libraries import end_if_interrupted, require_libraries

if __name__ == "__main__":
    end_if_interrupted()
require_libraries("torch", "torchaudio")  # petl_modules first, then torch

import torch
from petl_modules.data import make_datasets
from petl_modules.runs import start
from petl_modules.training import (
    ReproducibleSteps,
    epoch_meta,
    learning_rates,
    make_train_loader,
    parameter_groups,
    require_gradients,
    seed_step,
)
from petl_modules.verification import (
    embed_windows,
    evaluate_trials,
    make_trials,
    write_error_curve,
)
from speaker_prepare import prepare_speaker

import speechbrain as sb


class SpeakerBrain(ReproducibleSteps, sb.Brain):
    """An encoder with trained parts, pooled to an embedding of the speaker."""

    def compute_forward(self, batch, stage):
        """Return the outputs for each speaker, or the windows' embeddings.

        They are ``[batch, speakers]`` in training, ``[batch, windows, size]``
        in validation and test.
        """
        batch = batch.to(self.device, non_blocking=True)
        features, lengths = batch.features
        if stage == sb.Stage.TRAIN:
            features = self.hparams.augment(features)
            return self.modules.model(features, lengths)
        return embed_windows(
            self.hparams.model,
            self.hparams.windows,
            self.hparams.test_features,
            features,
            lengths,
        )

    def compute_objectives(self, outputs, batch, stage):
        """Return the mean loss of all processes; of trials, there is none."""
        if stage != sb.Stage.TRAIN:
            self.hparams.metrics.append(batch.id, outputs)
            return torch.zeros(())
        targets = batch.target.data.squeeze(1)
        losses = self.hparams.loss(outputs, targets, reduction="none")
        # Every clip counts once, whichever process has it
        count, weight = self.train_sampler.loss_weight(self.step)
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
        """Start collecting embeddings."""
        if stage != sb.Stage.TRAIN:
            self.hparams.metrics.clear()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log what a stage gave; after an epoch's last stage, save."""
        self.require_finite(stage, stage_loss)
        if stage == sb.Stage.TRAIN:
            self.train_stats, stats = {"loss": stage_loss}, None
            if not self.hparams.fixed_epochs:  # validation follows
                return
        else:
            trials = self.trials["valid" if stage == sb.Stage.VALID else "test"]
            stats = self.hparams.metrics.summarize(trials)
        if stage == sb.Stage.TEST:
            self.test_stats = stats
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


def run_fold(experiment, fold):
    """Train and test one fold, from where it was interrupted."""
    parts = fold.parts
    speakers = sorted({clip["speaker"] for clip in parts["train"].values()})
    hparams = experiment.load(fold, labels=speakers)
    trials = make_trials(parts, hparams, few=experiment.run_opts.debug)
    train = make_datasets(
        {"train": parts["train"]},
        hparams["data_folder"],
        hparams["features"],
        speakers,
        target="speaker",
        windows=hparams["windows"],
    )["train"]
    valid = None
    if "valid" in trials:
        clips = {clip: parts["valid"][clip] for clip in trials["valid"].clips()}
        valid = hparams["trial_loader"](clips)
    brain = SpeakerBrain(
        hparams["modules"],
        hparams["opt_class"],
        hparams,
        experiment.run_opts,
        hparams["checkpointer"],
    )
    brain.trials = trials
    brain.fit(
        hparams["epoch_counter"],
        make_train_loader(
            brain, train, hparams["train_batches"], hparams["train_loader"]
        ),
        valid,
    )
    result, rows = evaluate_trials(brain, parts, trials)
    experiment.finish_fold(fold, result, rows, hparams["model"])


def main(arguments):
    """Run all folds that are not finished, then sum up."""
    with start(arguments, __file__) as experiment:
        recipe = experiment.recipe
        plan, _ = experiment.prepare(
            prepare_speaker, recipe["prepare"], recipe["plan"]
        )
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold)
        experiment.summarise(plan, write_error_curve)


if __name__ == "__main__":
    main(sys.argv[1:])
