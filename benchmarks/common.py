"""Shared code of the benchmarks: backbones, clocks, tables, files.

Importing it puts the repository on the path and lets waiting CPU threads
sleep, as the recipes do: import it before torch.
"""

import json
import os
import platform
import re
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# The profiler would report an error where there is no GPU
os.environ.setdefault("KINETO_LOG_LEVEL", "5")

import petl_modules  # noqa: F401  before torch: how idle CPU threads wait

# isort: split
import torch
from torch import nn
from transformers import ASTConfig, ASTModel, Wav2Vec2Config, Wav2Vec2Model

from petl_modules.runs import RecipeFile
from petl_modules.runs.layering import nearest
from petl_modules.utils import HparamsError, versions, write_text

HPARAMS = {
    "ast": ROOT / "recipes" / "ESC50" / "hparams",
    "wav2vec2": ROOT / "recipes" / "GSC" / "hparams",
}


def write_backbone(kind, folder):
    """Write an encoder of the published sizes with random weights.

    Arguments
    ---------
    kind : str
        ``ast`` (AST-base) or ``wav2vec2`` (wav2vec 2.0 base).
    folder : str
        Where the Hugging Face files go.
    """
    torch.manual_seed(0)
    if kind == "ast":
        model = ASTModel(ASTConfig())
        nn.init.normal_(model.embeddings.position_embeddings, std=0.02)
    else:
        model = Wav2Vec2Model(Wav2Vec2Config())
    model.save_pretrained(folder)


def stems(kind):
    """Return the names of the recipe files for a kind of backbone."""
    return sorted(path.stem for path in HPARAMS[kind].glob("*.yaml"))


def make_model(kind, method, backbone, frames, **changes):
    """Build the tuned model of a recipe file, with 50 classes.

    Arguments
    ---------
    kind : str
        ``ast`` or ``wav2vec2``.
    method : str
        The file's stem.
    backbone : str
        Folder of the backbone.
    frames : int
        Frames of 10 ms.
    **changes : object
        Keys to change.

    Returns
    -------
    petl_modules.models.TunedModel
    """
    recipe = make_recipe(kind, method, backbone, frames, **changes)
    return recipe.make(["model"])["model"]


def make_recipe(kind, method, backbone, frames, **changes):
    """Return the recipe of ``make_model``."""
    base = None if kind == "ast" else "wav2vec2.yaml"
    if method.endswith("wav2vec2"):
        base = None  # the file names its base
    recipe = RecipeFile.read(HPARAMS[kind] / f"{method}.yaml", base)
    for key in changes:
        if key not in recipe.tree:
            raise HparamsError(
                f"{method}.yaml has no key '{key}'"
                f"{nearest(key, [*recipe.tree])}"
            )
    labels = [str(label) for label in range(50)]
    recipe.update({"backbone": str(backbone), "labels": labels, **changes})
    if kind == "ast":
        recipe.update({"frames": frames})
    return recipe


def draw_blocks(model):
    """Initialise all inserted weights at random, as if they were trained."""
    torch.manual_seed(1)
    for path in model.encoder.inserted.values():
        for parameter in model.encoder.get_submodule(path).parameters():
            nn.init.normal_(parameter, std=0.02)


def make_floor(backbone):
    """Make the backward of a backbone end at its first layer."""
    backbone.requires_grad_(False).eval()
    layer = backbone.sites.module("layers.0")
    layer.register_forward_pre_hook(_enter)
    return backbone


def _enter(layer, args):
    return (args[0].detach().requires_grad_(), *args[1:])


def wait_for(device):
    """Wait until a device has finished its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def interleaved(runs, repeats, device="cpu", clock=time.perf_counter):
    """Time several functions in turn.

    Arguments
    ---------
    runs : dict
        From name to function.
    repeats : int
        How often each is called, after a first call that does not count.
    device : str
        Where they compute.
    clock : callable
        Returns seconds.

    Returns
    -------
    dict
        From name to its list of seconds.
    """
    for run in runs.values():
        run()
    times = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            wait_for(device)
            start = clock()
            run()
            wait_for(device)
            times[name].append(clock() - start)
    return times


def ratio(times, one, other):
    """Return the median over the rounds of the ratio of two functions' times."""
    return statistics.median(a / b for a, b in zip(times[one], times[other]))


def machine(device="cpu"):
    """Return the name of the machine."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {torch.get_num_threads()} threads"


def table(rows, columns):
    """Return the rows as a Markdown table.

    Arguments
    ---------
    rows : list of dict
        The measurements.
    columns : dict
        From heading to a format such as ``{seconds:.2f}``. A row that lacks
        the value has a dash there.

    Returns
    -------
    str
    """
    lines = [list(columns), ["---"] + ["---:"] * (len(columns) - 1)]
    for row in rows:
        cells = []
        for form in columns.values():
            try:
                cells.append(form.format(**row))
            except (KeyError, TypeError):
                cells.append("-")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_section(path, text):
    """Write and print a section of a Markdown file, in place of an older one.

    Other sections stay as they are; each begins with its heading, ``# ...``.

    Arguments
    ---------
    path : pathlib.Path
        The file.
    text : str
        The section, from its heading on.
    """
    old = path.read_text("utf-8") if path.is_file() else ""
    heading = text.splitlines()[0]
    parts = {
        part.splitlines()[0]: part.strip()
        for part in re.split(r"(?m)^(?=# )", old)
        if part.strip()
    }
    parts[heading] = text.strip()
    write_text(path, "\n\n".join(parts.values()) + "\n")
    print(text)


def write_report(path, rows, device="cpu", **facts):
    """Write the rows, machine and versions as JSON.

    Arguments
    ---------
    path : str or None
        The file. None: nothing is written.
    rows : list of dict
        The measurements.
    device : str
        Where they were made.
    **facts : object
        What else belongs to them.
    """
    if path:
        report = {"machine": machine(device), "versions": versions(), **facts}
        text = json.dumps({**report, "rows": rows}, indent=2) + "\n"
        Path(path).write_text(text, encoding="utf-8")
