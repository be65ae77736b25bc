"""Seconds of a training step on stored hidden states, and without them.

    python benchmarks/hidden.py --frames 100
    python benchmarks/hidden.py --frames 500 --repeats 2
    python benchmarks/hidden.py --kind wav2vec2 --layers all last_4
    python benchmarks/hidden.py --device cuda --batch 32

A method on some layers of an encoder of the published size with random weights.
The hidden states that enter its lowest layer are read from the disk's page cache
and collated; without the store, inputs are in memory. LoRA on all layers of AST by
SpeechBrain and peft is beside it. The variants take turns, step by step, in one
process; on a CPU, seconds are those of the process.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import common  # isort: skip, first: it prepares the path
import peers
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.run_opts import RunOptions
from step import add_options
from step_row import precision
from torch import nn

from petl_modules.data import check_audio, make_datasets
from petl_modules.runs import fill_in_input

LABELS = [str(label) for label in range(50)]
COLUMNS = {
    "method": "{method}",
    "frames": "{frames}",
    "layers": "{layers}",
    "all layers s": "{all_seconds:.3f}",
    "without store s": "{plain_seconds:.3f}",
    "with store s": "{seconds:.3f}",
    "of it reading s": "{reading_seconds:.4f}",
    "to all layers": "{ratio_to_all:.2f}",
    "to the same without": "{ratio_to_plain:.2f}",
    "MB a clip": "{megabytes:.1f}",
}
PEER_COLUMNS = {
    "LoRA on all layers by": "{name}",
    "frames": "{frames}",
    "s/step": "{seconds:.3f}",
    "ratio of ours with store": "{ratio:.2f}",
}


def write_clips(folder, count, frames):
    """Write clips of noise, and return their records."""
    torch.manual_seed(2)
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path in paths:
        clip = 0.1 * torch.randn(frames * 160)
        soundfile.write(path, clip.numpy(), 16_000)
    return {
        path.stem: {
            "wav": f"{{data_root}}/{path.name}",
            "label": LABELS[number % 50],
            **facts._asdict(),
        }
        for number, (path, facts) in enumerate(zip(paths, check_audio(paths)))
    }


def stepper(model, read, chosen):
    """Return a training step of a model on what ``read`` returns."""
    model = model.train().to(chosen.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    run = torch.compile(model) if chosen.compile else model

    def step():
        inputs, targets = read()
        inputs = [tensor.to(chosen.device) for tensor in inputs]
        optimizer.zero_grad(set_to_none=True)
        with precision(chosen):
            logits = run(*inputs)
            loss = nn.functional.cross_entropy(
                logits, targets.to(chosen.device)
            )
        loss.backward()
        optimizer.step()

    return step


def reader(dataset):
    """Return what reads all clips of a dataset as one batch."""

    def read():
        batch = PaddedBatch(list(dataset))
        return batch.features, batch.target.data.squeeze(1)

    return read


def variants(method, layers, records, folder, chosen):
    """Return steps without and with the store, reading alone, and clip bytes."""
    changes = {"layers": layers, "hidden_cache": str(folder / "hidden")}
    if chosen.kind == "wav2vec2":
        changes["seconds"] = chosen.frames / 100
    recipe = common.make_recipe(
        chosen.kind, method, folder / "encoder", chosen.frames, **changes
    )
    fill_in_input(recipe)
    made = recipe.make(["model", "features", "test_loader", "keep_hidden"])
    made |= {"modules": {"model": made["model"]}, "augment": nn.Identity()}
    datasets = make_datasets(
        {"train": records}, str(folder), made["features"], LABELS
    )
    given = reader(datasets["train"])()
    steps = {f"{layers} plain": stepper(made["model"], lambda: given, chosen)}
    if layers not in chosen.layers:
        return steps, 0
    options = RunOptions(device=chosen.device, noprogressbar=True)
    kept, changed = made["keep_hidden"](datasets, made, options)
    read = reader(kept["train"])
    steps[f"{layers} stored"] = stepper(
        changed["modules"]["model"], read, chosen
    )
    steps[f"{layers} reading"] = read
    return steps, read()[0].data[0].nbytes


def clock_of(device):
    """Return the clock of a device: on a CPU, that of the process."""
    on_cpu = torch.device(device).type == "cpu"
    return time.process_time if on_cpu else time.perf_counter


def rows_of(method, records, folder, chosen):
    """Measure the steps of a method; of LoRA, also those of its peers."""
    steps, sizes = {}, {}
    for layers in dict.fromkeys(["all", *chosen.layers]):
        found, sizes[layers] = variants(method, layers, records, folder, chosen)
        steps |= found
    names = []
    if (chosen.kind, method) == ("ast", "lora"):
        source = folder / "encoder"
        for name, build in peers.LIBRARIES.items():
            if model := peers.built(name, build, source, chosen.frames):
                inputs = torch.randn(len(records), chosen.frames, 128)
                given = (inputs,), torch.arange(len(records)) % 50
                steps[name] = stepper(model, lambda given=given: given, chosen)
                names.append(name)
    clock = clock_of(chosen.device)
    times = common.interleaved(steps, chosen.repeats, chosen.device, clock)
    seconds = {name: statistics.median(found) for name, found in times.items()}
    rows = [
        {
            "method": method,
            "frames": chosen.frames,
            "layers": layers,
            "all_seconds": seconds["all plain"],
            "plain_seconds": seconds[f"{layers} plain"],
            "seconds": seconds[f"{layers} stored"],
            "reading_seconds": seconds[f"{layers} reading"],
            "ratio_to_all": common.ratio(
                times, f"{layers} stored", "all plain"
            ),
            "ratio_to_plain": common.ratio(
                times, f"{layers} stored", f"{layers} plain"
            ),
            "megabytes": sizes[layers] / 1e6,
        }
        for layers in chosen.layers
    ]
    theirs = [
        {
            "name": name,
            "frames": chosen.frames,
            "seconds": seconds[name],
            "ratio": common.ratio(times, f"{chosen.layers[0]} stored", name),
        }
        for name in names
    ]
    return rows, theirs


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="bottleneck,lora")
    parser.add_argument("--kind", choices=common.HPARAMS, default="ast")
    parser.add_argument("--layers", nargs="+", default=["last_4", "last_2"])
    parser.add_argument("--frames", type=int, default=100, help="of 10 ms")
    add_options(parser)
    parser.set_defaults(threads=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rows, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        common.write_backbone(chosen.kind, folder / "encoder")
        records = write_clips(folder, chosen.batch, chosen.frames)
        for method in chosen.methods.split(","):
            found, others = rows_of(method, records, folder, chosen)
            rows, theirs = rows + found, theirs + others
    print(common.table(rows, COLUMNS))
    if theirs:
        print("\n" + common.table(theirs, PEER_COLUMNS))
    facts = ("kind", "batch", "precision", "compile")
    common.write_report(
        chosen.json,
        rows + theirs,
        chosen.device,
        **{fact: getattr(chosen, fact) for fact in facts},
        clock=clock_of(chosen.device).__name__,
    )


if __name__ == "__main__":
    main()
