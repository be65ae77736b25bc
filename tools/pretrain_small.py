"""Pretrain ``pretrained/small-wav2vec2`` on recorded and generated speech.

    python tools/real_speech.py speech *.deb
    python tools/pretrain_small.py speech pretrained/small-wav2vec2

From recordings the encoder learns the letters of what is said, in order from
its frames (CTC) and as a set from their mean, in the voices, rooms and channels
of ``tools/changed_speech.py``; from generated speech what
``tools/pretrain_tiny.py`` teaches. ``tools/real_texts.py`` chooses the recordings:
none with a number, and none of the voices whose syllables measure what carries
over to a voice that was never heard.
"""

import argparse
import json
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm
from transformers import Wav2Vec2Config, Wav2Vec2Model

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from petl_modules.backbones import save_encoder
from petl_modules.utils import (
    DataError,
    UserError,
    build_folder,
    fail,
    require_new_folder,
)
from tools.changed_speech import FASTEST, RATE, change, read_speech
from tools.pretrain_tiny import MANNER, NUMBERS, answer, draw_clips
from tools.real_speech import read_recordings, summarize
from tools.real_texts import ALPHABET, choose

BATCH_SECONDS = 24
SYNTHETIC = 4  # one of so many batches is generated speech
CONFIG = dict(
    hidden_size=128,
    num_hidden_layers=6,
    num_attention_heads=4,
    intermediate_size=512,
    conv_dim=(48, 64, 96, 96),
    conv_kernel=(20, 8, 4, 4),
    conv_stride=(10, 4, 4, 2),
    num_conv_pos_embeddings=32,
    num_conv_pos_embedding_groups=4,
    mask_time_prob=0.0,
    layerdrop=0.0,
    hidden_dropout=0.1,
    attention_dropout=0.0,
    feat_proj_dropout=0.1,
    activation_dropout=0.0,
)


def pieces(letters):
    """Return the letters and pairs of letters of a text."""
    pairs = (letters[i : i + 2] for i in range(len(letters) - 1))
    return {x for x in (*letters, *pairs) if " " not in x}


class Task(nn.Module):
    """A small wav2vec 2.0 with heads for letters, phones and manner.

    Arguments
    ---------
    languages : list of str
        Their spelling is told apart by a vector each.
    pieces : list of str
        Letters and pairs that are told from the mean of the frames.
    """

    def __init__(self, languages, pieces):
        super().__init__()
        self.model = Wav2Vec2Model(Wav2Vec2Config(**CONFIG))
        width = self.model.config.hidden_size
        self.languages = {name: i for i, name in enumerate(languages)}
        self.pieces = {piece: i for i, piece in enumerate(pieces)}
        self.language = nn.Embedding(len(languages), width)
        self.letters = nn.Sequential(
            nn.GELU(), nn.Linear(width, 1 + len(ALPHABET))
        )
        self.told = nn.Linear(width, len(pieces))
        self.phones = nn.Linear(width, 1 + len(NUMBERS))
        self.manner = nn.ModuleDict(
            {name: nn.Linear(width, n) for name, n in MANNER.items()}
        )

    def recorded(self, samples, clips):
        """Return the loss of recordings ``[batch, time]`` of one length."""
        hidden = self.model(samples).last_hidden_state
        spoken = [self.languages[language] for _, language, _ in clips]
        spelt = hidden + self.language(torch.tensor(spoken))[:, None]
        scores = self.letters(spelt).log_softmax(-1).transpose(0, 1)
        texts = [[ALPHABET.index(x) + 1 for x in text] for *_, text in clips]
        lengths = torch.tensor([len(text) for text in texts])
        frames = torch.full((len(clips),), hidden.shape[1])
        ctc = F.ctc_loss(
            scores,
            torch.tensor([x for text in texts for x in text]),
            frames,
            lengths,
            reduction="none",
            zero_infinity=True,
        )
        known = torch.zeros(len(clips), len(self.pieces))
        for i, (*_, text) in enumerate(clips):
            for piece in pieces(text) & self.pieces.keys():
                known[i, self.pieces[piece]] = 1
        told = F.binary_cross_entropy_with_logits(
            self.told(hidden.mean(1)), known, reduction="none"
        )
        return (ctc / lengths).mean() + told.sum(1).mean() / 30

    def generated(self, samples, labels):
        """Return the loss of generated speech."""
        hidden = self.model(samples).last_hidden_state
        phones = self.phones(hidden).transpose(1, 2)
        heard = labels[:, 1 + len(MANNER) :][:, : hidden.shape[1]]
        mean = hidden.mean(1)
        manner = {
            name: (0.2, head(mean), told)
            for (name, head), told in zip(self.manner.items(), labels.T[1:])
        }
        return answer(phones=(1.0, phones, heard), **manner)[0]


def draw_batch(clips, rng):
    """Return samples ``[batch, time]`` and clips of about one length."""
    order = np.array([len(samples) for samples, _, _ in clips])
    first = clips[rng.integers(len(clips))][0]
    near = np.flatnonzero(np.abs(np.log(order / len(first))) < 0.12)
    length = int(len(first) * FASTEST ** rng.uniform(-1, 1))
    number = max(4, min(64, round(BATCH_SECONDS * RATE / length)))
    chosen = rng.choice(near, min(number, len(near)), replace=False)
    chosen = [clips[i] for i in chosen]
    samples = [change(samples, length, rng) for samples, _, _ in chosen]
    return torch.from_numpy(np.stack(samples)), chosen


@torch.inference_mode()
def measure(model, clips):
    """Return the share of syllables told in voices that were never heard.

    A linear model in closed form (ridge regression) on the mean of the frames
    learns from the clips of all languages but one, and tells those of that
    one. Syllables of four languages or more count.
    """
    model.eval()
    spoken = {}
    for _, language, text in clips:
        spoken.setdefault(text, set()).add(language)
    known = sorted(text for text, of in spoken.items() if len(of) >= 4)
    clips = [clip for clip in clips if clip[2] in known]
    means = []
    for samples, _, _ in clips:
        samples = torch.from_numpy(samples - samples.mean())[None]
        means.append(model(samples).last_hidden_state.mean(1)[0])
    means = torch.stack(means).double()
    means = (means - means.mean(0)) / means.std(0)
    labels = torch.tensor([known.index(text) for *_, text in clips])
    right = 0
    for language in {language for _, language, _ in clips}:
        test = torch.tensor([of == language for _, of, _ in clips])
        x, y = means[~test], F.one_hot(labels[~test], len(known)).double()
        gram = x.T @ x + 30 * torch.eye(x.shape[1])
        weights = torch.linalg.solve(gram, x.T @ (y - y.mean(0)))
        guess = (means[test] @ weights + y.mean(0)).argmax(1)
        right += (guess == labels[test]).sum().item()
    model.train()
    return right / len(clips), len(known), len(clips)


def train(task, clips, held_out, synthetic, steps, seed):
    """Train for a number of steps, and print the progress."""
    optimizer = torch.optim.AdamW(
        task.parameters(), lr=1e-3, weight_decay=0.05, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.5e-3, total_steps=steps, pct_start=0.1
    )
    rng = np.random.default_rng((seed, 1))
    start, losses = time.time(), {"recorded": [], "generated": []}
    for step in tqdm(range(1, steps + 1), "steps", mininterval=5):
        if step % SYNTHETIC:
            loss = task.recorded(*draw_batch(clips, rng))
            losses["recorded"].append(loss.item())
        else:
            group = synthetic[rng.choice([*synthetic])]
            chosen = torch.from_numpy(rng.choice(len(group[0]), 32))
            samples, labels = (part[chosen] for part in group)
            loss = task.generated(samples.float(), labels.long())
            losses["generated"].append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps:
            share, syllables, number = measure(task.model, held_out)
            means = {k: round(np.mean(v[-200:]), 3) for k, v in losses.items()}
            tqdm.write(
                f"{step} ({time.time() - start:.0f} s) {json.dumps(means)} "
                f"{syllables} syllables, {number} clips: {share:.3f}"
            )


def main(arguments=None):
    """Run the command line (see the head of this file)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path, help="of tools/real_speech.py")
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--generated", type=int, default=6000, help="clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    if min(given.steps, given.generated, given.processes) < 1:
        parser.error("--steps, --generated and --processes: choose 1 or more")
    require_new_folder(given.folder)
    rows = read_recordings(given.speech)
    found = choose(rows)
    if not all(found):
        raise DataError(
            f"{given.speech} lacks recordings to learn from, or those that "
            "measure: make it again by tools/real_speech.py, of all packages"
        )
    files = {file for file, *_ in found[0]}
    print(summarize([row for row in rows if row["file"] in files]))
    learn, held_out = (
        [(read_speech(file), *rest) for file, *rest in tqdm(clips, "clips")]
        for clips in found
    )
    languages = sorted({language for _, language, _ in learn})
    counts = Counter(x for *_, text in learn for x in pieces(text))
    common = [x for x, n in counts.most_common(250)]
    synthetic = draw_clips(
        "wav2vec2", given.generated, given.seed, given.processes
    )
    torch.manual_seed(given.seed)
    task = Task(languages, common)
    train(task, learn, held_out, synthetic, given.steps, given.seed)
    config = task.model.config
    config.hidden_dropout = config.feat_proj_dropout = 0.0
    build_folder(given.folder, partial(save_encoder, task.model))
    print(f"the encoder is in {given.folder}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted, nothing was written")
    except (UserError, OSError) as error:
        fail(error)
