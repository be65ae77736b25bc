"""Time and memory of one training step, against the floor.

    python benchmarks/step.py --methods soft_moa,lora --batch 8 --frames 500

The floor is what no method that adapts the first layer can go below: the
frozen forward and the backward to the first layer's input (patch embedding
excluded), measured in the same process, step by step in turn. Weights are
random, of AST-base's sizes. Each method runs in a process of its own, for its
peak memory.

Authors
 * The PETL audio recipes team 2026
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the recipes do

import torch
from torch import nn
from transformers import ASTConfig, ASTModel

from petl_modules.backbones import AST
from petl_modules.checkpoint import versions
from petl_modules.hparams import dump_yaml, make, merge

HPARAMS = ROOT / "recipes" / "ESC50" / "hparams"
COLUMNS = {
    "method": "{method}",
    "trained": "{trainable_parameters:,}",
    "s/step": "{seconds:.2f}",
    "floor s": "{floor_seconds:.2f}",
    "ratio": "{ratio_to_floor:.2f}",
    "saved MiB": "{saved_mib:.0f}",
    "peak MiB": "{peak_mib:.0f}",
}


def write_ast_base(folder):
    """Writes an AST of the original's sizes with random weights."""
    torch.manual_seed(0)
    model = ASTModel(ASTConfig())
    nn.init.normal_(model.embeddings.position_embeddings, std=0.02)
    model.save_pretrained(folder)


def saved_bytes(step):
    """Bytes that a step's forward keeps for its backward, weights excluded."""
    kept = {}

    def note(tensor):
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        loss = step()
    del loss
    return sum(kept.values())


def floor_step(backbone, inputs):
    """Returns the forward of the floor."""
    backbone.requires_grad_(False).eval()
    backbone.model.embeddings.register_forward_hook(
        lambda module, args, out: out.detach().requires_grad_()
    )
    return lambda: backbone(inputs).mean(1).square().sum()


def method_step(model, inputs):
    """Returns the forward of a tuned model with its loss."""
    targets = torch.arange(len(inputs)) % len(model.labels)
    model.train()
    return lambda: nn.functional.cross_entropy(model(inputs), targets)


def measure(method, backbone, batch, frames, repeats):
    """One row of the table, in this process.

    Arguments
    ---------
    method : str
        Stem of a YAML file of the ESC50 recipe.
    backbone : str
        Folder of the backbone.
    batch : int
        Clips a step.
    frames : int
        Frames a clip.
    repeats : int
        Steps of which the median counts.

    Returns
    -------
    dict
    """
    labels = [str(label) for label in range(50)]
    tree = merge(HPARAMS / f"{method}.yaml")
    tree.update(backbone=backbone, frames=frames, labels=labels)
    model = make(dump_yaml(tree), ["tuned_model"])["tuned_model"]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    inputs = torch.randn(
        batch, frames, model.backbone.model.config.num_mel_bins
    )
    step = method_step(model, inputs)

    def update():
        optimizer.zero_grad(set_to_none=True)
        step().backward()
        optimizer.step()

    update()  # the first one allocates
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    floor = floor_step(AST(backbone, frames), inputs)
    times = {"method": [], "floor": []}
    floor().backward()
    for _ in range(repeats):
        for name, run in (
            ("floor", lambda: floor().backward()),
            ("method", update),
        ):
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    pairs = zip(times["method"], times["floor"])
    return {
        "method": method,
        "batch": batch,
        "frames": frames,
        "seconds": statistics.median(times["method"]),
        "floor_seconds": statistics.median(times["floor"]),
        "ratio_to_floor": statistics.median(m / f for m, f in pairs),
        "saved_bytes": saved_bytes(step),
        "floor_saved_bytes": saved_bytes(floor),
        "peak_bytes": peak,
        **model.count_parameters(),
    }


def table(rows):
    """The rows as a Markdown table."""
    lines = [list(COLUMNS), ["---"] + ["---:"] * (len(COLUMNS) - 1)]
    for row in rows:
        mib = {
            "saved_mib": row["saved_bytes"] / 2**20,
            "peak_mib": row["peak_bytes"] / 2**20,
        }
        lines.append([c.format(**row, **mib) for c in COLUMNS.values()])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    """The command line."""
    stems = sorted(path.stem for path in HPARAMS.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=",".join(stems))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--backbone", help="folder; default: random weights")
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    methods = chosen.methods.split(",")
    unknown = sorted(set(methods) - set(stems))
    if unknown:
        parser.error(f"no method {unknown[0]}; there are: {', '.join(stems)}")
    torch.set_num_threads(chosen.threads)
    sizes = (chosen.batch, chosen.frames, chosen.repeats)
    if chosen.row:
        print(json.dumps(measure(methods[0], chosen.backbone, *sizes)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        backbone = chosen.backbone
        if not backbone:
            backbone = scratch
            write_ast_base(scratch)
        for method in methods:
            names = ("batch", "frames", "repeats", "threads")
            sizes = [f"--{name}={getattr(chosen, name)}" for name in names]
            words = [f"--methods={method}", f"--backbone={backbone}", "--row"]
            words = [sys.executable, __file__, *words, *sizes]
            out = subprocess.run(words, stdout=subprocess.PIPE, check=True)
            rows.append(json.loads(out.stdout.splitlines()[-1]))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(f"\n{table(rows)}")
    if chosen.json:
        machine = f"{platform.machine()}, {chosen.threads} threads"
        report = {"machine": machine, "versions": versions(), "rows": rows}
        Path(chosen.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
