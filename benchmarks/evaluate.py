"""Evaluation: seconds a clip, alone and in batches, merged and not.

    python benchmarks/evaluate.py --methods lora,soft_moa --frames 100

``graph`` builds the graph for a backward pass, ``inference`` does not
(``torch.inference_mode``, as the recipes evaluate), ``merged`` also has LoRA
in the weights; all in turn in one process.
"""

import argparse
import copy
import os
import statistics
import tempfile

import common  # isort: skip, first: it prepares the path
import torch

from petl_modules.methods import merge_methods

COLUMNS = {
    "method": "{method}",
    "batch": "{batch}",
    "graph ms": "{graph:.0f}",
    "inference ms": "{inference:.0f}",
    "merged ms": "{merged:.0f}",
    "clips/s": "{clips_per_second:.1f}",
    "merged to frozen": "{ratio_to_frozen:.2f}",
    "difference": "{difference:.1e}",
}


def measure(model, frozen, inputs, repeats):
    """Return the milliseconds of a batch in the three modes and frozen."""
    merged = copy.deepcopy(model)
    merge_methods(merged)
    inference = torch.inference_mode()(model)
    merged, frozen = map(torch.inference_mode(), (merged, frozen))
    difference = (merged(inputs) - inference(inputs)).abs().max().item()
    runs = {
        "graph": lambda: model(inputs),
        "inference": lambda: inference(inputs),
        "merged": lambda: merged(inputs),
        "frozen": lambda: frozen(inputs),
    }
    times = common.interleaved(runs, repeats)
    row = {n: 1e3 * statistics.median(s) for n, s in times.items()}
    row["clips_per_second"] = 1e3 * len(inputs) / row["merged"]
    row["ratio_to_frozen"] = common.ratio(times, "merged", "frozen")
    return {**row, "difference": difference}


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="lora,bitfit,bottleneck,soft_moa")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--frames", type=int, default=100, help="of 10 ms")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rows = []
    with tempfile.TemporaryDirectory() as source:
        common.write_backbone("ast", source)
        frozen = common.make_model("ast", "linear", source, chosen.frames)
        frozen.eval()
        for method in chosen.methods.split(","):
            model = common.make_model("ast", method, source, chosen.frames)
            common.draw_blocks(model.eval())
            for batch in map(int, chosen.batches.split(",")):
                inputs = torch.randn(batch, chosen.frames, 128)
                row = measure(model, frozen, inputs, chosen.repeats)
                rows.append({"method": method, "batch": batch, **row})
                print(common.table(rows[-1:], COLUMNS).splitlines()[-1])
    print(f"\n{common.table(rows, COLUMNS)}")
    common.write_report(chosen.json, rows, frames=chosen.frames)


if __name__ == "__main__":
    main()
