"""One row of benchmarks/step.py: a training step and its floor, in this process."""

import contextlib
import statistics

import common  # isort: skip, first: it prepares the path
import torch
from memory import forget_peak, peak_bytes, saved_bytes
from torch import nn

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.runs.yaml_text import parse_yaml


def parse_method(text):
    """Split ``name:key=value:key=value``.

    Example
    -------
    >>> parse_method("soft_moa:experts=15")
    ('soft_moa', {'experts': 15})
    """
    name, *changes = text.split(":")
    pairs = (change.partition("=")[::2] for change in changes)
    return name, {key: parse_yaml(value, text) for key, value in pairs}


def make_inputs(chosen):
    """Return random spectrograms or waveforms."""
    shape = (chosen.frames, 128)
    if chosen.kind == "wav2vec2":
        shape = (chosen.frames * 160,)
    return torch.randn(chosen.batch, *shape, device=chosen.device)


def make_floor(chosen):
    """Return the forward of a step of the frozen backbone."""
    if chosen.kind == "ast":
        backbone = AST(chosen.backbone, chosen.frames)
    else:
        backbone = Wav2Vec2(chosen.backbone)
    backbone = common.make_floor(backbone.to(chosen.device))
    run = torch.compile(backbone) if chosen.compile else backbone
    inputs = make_inputs(chosen)

    def forward():
        with precision(chosen):
            return run(inputs).float().mean(1).square().sum()

    return forward


def make_step(model, inputs, chosen):
    """Return a training step's forward with its loss, and the full update."""
    targets = torch.arange(len(inputs), device=chosen.device) % 50
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    model.train()

    def forward():
        with precision(chosen):
            return nn.functional.cross_entropy(model(inputs), targets)

    def update():
        optimizer.zero_grad(set_to_none=True)
        forward().backward()
        optimizer.step()

    return forward, update


def precision(chosen):
    """Return the autocast context of the chosen precision."""
    if chosen.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(chosen.device).type, torch.bfloat16)


def measure(chosen):
    """Measure one row of the table, in this process."""
    name, changes = parse_method(chosen.methods)
    model = common.make_model(
        chosen.kind, name, chosen.backbone, chosen.frames, **changes
    ).to(chosen.device)
    inputs = make_inputs(chosen)
    run = torch.compile(model) if chosen.compile else model
    forward, update = make_step(run, inputs, chosen)
    row = {"name": chosen.methods, "method": name, "changes": changes}
    row.update(batch=chosen.batch, frames=chosen.frames)
    row.update(model.count_parameters())
    forget_peak()
    update()  # the first one allocates
    update()
    row["peak_bytes"] = peak_bytes(chosen)
    if chosen.memory:
        return row
    row["saved_bytes"] = saved_bytes(forward, chosen.device)
    if not chosen.repeats:
        return row
    floor = make_floor(chosen)

    @torch.inference_mode()
    def evaluate():
        model.eval()
        with precision(chosen):
            run(inputs)
        model.train()

    runs = {
        "floor": lambda: floor().backward(),
        "method": update,
        "forward": evaluate,
    }
    times = common.interleaved(runs, chosen.repeats, chosen.device)
    row["seconds"] = statistics.median(times["method"])
    row["floor_seconds"] = statistics.median(times["floor"])
    row["ratio_to_floor"] = common.ratio(times, "method", "floor")
    row["forward_seconds"] = statistics.median(times["forward"])
    row["floor_saved_bytes"] = saved_bytes(floor, chosen.device)
    return row
