"""Many tasks on one encoder, against one model for each task.

    python benchmarks/task_bank.py
    python benchmarks/task_bank.py --tasks 8 --many 1000 --frames 100

An AST of the published size with random weights. Each side holds the same tasks
and answers the same batch, one sound for each task: the bank at once, the
models (LoRA merged) one after another. Memory is the growth of what is resident
(VmRSS), and of what is private to the process (RssAnon): weights in safetensors
are mapped from their file, so that on a CPU models can share their pages. Time
is that of the process on all cores.
"""

import argparse
import gc
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import torch

from petl_modules import TaskBank
from petl_modules.export import export
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.models import WEIGHTS, save_trained
from petl_modules.runs import fill_in_input

# By name: the methods of the tasks, in turn
MIXES = {
    "LoRA": ("lora",),
    "linear": ("linear",),
    "bottleneck": ("bottleneck",),
    "mixed": ("lora", "linear", "bottleneck", "prompt_deep"),
}
COLUMNS = {
    "tasks": "{tasks} {mix}",
    "models, MiB (private)": "{models_mib:.0f} ({models_private:.0f})",
    "bank, MiB (private)": "{bank_mib:.0f} ({bank_private:.0f})",
    "models ms": "{models:.0f}",
    "bank ms": "{bank:.0f}",
    "ratio": "{ratio:.2f}",
    "difference": "{difference:.0e}",
}


def memory():
    """Return this process' memory in MiB: resident, and private."""
    gc.collect()
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    keys = ("VmRSS", "RssAnon")
    return torch.tensor([int(values[key].split()[0]) / 1024 for key in keys])


def write_task(method, backbone, frames, folder):
    """Write a trained model of a method as a folder that travels."""
    recipe = common.make_recipe("ast", method, backbone, frames)
    fill_in_input(recipe)
    fold = folder.with_name(f"{method}-fold")
    fold.mkdir()
    (fold / "hyperparams.yaml").write_text(recipe.text, encoding="utf-8")
    model = recipe["model"]
    common.draw_blocks(model)
    save_trained(model, fold / WEIGHTS)
    export(fold, folder)
    shutil.rmtree(fold)


def measure(mix, folders, backbone, frames, repeats):
    """Return one row of the table."""
    start = memory()
    bank, names = TaskBank(backbone), []
    for number, folder in enumerate(folders):
        names.append(str(number))
        bank.add(names[-1], folder)
    of_bank, start = memory() - start, memory()
    models = [TrainedModel(folder).model for folder in folders]
    of_models = memory() - start
    inputs = torch.randn(len(folders), frames, 128)

    @torch.inference_mode()
    def each():
        return [model(x[None])[0] for model, x in zip(models, inputs)]

    def at_once():
        return bank.logits(inputs, names)

    pairs = zip(each(), at_once())
    difference = max((one - two).abs().max().item() for one, two in pairs)
    runs = {"models": each, "bank": at_once}
    times = common.interleaved(runs, repeats, clock=time.process_time)
    return {
        "mix": mix,
        "tasks": len(folders),
        "models_mib": of_models[0].item(),
        "models_private": of_models[1].item(),
        "bank_mib": of_bank[0].item(),
        "bank_private": of_bank[1].item(),
        **{name: 1e3 * statistics.median(s) for name, s in times.items()},
        "ratio": common.ratio(times, "bank", "models"),
        "difference": difference,
    }


def hold_many(count, folder, backbone):
    """Return what so many LoRA tasks take in the host's memory."""
    bank = TaskBank(backbone).add("first", folder)
    start, clock = memory(), time.perf_counter()
    for number in range(count):
        bank.add(f"task {number}", folder)
    seconds = time.perf_counter() - clock
    file = (folder / WEIGHTS).stat().st_size / 2**20
    return {
        "many": count,
        "mib": (memory() - start)[0].item(),
        "files_mib": count * file,
        "ms_each": 1e3 * seconds / count,
    }


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--many", type=int, default=1000, help="LoRA tasks")
    parser.add_argument("--mixes", default=",".join(MIXES))
    parser.add_argument("--frames", type=int, default=100, help="of 10 ms")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder, backbone = Path(place), f"{place}/ast"
        common.write_backbone("ast", backbone)
        mixes = chosen.mixes.split(",")
        for method in {"lora", *(m for mix in mixes for m in MIXES[mix])}:
            path = folder / method
            write_task(method, backbone, chosen.frames, path)
        for mix in mixes:
            methods = [
                MIXES[mix][i % len(MIXES[mix])] for i in range(chosen.tasks)
            ]
            folders = [folder / method for method in methods]
            facts = backbone, chosen.frames, chosen.repeats
            rows.append(measure(mix, folders, *facts))
            print(common.table(rows[-1:], COLUMNS).splitlines()[-1])
        many = hold_many(chosen.many, folder / "lora", backbone)
    print(f"\n{common.table(rows, COLUMNS)}\n")
    print(
        "{many} LoRA tasks: {mib:.0f} MiB more ({files_mib:.0f} MiB of files), "
        "{ms_each:.1f} ms to add one".format(**many)
    )
    common.write_report(chosen.json, rows, frames=chosen.frames, many=many)


if __name__ == "__main__":
    main()
