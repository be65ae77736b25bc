"""A trial-based task: are two clips of the same speaker?

Speakers are classified in training; validation and test parts are trials, two
clips each, and the epoch with the lowest equal error rate is selected.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import petl_modules  # noqa: F401  before torch: how idle CPU threads wait

# isort: split
import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.metric_stats import EER

from petl_modules.data import load_features
from petl_modules.runs import start
from petl_modules.training import (
    ReproducibleSteps,
    epoch_meta,
    evaluate_last_and_best,
    make_train_loader,
    require_gradients,
    seed_step,
)
from tests.tasks.tones import prepare_trials


class EqualErrorRate:
    """Scores of trials, and the rate at which both kinds of errors are equal."""

    def __init__(self):
        self.clear()

    def clear(self):
        """Start a new pass."""
        self.rows = []

    def append(self, ids, scores, same):
        """Add a batch of trials."""
        for trial in zip(ids, scores.tolist(), same.tolist()):
            self.rows.append(dict(zip(("id", "score", "same"), trial)))

    def summarize(self):
        """Return the equal error rate."""
        scores = [
            torch.tensor([r["score"] for r in self.rows if r["same"] == same])
            for same in (1, 0)
        ]
        return {"eer": float(EER(*scores)[0])}


class VerificationBrain(ReproducibleSteps, sb.Brain):
    """An encoder with trained parts, pooled, with a linear head for speakers."""

    def compute_forward(self, batch, stage):
        """Return logits of speakers; of trials, the embeddings of both clips."""
        batch = batch.to(self.device)
        if stage == sb.Stage.TRAIN:
            features, lengths = batch.features
            return self.modules.model(features, lengths)
        sides = batch.first_features, batch.second_features
        return [self.hparams.model.embed(*side) for side in sides]

    def compute_objectives(self, outputs, batch, stage):
        """Return the mean loss of all processes; of trials, none."""
        targets = batch.target.data.squeeze(1)
        if stage != sb.Stage.TRAIN:
            scores = torch.nn.functional.cosine_similarity(*outputs)
            self.hparams.metrics.append(batch.id, scores, targets)
            return torch.zeros(())
        losses = self.hparams.loss(outputs, targets, reduction="none")
        count, weight = self.train_sampler.loss_weight(self.step)
        return losses[:count].sum() * weight

    def init_optimizers(self):
        """Optimise what is trained, with a schedule that steps per update."""
        parameters = [p for p in self.modules.parameters() if p.requires_grad]
        self.optimizer = self.opt_class(parameters)
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
        """Start the metrics of an evaluation."""
        if stage != sb.Stage.TRAIN:
            self.hparams.metrics.clear()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log what a stage gave; after an epoch's last stage, save."""
        self.require_finite(stage, stage_loss)
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"loss": self.avg_train_loss}
            return
        stats = self.hparams.metrics.summarize()
        if stage == sb.Stage.TEST:
            self.test_stats = stats
            return
        self.hparams.train_logger.log_stats(
            {"epoch": epoch}, self.train_stats, stats
        )
        self.checkpointer.save_and_keep_only(
            meta=epoch_meta(self, epoch, stats, self.hparams.best_metric),
            max_keys=["score"],
            num_to_keep=2,
        )


def clips_dataset(records, load, labels):
    """Return clips with their speakers."""
    items = [
        {"func": load, "takes": "wav", "provides": "features"},
        {
            "func": lambda speaker: torch.tensor([labels.index(speaker)]),
            "takes": "speaker",
            "provides": "target",
        },
    ]
    return DynamicItemDataset(records, items, ["id", "features", "target"])


def trials_dataset(records, load):
    """Return trials of two clips each."""
    items = [
        {"func": load, "takes": side, "provides": f"{side}_features"}
        for side in ("first", "second")
    ]
    target = {
        "func": lambda same: torch.tensor([int(same)]),
        "takes": "same",
        "provides": "target",
    }
    keys = ["id", "first_features", "second_features", "target"]
    return DynamicItemDataset(records, [*items, target], keys)


def run_fold(experiment, fold, speakers):
    """Train and test one fold."""
    hparams = experiment.load(fold, labels=speakers)
    load = partial(load_features, hparams["features"], hparams["data_folder"])
    brain = VerificationBrain(
        hparams["modules"],
        hparams["opt_class"],
        hparams,
        experiment.run_opts,
        hparams["checkpointer"],
    )
    clips = clips_dataset(fold.parts["train"], load, speakers)
    brain.fit(
        hparams["epoch_counter"],
        make_train_loader(
            brain, clips, hparams["train_batches"], hparams["train_loader"]
        ),
        trials_dataset(fold.parts["valid"], load),
        valid_loader_kwargs=hparams["test_loader"],
    )
    trials = trials_dataset(fold.parts["test"], load)
    result = evaluate_last_and_best(brain, trials)
    rows = hparams["metrics"].rows
    experiment.finish_fold(fold, result, rows, hparams["model"])


def main(arguments):
    """Run all folds that are not finished, then sum up."""
    with start(arguments, __file__) as experiment:
        recipe = experiment.recipe
        plan, speakers = experiment.prepare(
            prepare_trials, recipe["prepare"], recipe["plan"]
        )
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold, speakers)
        experiment.summarise(plan)


if __name__ == "__main__":
    main(sys.argv[1:])
