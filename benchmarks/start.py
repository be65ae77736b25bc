"""Seconds from the command line to the first training step.

    python benchmarks/start.py

Generated clips in ESC-50's layout, their manifest written by a first run, and
an AST of the published size with random weights. The recipe runs as a process
of its own, which is ended where its first epoch begins.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common  # isort: skip, first: it prepares the path

from petl_modules.miniatures.corpus import write_miniature


def first_step(folder, method):
    """Starts a recipe; the seconds until it goes into its first epoch."""
    words = [sys.executable, common.ROOT / "recipes" / "ESC50" / "train.py"]
    words += [f"hparams/{method}.yaml", "--allow_partial=True"]
    words += [f"--data_folder={folder / 'ESC-50-master'}", "--device=cpu"]
    words += [f"--manifest_folder={folder / 'manifests'}"]
    words += [f"--backbone={folder / 'ast-base'}", "--noprogressbar"]
    words += [f"--output_folder={folder / 'out'}", "--batch_size=8"]
    start = time.perf_counter()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        told = []
        for line in process.stdout:
            told.append(line)
            if "Going into epoch 1" in line:
                seconds = time.perf_counter() - start
                process.kill()
                return seconds
    raise SystemExit("".join(["the recipe ended early:\n", *told]))


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="soft_moa")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_miniature("ESC50", folder / "ESC-50-master", takes=1)
        common.write_backbone("ast", folder / "ast-base")
        first_step(folder, chosen.method)  # writes the manifest
        seconds = [
            first_step(folder, chosen.method) for _ in range(chosen.repeats)
        ]
    print(
        f"{chosen.method}: the first step begins {min(seconds):.1f} to "
        f"{max(seconds):.1f} s after the command, median "
        f"{statistics.median(seconds):.1f} ({common.machine()})"
    )


if __name__ == "__main__":
    main()
