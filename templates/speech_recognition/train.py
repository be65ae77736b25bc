#!/usr/bin/env python3
"""Train and test a PETL method that recognises speech: your own recordings.

To run this recipe:
> python train.py hparams/lora.yaml --data_folder /path/to/my_speech

A head on every frame of the encoder is trained by a CTC loss to write
characters, phones or pieces of words. Start reading at the bottom: main()
prepares the data, plans the folds, trains and tests each of them, and sums up.

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

from petl_modules.backbones import refuse_tuned
from petl_modules.recognition import evaluate_sets, make_utterances
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
from speech_prepare import prepare_speech

import speechbrain as sb


class RecognitionBrain(ReproducibleSteps, sb.Brain):
    """An encoder with trained parts, and a head on every frame."""

    def compute_forward(self, batch, stage):
        """Return logits, ``[batch, time, units]``, and the mask of frames."""
        batch = batch.to(self.device, non_blocking=True)
        features, lengths = batch.features
        if stage == sb.Stage.TRAIN:
            features = self.hparams.augment(features)
        return self.modules.model(features, lengths)

    def compute_objectives(self, outputs, batch, stage):
        """Return the mean loss, in training that of all processes."""
        logits, mask = outputs
        counts = batch.count.data.squeeze(1)
        losses = self.hparams.loss(
            logits, mask, batch.target.data, counts, batch.id
        )
        if stage != sb.Stage.TRAIN:
            self.hparams.metrics.append(
                batch.id, logits, mask, batch.said, losses
            )
            return losses.mean()
        # Every clip counts once, whichever process has it
        count, weight = self.train_sampler.loss_weight(self.step)
        self.hparams.metrics.append_losses(losses[:count])
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


def run_fold(experiment, fold, labels):
    """Train and test one fold, from where it was interrupted."""
    hparams = experiment.load(fold, labels=labels)
    datasets = make_utterances(
        fold.parts,
        hparams["data_folder"],
        hparams["features"],
        hparams["alphabet"],
    )
    if hparams["hidden_cache"]:  # frozen layers below trained ones
        keep = hparams["keep_hidden"]
        datasets, hparams = keep(datasets, hparams, experiment.run_opts)
    brain = RecognitionBrain(
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
    result, rows = evaluate_sets(brain, datasets)
    experiment.finish_fold(fold, result, rows, hparams["model"])


def main(arguments):
    """Run all folds that are not finished, then sum up."""
    with start(arguments, __file__) as experiment:
        recipe = experiment.recipe
        if not recipe["allow_tuned_encoder"]:
            refuse_tuned(recipe["backbone"])
        plan, labels = experiment.prepare(
            prepare_speech, recipe["prepare"], recipe["plan"]
        )
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold, labels)
        experiment.summarise(plan)


if __name__ == "__main__":
    main(sys.argv[1:])
