"""Seconds of a training step on stored hidden states, and without them.

    python benchmarks/hidden.py --frames 100
    python benchmarks/hidden.py --frames 500 --repeats 2
    python benchmarks/hidden.py --kind wav2vec2 --layers all last_4

A method on some layers of an encoder of the published size with random weights.
The hidden states that enter its lowest layer are read from the disk's page cache
and collated; without the store, inputs are in memory. LoRA on all layers of AST by
SpeechBrain and peft is beside it. The variants take turns, step by step, in one
process; seconds are those of the process on the CPU.
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
from torch import nn

from petl_modules.data import check_audio, make_datasets
from petl_modules.runs import fill_in_input

LABELS = [str(label) for label in range(50)]
COLUMNS = {
    "method": "{method}",
    "frames": "{frames}",
    "layers": "{layers}",
    "all layers s": "{all_seconds:.2f}",
    "without store s": "{plain_seconds:.2f}",
    "with store s": "{seconds:.2f}",
    "of it reading s": "{reading_seconds:.3f}",
    "to all layers": "{ratio_to_all:.2f}",
    "to the same without": "{ratio_to_plain:.2f}",
    "MB a clip": "{megabytes:.1f}",
}
PEER_COLUMNS = {
    "LoRA on all layers by": "{name}",
    "frames": "{frames}",
    "s/step": "{seconds:.2f}",
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


def stepper(model, read):
    """Return a training step of a model on what ``read`` returns."""
    trained = [p for p in model.train().parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)

    def step():
        inputs, targets = read()
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(*inputs), targets).backward()
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
    steps = {f"{layers} plain": stepper(made["model"], lambda: given)}
    if layers not in chosen.layers:
        return steps, 0
    options = RunOptions(device="cpu", noprogressbar=True)
    kept, changed = made["keep_hidden"](datasets, made, options)
    read = reader(kept["train"])
    steps[f"{layers} stored"] = stepper(changed["modules"]["model"], read)
    steps[f"{layers} reading"] = read
    return steps, read()[0].data[0].nbytes


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
                steps[name] = stepper(model, lambda given=given: given)
                names.append(name)
    times = common.interleaved(steps, chosen.repeats, clock=time.process_time)
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
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=100, help="of 10 ms")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
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
    common.write_report(
        chosen.json,
        rows + theirs,
        kind=chosen.kind,
        batch=chosen.batch,
        clock="CPU seconds of the process",
    )


if __name__ == "__main__":
    main()
