"""A frame-level task: units without their times, by a CTC loss.

It shows what a recipe of another task has of its own: the Brain below, the
keys of hparams/recognition.yaml, and how clips become targets. Run folder,
folds, exact resume, selection and summary are those of all recipes.
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
from speechbrain.utils.distributed import ddp_all_reduce
from speechbrain.utils.metric_stats import ErrorRateStats

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
from petl_modules.utils import n_processes
from tests.tasks.tones import prepare_sequences


class ErrorRate(ErrorRateStats):
    """SpeechBrain's statistics, whose rates are in per cent."""

    def rate(self):
        """Return the error rate of all clips, as a share."""
        return self.summarize("error_rate") / 100

    def predictions(self):
        """Return one row a clip."""
        return [
            {
                "id": score["key"],
                "text": " ".join(score["ref_tokens"]),
                "predicted": " ".join(score["hyp_tokens"]),
            }
            for score in self.scores
        ]


class RecognitionBrain(ReproducibleSteps, sb.Brain):
    """An encoder with trained parts, and a linear head on every frame."""

    def compute_forward(self, batch, stage):
        """Return the logits, ``[batch, time, units]``, and their mask."""
        batch = batch.to(self.device)
        features, lengths = batch.features
        return self.modules.model(features, lengths)

    def compute_objectives(self, outputs, batch, stage):
        """Return the mean CTC loss, in training that of all processes."""
        logits, mask = outputs
        frames, counts = mask.sum(1), batch.n_units.data.squeeze(1)
        losses = self.hparams.loss(
            logits.float().log_softmax(-1).transpose(0, 1),
            batch.units.data,
            frames,
            counts,
            reduction="none",
        )
        losses = losses / counts
        if stage != sb.Stage.TRAIN:
            best = [b[:n] for b, n in zip(logits.argmax(-1), frames.tolist())]
            best = [b.unique_consecutive().tolist() for b in best]
            names = self.hparams.labels
            self.hparams.metrics.append(
                batch.id,
                [[names[i] for i in clip if i] for clip in best],  # 0: blank
                [text.split() for text in batch.text],
            )
            return losses.mean()
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
            loss = torch.tensor(self.avg_train_loss)
            loss = ddp_all_reduce(loss, torch.distributed.ReduceOp.SUM)
            self.train_stats = {"loss": loss.item() / n_processes()}
            return
        stats = {"loss": float(stage_loss), "uer": self.hparams.metrics.rate()}
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


def encode(labels, text):
    """Return the units of a clip."""
    return torch.tensor([labels.index(unit) for unit in text.split()])


def count(text):
    """Return the number of units of a clip."""
    return torch.tensor([len(text.split())])


def run_fold(experiment, fold, labels):
    """Train and test one fold."""
    hparams = experiment.load(fold, labels=labels)
    load = partial(load_features, hparams["features"], hparams["data_folder"])
    items = [
        {"func": load, "takes": "wav", "provides": "features"},
        {
            "func": partial(encode, labels),
            "takes": "text",
            "provides": "units",
        },
        {"func": count, "takes": "text", "provides": "n_units"},
    ]
    keys = ["id", "features", "units", "n_units", "text"]
    datasets = {
        part: DynamicItemDataset(records, items, keys)
        for part, records in fold.parts.items()
    }
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
        datasets["valid"],
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
            prepare_sequences, recipe["prepare"], recipe["plan"]
        )
        for fold in experiment.unfinished(plan):
            run_fold(experiment, fold, labels)
        experiment.summarise(plan)


if __name__ == "__main__":
    main(sys.argv[1:])
