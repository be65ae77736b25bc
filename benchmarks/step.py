"""Time and memory of one training step, against the floor.

    python benchmarks/step.py --methods soft_moa,lora --batch 8 --frames 100
    python benchmarks/step.py --methods lora:rank=64,lora:recompute=layer
    python benchmarks/step.py --methods lora --memory 4GiB
    python benchmarks/step.py --methods linear,ladder --repeats 0    # memory alone

The floor is a lower bound for methods that adapt the first layer: the frozen
forward and the backward to the first layer's input (without the backward through
patch embedding or convolutions), in the same precision and process, step by step in
turn. Weights are random, of the published sizes. Each method runs in a process of its
own, for its peak memory; ``name:key=value`` changes keys of its YAML file. A method
that cannot be measured is named, and the others are.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile

import common  # isort: skip, first: it prepares the path
import torch
from torch import nn

from petl_modules.backbones import AST, Wav2Vec2
from petl_modules.runs.yaml_text import parse_yaml
from petl_modules.utils import HparamsError

COLUMNS = {
    "method": "{name}",
    "trained": "{trainable_parameters:,}",
    "s/step": "{seconds:.2f}",
    "floor s": "{floor_seconds:.2f}",
    "ratio": "{ratio_to_floor:.2f}",
    "forward s": "{forward_seconds:.2f}",
    "saved MiB": "{saved_mib:.0f}",
    "ratio ": "{saved_ratio:.2f}",
    "peak MiB": "{peak_mib:.0f}",
}
MEMORY_COLUMNS = {
    "method": "{name}",
    "largest batch": "{largest_batch}",
    "peak MiB": "{peak_mib:.0f}",
    "one more: MiB": "{next_peak_mib:.0f}",
}
ALONE_COLUMNS = {
    "method": "{name}",
    "trained": "{trainable_parameters:,}",
    "saved MiB": "{saved_mib:.0f}",
    "peak MiB": "{peak_mib:.0f}",
    "to the first": "{ratio_to_first:.2f}",
}
NO_ROOM = 3  # the exit code of a process that ran out of memory


def saved_bytes(step, device):
    """Return the bytes that a step's forward saves for its backward.

    Arguments
    ---------
    step : callable
        Returns the loss.
    device : str
        Where it computes.

    Returns
    -------
    int
        What it has allocated and not given back.
    """
    step()  # allocates what stays
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated()
        loss = step()
        kept = torch.cuda.memory_allocated() - before
    else:
        with torch.autograd.profiler.profile(
            use_kineto=False, profile_memory=True
        ) as profile:
            loss = step()
        kept = sum(e.self_cpu_memory_usage for e in profile.function_events)
    assert loss.requires_grad  # and so it holds what is kept
    return kept


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


def forget_peak():
    """Reset the peak memory."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if os.path.exists("/proc/self/clear_refs"):
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")


def peak_bytes(chosen):
    """Return the peak memory since the reset, of the device or this process."""
    if torch.device(chosen.device).type == "cuda":
        return torch.cuda.max_memory_allocated()
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as stream:
            status = dict(line.split(":", 1) for line in stream)
        return int(status["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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


def in_a_process(chosen, backbone, method, batch):
    """Measure a row in a new process; None: the memory is too small.

    Raises ``subprocess.CalledProcessError`` if it fails; its error was shown.
    """
    names = ("kind", "frames", "repeats", "threads", "device", "precision")
    words = [f"--{name}={getattr(chosen, name)}" for name in names]
    words += [f"--methods={method}", f"--backbone={backbone}"]
    words += [f"--batch={batch}", "--row"]
    words += ["--compile"] if chosen.compile else []
    words += [f"--memory={chosen.memory}"] if chosen.memory else []
    words = [sys.executable, __file__, *words]
    environment = dict(os.environ)
    if (
        chosen.memory or not chosen.repeats
    ):  # glibc gives large blocks back when they are freed
        environment["MALLOC_MMAP_THRESHOLD_"] = "1000000"
    out = subprocess.run(
        words, stdout=subprocess.PIPE, text=True, env=environment
    )
    if out.returncode in (NO_ROOM, -signal.SIGKILL):
        return None
    out.check_returncode()
    row = json.loads(out.stdout.splitlines()[-1])
    for key in ("saved", "floor_saved", "peak"):
        if f"{key}_bytes" in row:
            row[f"{key}_mib"] = row[f"{key}_bytes"] / 2**20
    if "floor_saved_bytes" in row:
        row["saved_ratio"] = row["saved_bytes"] / row["floor_saved_bytes"]
    return row


def largest_batch(chosen, backbone, method):
    """Find the largest batch whose steps stay within the memory, by trials."""
    limit = read_size(chosen.memory)
    peaks = {}

    def fits(batch):
        if batch not in peaks:
            row = in_a_process(chosen, backbone, method, batch)
            peaks[batch] = row["peak_bytes"] if row else float("inf")
            print(f"  {method}, batch {batch}: {peaks[batch] / 2**20:.0f} MiB")
        return peaks[batch] <= limit

    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:  # the peak grows nearly in a straight line
        middle = (low + high) // 2
        if low and peaks[high] < float("inf"):
            slope = (peaks[high] - peaks[low]) / (high - low)
            middle = low + int((limit - peaks[low]) / slope)
            middle = min(max(middle, low + 1), high - 1)
        low, high = (middle, high) if fits(middle) else (low, middle)
    row = {"name": method, "method": parse_method(method)[0]}
    row.update(frames=chosen.frames, largest_batch=low)
    for name, batch in (("peak", low), ("next_peak", high)):
        if peaks.get(batch, float("inf")) < float("inf"):
            row[f"{name}_mib"] = peaks[batch] / 2**20
    return row


def read_size(text):
    """Return the bytes of ``4GiB`` or ``500MiB``."""
    found = re.fullmatch(r"([\d.]+)\s*(G|M)iB", text)
    if not found:
        raise SystemExit(f"error: --memory {text}: write 4GiB or 500MiB")
    return float(found[1]) * 2 ** {"G": 30, "M": 20}[found[2]]


def add_options(parser):
    """Add the options of a benchmark that takes training steps."""
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--repeats", type=int, default=5, help="0: memory alone"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    cuda = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=cuda)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", metavar="FILE", help="write the rows there")


def read_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", help="default: all of the kind")
    parser.add_argument("--kind", choices=common.HPARAMS, default="ast")
    parser.add_argument("--frames", type=int, default=500, help="of 10 ms")
    parser.add_argument("--memory", help="find the largest batch: 4GiB")
    parser.add_argument("--backbone", help="folder; default: random weights")
    add_options(parser)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    stems = common.stems(chosen.kind)
    chosen.methods = chosen.methods or ",".join(stems)
    for method in chosen.methods.split(","):
        if parse_method(method)[0] not in stems:
            parser.error(f"no method {method}; there are: {', '.join(stems)}")
    torch.set_num_threads(chosen.threads)
    return chosen


def main():
    """Measure each method in a process of its own."""
    chosen = read_arguments()
    if chosen.row:
        try:
            print(json.dumps(measure(chosen)))
        except torch.OutOfMemoryError:
            sys.exit(NO_ROOM)
        except HparamsError as error:
            sys.exit(f"error: {error}")
        return
    columns = COLUMNS if chosen.repeats else ALONE_COLUMNS
    columns = MEMORY_COLUMNS if chosen.memory else columns
    rows, failed = [], []
    with tempfile.TemporaryDirectory() as scratch:
        backbone = chosen.backbone or scratch
        if not chosen.backbone:
            common.write_backbone(chosen.kind, scratch)
        for method in chosen.methods.split(","):
            row, reason = None, "does not fit into the memory"
            try:
                if chosen.memory:
                    row = largest_batch(chosen, backbone, method)
                else:
                    row = in_a_process(chosen, backbone, method, chosen.batch)
            except subprocess.CalledProcessError:
                reason = "could not be measured, see above"
            if row is None:
                failed.append(f"{method} {reason}")
                continue
            rows.append(row)
            if columns is ALONE_COLUMNS:
                row["ratio_to_first"] = row["peak_mib"] / rows[0]["peak_mib"]
            print(common.table([row], columns).splitlines()[-1], flush=True)
    if rows:
        print(f"\n{common.table(rows, columns)}", flush=True)
        facts = ("kind", "precision", "compile", "memory")
        common.write_report(
            chosen.json,
            rows,
            chosen.device,
            **{fact: getattr(chosen, fact) for fact in facts},
        )
    if failed:
        sys.exit(f"error: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
