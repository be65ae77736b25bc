"""What the recipes' tests share."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from petl_modules.backbones import write_tiny
from petl_modules.miniatures.trials import BACKBONES
from tests import corpora

ROOT = Path(__file__).resolve().parents[2]


def load(file):
    """A script of a recipe as a module."""
    name = f"{file.parent.name}_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(file.parent)
            sys.modules[name] = module
            spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def script():
    """Gives a recipe's train.py as a module, by its path from the root."""
    return lambda name: load(ROOT / name)


@pytest.fixture(scope="session")
def esc50():
    """The ESC50 recipe's train.py as a module."""
    return load(ROOT / "recipes" / "ESC50" / "train.py")


@pytest.fixture(scope="session")
def places(corpus, tmp_path_factory):
    """What the CSV files call ``tests/tmp/<name>``: generated data."""
    folder = tmp_path_factory.mktemp("corpora")
    writers = {
        "UrbanSound8K": corpora.write_urbansound8k,
        "speech_commands_v0.02": corpora.write_gsc,
        "fluent_speech_commands_dataset": corpora.write_fsc,
        "free-spoken-digit-dataset": corpora.write_fsdd,
        "GTZAN": corpora.write_gtzan,
        "IEMOCAP_full_release": corpora.write_iemocap,
        "my_sounds": corpora.write_my_sounds,
        "my_speakers": corpora.write_my_speakers,
        "my_speech": corpora.write_my_speech,
        "LibriSpeech": corpora.write_librispeech,
        "voxceleb1": corpora.write_voxceleb1,
    }
    for name, write in writers.items():
        write(folder / name)
    encoders = [f"tiny-{kind}" for kind in ("w2v-bert", "wavlm", "whisper")]
    for name in encoders:
        write_tiny(name.removeprefix("tiny-"), folder / name)
    return {
        "ESC-50-master": corpus,
        "tiny-ast": str(BACKBONES["ast"]),
        "tiny-wav2vec2": str(BACKBONES["wav2vec2"]),
        **{name: str(folder / name) for name in (*writers, *encoders)},
    }


@pytest.fixture(scope="session")
def flags(places):
    """Gives the flags of a CSV row with the generated data put in."""

    def place(found):
        if found[1] not in places:
            pytest.fail(f"{found[0]}: add its writer to places() in {__file__}")
        return places[found[1]]

    def filled(row):
        return [
            re.sub("tests/tmp/(.*)", place, word)
            for word in shlex.split(row["test_debug_flags"])
        ]

    return filled


@pytest.fixture(scope="session")
def words(corpus, tiny_ast, tmp_path_factory):
    """Gives a command line: one short epoch of fold 1, but for changes."""
    manifests = tmp_path_factory.mktemp("manifests")

    def command_line(file, **changes):
        options = {
            "data_folder": corpus,
            "manifest_folder": manifests,
            "backbone": tiny_ast,
            "output_folder": "out",
            "allow_partial": True,
            "number_of_epochs": 1,
            "batch_size": 8,
            "folds": [1],
            "num_workers": 0,
            "device": "cpu",
            **changes,
        }
        return [
            f"hparams/{file}.yaml",
            *(f"--{key}={value}" for key, value in options.items()),
            "--noprogressbar",
        ]

    return command_line


@pytest.fixture(scope="session")
def start():
    """Starts Python on some words, as a process of its own."""

    def started(*words, cwd=ROOT):
        path = os.pathsep.join(
            filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        )
        return subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started
