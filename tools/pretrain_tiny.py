"""Pretrain the small backbones in ``pretrained`` on generated sounds.

    python tools/pretrain_tiny.py ast pretrained/tiny-ast
    python tools/pretrain_tiny.py wav2vec2 pretrained/tiny-wav2vec2

Both are trained to recognise sounds over time: AST classifies, from the tokens
of each time step, the phones or the source of a sound; wav2vec 2.0 the phone of
each frame and, from their mean, the manner of speaking. The seed fixes
everything but the order in which a machine adds up numbers.
"""

import argparse
import sys
import time
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm
from transformers import ASTConfig, ASTModel, Wav2Vec2Config, Wav2Vec2Model

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from petl_modules.backbones import fit_positions, save_encoder
from petl_modules.data import FilterBank, SpecAugment, Waveform
from petl_modules.utils import build_folder, is_taken
from tools.pretraining_data import (
    MANNER,
    NUMBERS,
    RATE,
    SOURCES,
    sound,
    utterance,
)

FRAME = 320  # samples from one label to the next, as wav2vec 2.0's frames
NONE = -100
# Share of the clips of each length in frames of 10 ms
LENGTHS = {
    "ast": {100: 0.36, 200: 0.36, 250: 0.22, 500: 0.05, 1024: 0.01},
    "wav2vec2": {100: 0.6, 200: 0.4},
}
SIZES = {  # clips, steps, batch
    "ast": (32000, 6000, 64),
    "wav2vec2": (6000, 1800, 32),
}
HELD_OUT = 40  # of so many clips one is kept to measure
WIDTH = dict(
    hidden_size=128,
    num_hidden_layers=6,
    num_attention_heads=4,
    intermediate_size=256,
)


def draw_clip(job):
    """Return one clip: features, source, manner of speaking, phones."""
    kind, seed, number, frames = job
    rng = np.random.default_rng((seed, number))
    if kind == "ast" and number % 4 == 0:
        source = int(rng.integers(len(SOURCES)))
        samples = sound(source, rng, frames / 100)
        manner = [NONE] * len(MANNER)
        phones = np.full(frames * RATE // 100, NONE)
    else:
        source = NONE
        samples, manner, phones = utterance(rng, frames / 100)
    take = FilterBank(frames) if kind == "ast" else Waveform(frames / 100)
    features = take(torch.from_numpy(samples).float()).half()
    labels = [source, *manner, *phones[FRAME // 2 :: FRAME]]
    return features.numpy(), np.array(labels, "i2")


def draw_clips(kind, clips, seed, processes):
    """Return all clips by length.

    Arguments
    ---------
    kind : str
        ``ast`` or ``wav2vec2``.
    clips : int
        How many.
    seed : int
        Seed of all draws.
    processes : int
        How many draw.

    Returns
    -------
    dict
        From length in frames to features ``[clips, ...]`` and labels
        ``[clips, 1 + manners + frames / 2]``.
    """
    lengths = LENGTHS[kind]
    rng = np.random.default_rng((seed, 0))
    drawn = rng.choice([*lengths], clips, p=[*lengths.values()])
    jobs = [(kind, seed, i, int(drawn[i])) for i in range(clips)]
    with Pool(processes, torch.set_num_threads, [1]) as pool:
        found = pool.imap(draw_clip, jobs, chunksize=32)
        found = [*tqdm(found, "clips", clips, mininterval=5)]
    groups = {}
    for length in lengths:
        own = [clip for clip, n in zip(found, drawn) if n == length]
        if len(own) > 1:  # one to learn, one to measure
            groups[length] = [torch.from_numpy(np.stack(x)) for x in zip(*own)]
    return groups


class AstTask(nn.Module):
    """A small AST with classifiers on the tokens of each time step."""

    def __init__(self):
        super().__init__()
        config = ASTConfig(**WIDTH, frequency_stride=16, time_stride=16)
        self.model = ASTModel(config)
        embeddings = self.model.embeddings
        for weight in (
            embeddings.position_embeddings,
            embeddings.cls_token,
            embeddings.distillation_token,
        ):
            nn.init.normal_(weight, std=0.02)
        self.augment = SpecAugment(freq=16, time=16)
        self.sources = nn.Linear(config.hidden_size, len(SOURCES))
        self.phones = nn.Linear(config.hidden_size, 2 * (1 + len(NUMBERS)))

    def forward(self, features, labels):
        """Return the loss and the numbers of right answers (see ``answer``)."""
        if self.training:
            features = self.augment(features)
        steps = self.steps(features)
        sources = self.sources(steps).transpose(1, 2)
        told = labels[:, :1].expand(-1, steps.shape[1])
        # A step is 160 ms long: the phones of its first and second half
        phones = self.phones(steps).unflatten(-1, (2, -1))
        heard = labels[:, 1 + len(MANNER) :][:, : 8 * steps.shape[1]]
        heard = heard.unflatten(1, (-1, 8))[:, :, [2, 6]]
        return answer(
            source=(1.0, sources, told),
            phones=(3.0, phones.movedim(-1, 1), heard),
        )

    def steps(self, features):
        """Return the mean token of each step, ``[batch, steps, d_model]``."""
        embeddings, config = self.model.embeddings, self.model.config
        grid = embeddings.get_shape(config)
        patches = embeddings.patch_embeddings(features)
        columns = patches.shape[1] // grid[0]
        first = (embeddings.cls_token, embeddings.distillation_token)
        first = [token.expand(len(features), -1, -1) for token in first]
        hidden = torch.cat([*first, patches], dim=1) + fit_positions(
            embeddings.position_embeddings, grid, columns, "center_cut"
        )
        for layer in self.model.layers:
            hidden = layer(hidden)
        hidden = self.model.layernorm(hidden)
        return hidden[:, 2:].unflatten(1, (grid[0], columns)).mean(1)


class Wav2Vec2Task(nn.Module):
    """A small wav2vec 2.0 with classifiers on the frames and on their mean."""

    def __init__(self):
        super().__init__()
        config = Wav2Vec2Config(
            **WIDTH,
            conv_dim=(32, 32, 64, 64),
            conv_kernel=(10, 8, 4, 4),
            conv_stride=(5, 4, 4, 4),
            num_conv_pos_embeddings=32,
            num_conv_pos_embedding_groups=4,
            mask_time_prob=0.0,
            layerdrop=0.0,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            feat_proj_dropout=0.0,
            activation_dropout=0.0,
        )
        self.model = Wav2Vec2Model(config)
        self.phones = nn.Linear(config.hidden_size, 1 + len(NUMBERS))
        self.manner = nn.ModuleDict(
            {
                name: nn.Linear(config.hidden_size, n)
                for name, n in MANNER.items()
            }
        )

    def forward(self, features, labels):
        """Return the loss and the numbers of right answers (see ``answer``)."""
        hidden = self.model(features).last_hidden_state
        phones = self.phones(hidden).transpose(1, 2)
        heard = labels[:, 1 + len(MANNER) :][:, : hidden.shape[1]]
        mean = hidden.mean(1)
        manner = {
            name: (1.0, head(mean), told)
            for (name, head), told in zip(self.manner.items(), labels.T[1:])
        }
        return answer(phones=(3.0, phones, heard), **manner)


def answer(**questions):
    """Return the loss and the numbers of right answers.

    Arguments
    ---------
    **questions : tuple
        Weight in the loss, logits ``[batch, classes, ...]`` and classes
        ``[batch, ...]``. Of phones, those count that are there.

    Returns
    -------
    tuple
        The loss, and from question to two numbers: of right answers and of
        all.
    """
    loss, right = 0.0, {}
    for name, (weight, logits, told) in questions.items():
        if (told != NONE).any():
            loss = loss + weight * F.cross_entropy(logits, told)
            counted = told > 0 if name == "phones" else told != NONE
            hits = (logits.argmax(1) == told)[counted]
            right[name] = np.array([hits.sum().item(), hits.numel()])
    return loss, right


def train(task, groups, steps, batch, seed):
    """Train for a number of steps, and print the progress."""
    optimizer = torch.optim.AdamW(
        task.parameters(), lr=1e-3, weight_decay=0.05, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-3, total_steps=steps, pct_start=0.1
    )
    rng = np.random.default_rng((seed, 1))
    shares = np.array([len(features) for features, _ in groups.values()])
    start = time.time()
    for step in tqdm(range(1, steps + 1), "steps", mininterval=5):
        length = rng.choice([*groups], p=shares / shares.sum())
        features, labels = groups[length]
        kept = np.flatnonzero(np.arange(len(features)) % HELD_OUT)
        chosen = torch.from_numpy(rng.choice(kept, batch))
        loss, _ = task(features[chosen].float(), labels[chosen].long())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps:
            tqdm.write(
                f"{step} ({time.time() - start:.0f} s) {test(task, groups)}"
            )


@torch.inference_mode()
def test(task, groups):
    """Return the accuracies on the held-out clips, over all lengths."""
    task.eval()
    found = {}
    for features, labels in groups.values():
        features, labels = features[::HELD_OUT], labels[::HELD_OUT]
        _, right = task(features.float(), labels.long())
        for name, numbers in right.items():
            found[name] = found.get(name, 0) + numbers
    task.train()
    return {name: round(float(r / n), 3) for name, (r, n) in found.items()}


def main(arguments=None):
    """Run the command line (see the head of this file)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=[*LENGTHS])
    parser.add_argument("folder", type=Path, help="a new folder")
    for name in ("clips", "steps", "batch"):
        parser.add_argument(f"--{name}", type=int, help="see SIZES")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    if is_taken(given.folder):
        parser.error(f"{given.folder} is there already: name a new folder")
    chosen = (given.clips, given.steps, given.batch)
    if any(number is not None and number < 1 for number in chosen):
        parser.error("--clips, --steps and --batch: choose 1 or more")
    clips, steps, batch = (x or y for x, y in zip(chosen, SIZES[given.kind]))
    groups = draw_clips(given.kind, clips, given.seed, given.processes)
    torch.manual_seed(given.seed)
    task = AstTask() if given.kind == "ast" else Wav2Vec2Task()
    train(task, groups, steps, batch, given.seed)
    build_folder(given.folder, partial(save_encoder, task.model))
    print(f"the encoder is in {given.folder}")


if __name__ == "__main__":
    main()
