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
import json
import os
import signal
import subprocess
import sys
import tempfile

import common  # isort: skip, first: it prepares the path
import torch
from memory import read_size
from step_row import measure, parse_method

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
