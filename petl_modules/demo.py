"""Train two methods on generated sounds, from nothing, in a few minutes.

``python -m petl_modules.demo`` writes a small corpus in ESC-50's layout and a
small backbone, cross-validates each method with the ESC50 recipe and prints
a comparison. Run again, it goes on where it stopped.

Authors
 * The PETL audio recipes team 2026
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from petl_modules.backbones import write_tiny_ast
from petl_modules.demo_corpus import write_corpus
from petl_modules.files import is_taken, write_text

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Path("recipes", "ESC50", "train.py")
# What each run changes in its YAML file: 90 clips and a hidden size of 128 ask
# for other steps and widths than the real thing.
RUNS = {
    "linear": {"number_of_epochs": 8, "lr": 0.01},
    "soft_moa": {"number_of_epochs": 8, "reduction": 16},
}
NOTE = """\
The weights of the backbone are random numbers. An accuracy above chance
(10 %) shows that training works. It says nothing about real audio, nor about
which method is the better one there."""


def write_backbone(folder):
    """Write the small random backbone, unless it is there already.

    Arguments
    ---------
    folder : pathlib.Path
        Where the Hugging Face files go.
    """
    if (folder / "config.json").is_file():
        return
    if is_taken(folder):
        raise FileExistsError(
            f"{folder} holds no backbone (it has no config.json) and is "
            "not overwritten; remove the folder or choose another one"
        )
    write_tiny_ast(folder)


def command(folder, method, **options):
    """The command line that trains one method on the demo's data.

    Arguments
    ---------
    folder : pathlib.Path
        The demo's folder.
    method : str
        Stem of the recipe's YAML file.
    **options : object
        Further keys of the YAML file, with their values.

    Returns
    -------
    words : list of str
        For ``subprocess.run``.
    """
    options = {
        "data_folder": folder / "ESC-50-master",
        "backbone": folder / "tiny-ast",
        "output_folder": folder / method,
        "allow_partial": True,
        "batch_size": 8,
        **options,
    }
    words = [sys.executable, str(ROOT / RECIPE), f"hparams/{method}.yaml"]
    for key, value in options.items():
        words += [f"--{key}", str(value)]
    return words


def _shown(words):
    """A command as a user types it: paths below the working folder short."""
    here = f"{Path.cwd()}{os.sep}"
    return shlex.join(word.removeprefix(here) for word in words)


def train(folder, method):
    """Run the recipe on one method and read what it leaves.

    Arguments
    ---------
    folder : pathlib.Path
        The demo's folder.
    method : str
        A key of ``RUNS``.

    Returns
    -------
    summary : dict
        The content of the run's ``summary.json``.
    """
    words = command(folder, method, **RUNS[method])
    print(f"\n$ {_shown(words)}", flush=True)
    run = subprocess.run(words, cwd=ROOT)
    summary = folder / method / "summary.json"
    if run.returncode or not summary.is_file():
        raise SystemExit(
            f"{method} ended with code {run.returncode} and without a result "
            f"in {summary}; see its messages above, then run the demo again: "
            "finished folds are kept"
        )
    return json.loads(summary.read_text("utf-8"))


def comparison(summaries):
    """A Markdown table of several runs.

    Arguments
    ---------
    summaries : dict of dict
        The content of ``summary.json`` under the name of each method.

    Returns
    -------
    table : str
        One row a method, without a line feed at the end.

    Example
    -------
    >>> run = {"accuracy_mean": 0.5, "accuracy_std": 0.025}
    >>> run.update(trainable_parameters=1290, folds=[{"seconds": 7.2}])
    >>> print(comparison({"linear": run}))
    | method | accuracy, % | trained parameters | seconds |
    |--------|------------:|-------------------:|--------:|
    | linear |  50.0 ± 2.5 |              1,290 |       7 |
    """
    cells = [("method", "accuracy, %", "trained parameters", "seconds")]
    for method, run in summaries.items():
        mean, std = 100 * run["accuracy_mean"], 100 * run["accuracy_std"]
        seconds = sum(fold["seconds"] for fold in run["folds"])
        numbers = f"{run['trainable_parameters']:,}", f"{seconds:.0f}"
        cells.append((method, f"{mean:.1f} ± {std:.1f}", *numbers))
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = []
    for first, *others in cells:
        padded = [text.rjust(w) for text, w in zip(others, widths[1:])]
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *padded])} |")
    rules = ["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join(lines)


def _next_commands(folder):
    base = [sys.executable, str(ROOT / RECIPE)]
    lora = command(folder, "lora", number_of_epochs=8)
    moa = [*base, "hparams/soft_moa.yaml"]
    return f"""\
Another method on the same sounds:
  {_shown(lora)}
Clips of your own, of ESC-50's classes and in its layout, with AST:
  {_shown([*moa, "--data_folder", "DIR", "--allow_partial", "True"])}
The real ESC-50, downloaded first:
  {_shown([*moa, "--download", "True"])}"""


def main(arguments=None):
    """Run the demo (see the head of this file).

    Arguments
    ---------
    arguments : list of str, optional
        Command line without the program's name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m petl_modules.demo",
        description="Cross-validate linear and soft_moa on generated sounds.",
    )
    parser.add_argument(
        "--folder",
        default="results/demo",
        help="where data and results go (default: %(default)s)",
    )
    folder = Path(parser.parse_args(arguments).folder).resolve()
    if not (ROOT / RECIPE).is_file():
        parser.error(
            f"no recipe at {ROOT / RECIPE}; run the demo from a clone of the "
            "repository, where recipes/ stands beside petl_modules/"
        )
    try:
        print(f"Sounds and a small backbone go to {folder}", flush=True)
        write_corpus(folder / "ESC-50-master")
        write_backbone(folder / "tiny-ast")
    except OSError as error:
        parser.error(str(error))
    summaries = {method: train(folder, method) for method in RUNS}
    table = comparison(summaries)
    report = folder / "comparison.md"
    write_text(report, f"# Demo on generated sounds\n\n{table}\n\n{NOTE}\n")
    print(f"\n{table}\n\n{NOTE}\n\nWritten to {report}\n")
    print(_next_commands(folder))


if __name__ == "__main__":
    main()
