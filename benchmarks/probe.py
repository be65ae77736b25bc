"""Seconds of an epoch of the linear probe, pooled once and each time.

    python benchmarks/probe.py --frames 200

The ESC50 recipe itself on generated clips and an AST of the published size
with random weights; without SpecAugment. Times are those between the epochs'
lines in the run's log, training and validation together.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import common  # isort: skip, first: it prepares the path

from petl_modules.miniatures.corpus import write_miniature

COLUMNS = {
    "pool_once": "{pool_once}",
    "clips": "{clips}",
    "first epoch s": "{first:.2f}",
    "later epochs s": "{later:.3f}",
    "test loss": "{test_loss:.4f}",
    "test accuracy, last epoch": "{last_epoch_test_accuracy:.4f}",
}


def run(folder, pool_once, chosen):
    """A row, from one run of the recipe."""
    out = folder / f"out-{pool_once}"
    words = [sys.executable, common.ROOT / "recipes" / "ESC50" / "train.py"]
    words += ["hparams/linear.yaml", f"--data_folder={folder / 'data'}"]
    words += [f"--backbone={folder / 'ast'}", f"--frames={chosen.frames}"]
    words += ["--augment=!new:torch.nn.Identity {}", "--allow_partial=True"]
    words += [f"--manifest_folder={folder / 'm'}", "--device=cpu"]
    words += [f"--output_folder={out}", f"--pool_once={pool_once}"]
    words += ["--folds=[1]", f"--number_of_epochs={chosen.epochs}"]
    words += ["--num_workers=0", "--batch_size=8"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    log = (out / "fold1" / "log.txt").read_text(encoding="utf-8").splitlines()
    stamps = [
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")
        for line in log
        if "Beginning experiment" in line or "- epoch: " in line
    ][: chosen.epochs + 1]
    seconds = [
        (late - early).total_seconds()
        for early, late in zip(stamps, stamps[1:])
    ]
    result = json.loads((out / "fold1" / "result.json").read_text("utf-8"))
    return {
        "pool_once": pool_once,
        "clips": chosen.clips * 4 // 5,
        "first": seconds[0],
        "later": statistics.median(seconds[1:]),
        **result["fold"],
    }


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200, help="of 10 ms")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_miniature("ESC50", folder / "data", takes=chosen.clips // 50)
        common.write_backbone("ast", folder / "ast")
        rows = [run(folder, choice, chosen) for choice in (True, False)]
    print(common.table(rows, COLUMNS))
    print(f"later epochs: {rows[1]['later'] / rows[0]['later']:.0f} times")
    common.write_report(chosen.json, rows, frames=chosen.frames)


if __name__ == "__main__":
    main()
