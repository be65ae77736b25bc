"""Train five methods on generated sounds, in a few minutes.

``python -m petl_modules.demo`` writes a miniature of ESC-50, cross-validates
each method with the ESC50 recipe on the small pretrained AST of the
repository, prints and draws a comparison, and applies a trained classifier to
a new sound. Started again, the demo keeps finished folds and resumes the rest.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from petl_modules.miniatures.corpus import write_miniature
from petl_modules.miniatures.environment import synthesize
from petl_modules.miniatures.trials import BACKBONES, ROOT, command, shown
from petl_modules.runs.plots import draw_tradeoff
from petl_modules.utils import write_text

METHODS = ("linear", "lora", "conformer", "soft_moa", "full_finetuning")
RATE = 44100
# Recordings of classes of the miniature, where Debian's tuxpaint-stamps-default
# is installed
STAMPS = Path("/usr/share/tuxpaint/stamps/animals")
RECORDED = ("birds/rooster.ogg", "mammals/dogs/dog.ogg")
NOTE = """\
Sounds and backbone are toys: 150 generated clips and a small AST that was
pretrained on other generated sounds (pretrained/tiny-ast/README.md). The table
shows how methods differ, not how well they do on real audio."""


def run(words):
    """Show a command line, run it and return its exit code."""
    print(f"\n$ {shown(words)}", flush=True)
    # A model this small is slower on several threads
    env = {"OMP_NUM_THREADS": "1", **os.environ}
    return subprocess.run(words, cwd=ROOT, env=env).returncode


def all_folds(folder, method):
    """Return the command line that cross-validates a method over all folds."""
    return command("ESC50", method, folder, folder / method, folds="[]")


def train(folder, method):
    """Run the recipe with one method and return its summary.

    Arguments
    ---------
    folder : pathlib.Path
        The demo's folder.
    method : str
        One of ``METHODS``.

    Returns
    -------
    summary : dict
        The content of the run's ``summary.json``.
    """
    output = folder / method
    if code := run(all_folds(folder, method)):
        raise SystemExit(
            f"{method} ended with code {code}; see its messages above. Once "
            "the cause is gone, run the demo again: finished folds are kept. "
            "Runs of other settings stay in their way: name another --folder "
            f"then, or remove {output}"
        )
    summary = output / "summary.json"
    return json.loads(summary.read_text("utf-8"))


def comparison(summaries):
    """Return a Markdown table of several runs.

    Arguments
    ---------
    summaries : dict of dict
        The content of ``summary.json``, by method.

    Returns
    -------
    table : str
        One row a method, without a final line feed.

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


def classify(folder):
    """Classify sounds that are in no fold, with the trained Soft-MoA.

    One is generated; others are recordings, if there are some on the machine.

    Arguments
    ---------
    folder : pathlib.Path
        The demo's folder.
    """
    wav = folder / "rooster.wav"
    samples = synthesize("rooster", np.random.default_rng(7), 5.0, RATE)
    soundfile.write(wav, samples, RATE, subtype="PCM_16")
    real = [STAMPS / name for name in RECORDED if (STAMPS / name).is_file()]
    words = [sys.executable, "-m", "petl_modules.predict"]
    words += [str(folder / "soft_moa"), *map(str, [wav, *real])]
    if code := run(words):
        raise SystemExit(f"petl_modules.predict ended with code {code}")


def next_commands(folder):
    """Return command lines to try after the demo."""
    train = str(ROOT / "recipes" / "ESC50" / "train.py")
    moa = [sys.executable, train, "hparams/soft_moa.yaml"]
    write = [sys.executable, "-m", "petl_modules.miniatures", "GSC"]
    words = "speech_commands_v0.02"
    gsc = command("GSC", "lora", folder, folder / "gsc_lora")
    own = [
        sys.executable,
        str(ROOT / "templates/audio_classification/train.py"),
    ]
    own += ["hparams/soft_moa.yaml", "--data_folder", "DIR"]
    own += ["--backbone", str(BACKBONES["ast"])]
    bottleneck = all_folds(folder, "bottleneck")
    export = [sys.executable, "-m", "petl_modules.export"]
    export += [str(folder / "soft_moa"), str(folder / "soft_moa_export")]
    return f"""\
What was trained, as a folder for others:
  {shown(export)}
Another method on the same sounds:
  {shown(bottleneck)}
Spoken words, in the layout of Speech Commands:
  {shown([*write, str(folder / words)])}
  {shown(gsc)}
Sounds of your own, a folder of audio files for each class:
  {shown(own)}
The real thing, ESC-50 and AST (both are downloaded):
  {shown([*moa, "--download", "True"])}
All methods on five miniatures, for an hour or two:
  make bench-demo"""


def main(arguments=None):
    """Run the demo (see the head of this file).

    Arguments
    ---------
    arguments : list of str, optional
        Command line without the program's name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m petl_modules.demo",
        description="Cross-validate five methods on generated sounds.",
    )
    parser.add_argument(
        "--folder",
        default="results/demo",
        help="where data and results go (default: %(default)s)",
    )
    folder = Path(parser.parse_args(arguments).folder).resolve()
    # SIGTERM raises SystemExit, so that the running subprocess ends as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not (ROOT / "recipes").is_dir():
        parser.error(
            f"no recipes in {ROOT}; run the demo from a clone of the "
            "repository, which has recipes/ and petl_modules/"
        )
    print(f"Generated sounds and results go to {folder}", flush=True)
    try:
        write_miniature("ESC50", folder / "ESC-50-master")
    except OSError as error:
        parser.error(str(error))
    summaries = {method: train(folder, method) for method in METHODS}
    table = comparison(summaries)
    report, picture = folder / "comparison.md", folder / "comparison.png"
    write_text(report, f"# Demo on generated sounds\n\n{table}\n\n{NOTE}\n")
    points = [
        (m, s["trainable_parameters"], s["accuracy_mean"], s["accuracy_std"])
        for m, s in summaries.items()
    ]
    draw_tradeoff(picture, {"Miniature of ESC-50": points}, "accuracy")
    print(f"\n{table}\n\n{NOTE}\n\nWritten to {report}\nDrawn in {picture}")
    classify(folder)
    print(f"\n{next_commands(folder)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from there")
