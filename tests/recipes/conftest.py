"""What the recipes' tests share.

Authors
 * The PETL audio recipes team 2026
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def esc50():
    """The ESC50 recipe's train.py as a module."""
    file = ROOT / "recipes" / "ESC50" / "train.py"
    spec = importlib.util.spec_from_file_location("esc50_train", file)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(file.parent)
        sys.modules["esc50_train"] = module
        spec.loader.exec_module(module)
    return module


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
