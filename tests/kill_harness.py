"""Kill a training again and again, and see that it ends as if undisturbed.

``python -m tests.kill_harness --runs 50`` trains two folds of a small model
once in peace (``--recipe VoxCeleb1``: one of speaker verification, with random
windows); then, in each run, starts the same training in a folder of its own, kills it (SIGKILL) after a random time or at a random file operation,
starts it again at once, up to the last kill, and lets it end. In every other
run the clock jumps by up to a year, back and forth. Weights, losses and
accuracies must be equal to the last bit.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from petl_modules.backbones import write_tiny_ast
from petl_modules.miniatures.corpus import write_miniature
from tests.corpora import write_voxceleb1

ROOT = Path(__file__).resolve().parents[1]
# By recipe: what writes its data, and keys of its own
RECIPES = {
    "ESC50": (partial(write_miniature, "ESC50", takes=1), {"folds": "[1,2]"}),
    "VoxCeleb1": (write_voxceleb1, {"valid_speakers": 2, "frames": 50}),
}
# Read by every process at its start: dies at the n-th change of a file, and
# has a clock that jumps
HOOK = """
import os, random, signal, time
left = int(os.environ.get("KILL_AT_CHANGE", 0))
clock = time.time
draw = random.Random(os.environ.get("JUMPS"))
offset = draw.uniform(-3e7, 3e7)

def jumping():
    global offset
    if draw.random() < 0.1:
        offset = draw.uniform(-3e7, 3e7)
    return clock() + offset

if os.environ.get("JUMPS"):
    time.time = jumping

def dying(change):
    def changed(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*args, **kwargs)
    return changed

if left:
    for name in ("replace", "rename", "fsync", "unlink", "rmdir", "mkdir"):
        setattr(os, name, dying(getattr(os, name)))
"""


class Harness:
    """A small training that can be started in any folder.

    Arguments
    ---------
    folder : pathlib.Path
        For data, backbone and runs.
    method : str
        Stem of the recipe file.
    recipe : str
        A key of ``RECIPES``.
    """

    def __init__(self, folder, method, recipe="ESC50"):
        self.folder = folder
        self.method = method
        self.script = ROOT / "recipes" / recipe / "train.py"
        write, self.options = RECIPES[recipe]
        write(folder=folder / "data")
        write_tiny_ast(folder / "tiny-ast")
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)

    def start(self, name, kill_at_change=0, workers=0, jumps=""):
        """Starts the training in the folder of that name.

        Arguments
        ---------
        name : str
            The folder.
        kill_at_change : int
            At which change of a file it dies; 0: at none.
        workers : int
            Of its loaders.
        jumps : str
            Of the clock: their seed. Empty: the clock is right.
        """
        options = {
            "data_folder": self.folder / "data",
            "manifest_folder": self.folder / name,
            "backbone": self.folder / "tiny-ast",
            "output_folder": self.folder / name / "out",
            "allow_partial": True,
            "number_of_epochs": 3,
            "batch_size": 8,
            **self.options,
            "num_workers": workers,
            "ckpt_interval_steps": 1,
            "device": "cpu",
        }
        words = [f"--{key}={value}" for key, value in options.items()]
        path = [str(self.folder / "hook"), str(ROOT)]
        return subprocess.Popen(
            [
                sys.executable,
                self.script,
                f"hparams/{self.method}.yaml",
                *words,
            ],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path),
                "OMP_NUM_THREADS": "1",
                "KILL_AT_CHANGE": str(kill_at_change),
                "JUMPS": jumps,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def result(self, name):
        """The folds of a summary, but for the time they took."""
        file = self.folder / name / "out" / "summary.json"
        folds = json.loads(file.read_text())["folds"]
        return [{k: v for k, v in f.items() if k != "seconds"} for f in folds]

    def finish(self, name, **options):
        """Runs the training to its end."""
        process = self.start(name, **options)
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{name} ended by itself:\n{errors[-3000:]}")
        return self.result(name)

    def interrupted(self, seed, kills, seconds):
        """Kills a training, and lets it end.

        Arguments
        ---------
        seed : int
            Of when it is killed.
        kills : int
            How often.
        seconds : float
            How long the training takes in peace.

        Returns
        -------
        result : list of dict
            See ``result``.
        done : int
            How many kills met a living process.
        """
        draw = random.Random(seed)
        name = f"run{seed}"
        done = 0
        for kill in range(kills):
            options = {
                "workers": draw.choice([0, 0, 1]),
                "jumps": f"{seed}.{kill}" if seed % 2 else "",
            }
            if draw.random() < 0.5:
                change = draw.randint(1, 120)
                process = self.start(name, change, **options)
                process.wait()
            else:
                process = self.start(name, **options)
                try:
                    process.wait(draw.uniform(0.1, seconds))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
            errors = process.stderr.read()
            if process.returncode not in (0, -signal.SIGKILL):
                raise RuntimeError(f"{name} ended by itself:\n{errors[-3000:]}")
            done += process.returncode == -signal.SIGKILL
        return self.finish(name, workers=draw.choice([0, 1])), done


def main(arguments=None):
    """The command line, see the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_harness")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--kills", type=int, default=3, help="in each run")
    parser.add_argument("--method", default="conformer")
    parser.add_argument("--recipe", default="ESC50", choices=[*RECIPES])
    parser.add_argument("--parallel", type=int, default=os.cpu_count())
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), chosen.method, chosen.recipe)
        start = time.monotonic()
        expected = harness.finish("peace")
        seconds = time.monotonic() - start
        print(f"in peace: {seconds:.0f} s", flush=True)

        def run(seed):
            result, done = harness.interrupted(seed, chosen.kills, seconds)
            verdict = "equal" if result == expected else "DIFFERENT"
            print(f"run {seed}: {done} kills, {verdict}", flush=True)
            return result == expected, done

        with ThreadPoolExecutor(chosen.parallel) as pool:
            results = list(pool.map(run, range(chosen.runs)))
    equal = sum(same for same, _ in results)
    print(f"{equal} of {chosen.runs} equal, {sum(n for _, n in results)} kills")
    sys.exit(equal != chosen.runs)


if __name__ == "__main__":
    main()
