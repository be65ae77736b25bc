"""The rooms of petl_modules: what they import, and what YAML tags name."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "petl_modules"
ROOMS = sorted(  # data.cache is one, too
    ".".join(file.parent.relative_to(PACKAGE).parts)
    for file in PACKAGE.glob("*/**/__init__.py")
)
FILES = sorted(ROOT.glob("*/*/hparams/*.yaml"))


def tags(text):
    """Names of this package behind the tags of a YAML text."""
    return set(re.findall(r"!\w+:(petl_modules[\w.]*)", text))


def exported(room):
    return importlib.import_module(f"petl_modules.{room}").__all__


@pytest.mark.parametrize("room", sorted({*ROOMS} - {"miniatures"}))
def test_room_has_an_index(room):
    module = importlib.import_module(f"petl_modules.{room}")
    assert list(module.__all__) == sorted(set(module.__all__))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize(
    "file", FILES, ids=[f"{f.parts[-3]}-{f.stem}" for f in FILES]
)
def test_tags_name_rooms(file):
    """A file of a room can then be split or renamed without touching YAML."""
    for name in tags(file.read_text(encoding="utf-8")):
        room, _, rest = name.removeprefix("petl_modules.").rpartition(".")
        assert room in ROOMS and rest in exported(room), name


def test_there_are_tags():
    found = set().union(*(tags(f.read_text(encoding="utf-8")) for f in FILES))
    assert {name.split(".")[1] for name in found} >= {
        "backbones",
        "blocks",
        "data",
        "methods",
        "models",
        "runs",
        "training",
    }


def lint(folder):
    """The result of the import contracts on a copy of the package."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as main; main()",
            "--no-cache",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_rooms_import_only_what_they_may():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "file, line, contract",
    [
        ("data/datasets.py", "import petl_modules.models", "Rooms"),
        ("utils/files.py", "import petl_modules.runs", "Rooms"),
        ("methods/lora.py", "import petl_modules.backbones", "Rooms"),
        ("blocks/moa.py", "import petl_modules.utils", "Rooms"),
        ("models/freezing.py", "import transformers", "Only backbones"),
        ("blocks/moa.py", "import speechbrain", "Blocks are plain torch"),
        ("new.py", "", "Rooms"),
    ],
)
def test_a_forbidden_import_is_seen(file, line, contract, tmp_path):
    shutil.copytree(
        PACKAGE,
        tmp_path / "petl_modules",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with open(tmp_path / "petl_modules" / file, "a", encoding="utf-8") as f:
        f.write(f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert re.search(f"{contract}.*BROKEN|not listed", result.stdout)
