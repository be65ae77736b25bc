"""The same work by other libraries, in one process, step by step in turn.

    python benchmarks/peers.py --batch 8 --frames 100
    python benchmarks/peers.py --device cuda --precision bf16 --compile

LoRA of the same rank on the same AST by peft and by SpeechBrain's
``AdaptedModel``, without the norm that our recipe trains as well; and the
filter bank against ``ASTFeatureExtractor``. A library that is not installed is
left out with a note (``pip install peft``).
"""

import argparse
import statistics
import tempfile
from functools import partial

import common  # isort: skip, first: it prepares the path
import torch
from memory import saved_bytes
from speechbrain.nnet.adapters import AdaptedModel
from speechbrain.nnet.adapters import LoRA as SpeechBrainLoRA
from step import add_options
from step_row import precision
from torch import nn
from transformers import ASTFeatureExtractor

from petl_modules.backbones import AST
from petl_modules.data import FilterBank
from petl_modules.data.loading import one_thread
from petl_modules.methods import LoRA
from petl_modules.models import MeanPooling, TunedEncoder, TunedModel

RANK = 6
FLOOR = "no library: frozen, forward and backward"
FORWARD = "no library: frozen, forward"
COLUMNS = {
    "LoRA by": "{name}",
    "trained": "{trainable_parameters:,}",
    "s/step": "{seconds:.4f}",
    "clips/s": "{clips_a_second:.1f}",
    "ratio to floor": "{ratio_to_floor:.3f}",
    "saved MiB": "{saved_mib:.0f}",
}
FEATURE_COLUMNS = {
    "filter bank by": "{name}",
    "ms a clip": "{milliseconds:.2f}",
    "largest difference": "{difference:.1e}",
}


class Classifier(nn.Module):
    """A backbone, the mean of its tokens, and a head."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(768, 50)

    def forward(self, inputs):
        """Return the logits."""
        return self.head(self.backbone(inputs).mean(1))


def ours(source, frames):
    """Build LoRA as in ``lora.yaml``, with frozen norms."""
    method = LoRA(at=["query", "value"], rank=RANK, alpha=RANK)
    encoder = TunedEncoder(AST(source, frames), [method], train_norms=False)
    head = partial(nn.Linear, out_features=50)
    return TunedModel(encoder, head, MeanPooling())


def by_speechbrain(source, frames):
    """Build LoRA with SpeechBrain."""
    backbone = AST(source, frames)
    backbone.model = AdaptedModel(
        backbone.model,
        SpeechBrainLoRA,
        target_layers=["*.q_proj", "*.v_proj"],
        adapter_kwargs={"rank": RANK, "alpha": RANK},
    )
    return Classifier(backbone)


def by_peft(source, frames):
    """Build LoRA with peft."""
    from peft import LoraConfig, get_peft_model

    backbone = AST(source, frames)
    config = LoraConfig(
        r=RANK, lora_alpha=RANK, target_modules=["q_proj", "v_proj"]
    )
    backbone.model = get_peft_model(backbone.model, config)
    return Classifier(backbone)


LIBRARIES = {"SpeechBrain": by_speechbrain, "peft": by_peft}


def built(name, build, source, frames):
    """Return a library's model; None, with a note, if it is not installed."""
    try:
        return build(source, frames)
    except ImportError:
        print(f"{name} is not installed and is left out")


def lora_rows(chosen, source):
    """Measure steps of LoRA by each library, and of the frozen encoder."""
    inputs = torch.randn(chosen.batch, chosen.frames, 128, device=chosen.device)
    targets = torch.arange(chosen.batch, device=chosen.device) % 50
    runs, rows = {}, []
    for name, build in {"this project": ours, **LIBRARIES}.items():
        model = built(name, build, source, chosen.frames)
        if model is None:
            continue
        model.train().to(chosen.device)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
        run = torch.compile(model) if chosen.compile else model

        def forward(run=run):
            with precision(chosen):
                return nn.functional.cross_entropy(run(inputs), targets)

        def update(forward=forward, optimizer=optimizer):
            optimizer.zero_grad(set_to_none=True)
            forward().backward()
            optimizer.step()

        runs[name] = update
        rows.append(
            {
                "name": name,
                "trainable_parameters": sum(p.numel() for p in trained),
                "saved_mib": saved_bytes(forward, chosen.device) / 2**20,
            }
        )
    rows += frozen_rows(chosen, source, inputs, runs)
    times = common.interleaved(runs, chosen.repeats, chosen.device)
    for row in rows:
        row["seconds"] = statistics.median(times[row["name"]])
        row["clips_a_second"] = chosen.batch / row["seconds"]
        row["ratio_to_floor"] = common.ratio(times, row["name"], FLOOR)
    return rows


def frozen_rows(chosen, source, inputs, runs):
    """Add the steps of the frozen encoder to ``runs``; return their rows."""
    backbone = common.make_floor(AST(source, chosen.frames).to(chosen.device))
    run = torch.compile(backbone) if chosen.compile else backbone

    def forward():
        with precision(chosen):
            return run(inputs).sum()

    @torch.inference_mode()
    def evaluate():
        forward()

    runs |= {FLOOR: lambda: forward().backward(), FORWARD: evaluate}
    saved = saved_bytes(forward, chosen.device) / 2**20
    return [
        {"name": FLOOR, "trainable_parameters": 0, "saved_mib": saved},
        {"name": FORWARD, "trainable_parameters": 0, "saved_mib": 0},
    ]


def feature_rows(chosen):
    """Measure the filter bank of this project and of Hugging Face."""
    clips = 0.1 * torch.randn(20, chosen.frames * 160)
    mine = FilterBank(chosen.frames)
    theirs = ASTFeatureExtractor(max_length=chosen.frames)

    def extract(clip):
        clip = clip - clip.mean()  # as ours, and as AST was trained
        found = theirs(clip.numpy(), sampling_rate=16_000, return_tensors="pt")
        return found["input_values"][0]

    with one_thread():
        times = common.interleaved(
            {
                "this project": lambda: [mine(clip) for clip in clips],
                "ASTFeatureExtractor": lambda: [extract(c) for c in clips],
            },
            chosen.repeats,
        )
        difference = (mine(clips[0]) - extract(clips[0])).abs().max().item()
    return [
        {
            "name": name,
            "milliseconds": statistics.median(seconds) / len(clips) * 1e3,
            "difference": difference,
        }
        for name, seconds in times.items()
    ]


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100, help="of 10 ms")
    add_options(parser)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as source:
        common.write_backbone("ast", source)
        rows = lora_rows(chosen, source)
    print(common.table(rows, COLUMNS), "\n", sep="")
    features = feature_rows(chosen)
    print(common.table(features, FEATURE_COLUMNS))
    facts = ("batch", "frames", "precision", "compile")
    common.write_report(
        chosen.json,
        rows + features,
        chosen.device,
        **{fact: getattr(chosen, fact) for fact in facts},
    )


if __name__ == "__main__":
    main()
