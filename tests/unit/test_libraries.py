"""Libraries that do not fit each other are named, not left to a traceback."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from petl_modules.libraries import (
    PARTNERS,
    LibraryError,
    end_if_interrupted,
    raise_if_interrupted,
    require_libraries,
)

ROOT = Path(__file__).resolve().parents[2]
SYMBOL = "undefined symbol: torch_exception_get_what_without_backtrace"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Makes a stand-in for a library, found before the real one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # to be restored

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    return write


def run(folder, *words):
    """Runs Python with a folder before all others that modules are in."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        # Not ignored, as it is in what a shell runs in the background
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


PROGRAMS = [
    [str(ROOT / "recipes" / "ESC50" / "train.py"), "hparams/lora.yaml"],
    ["-m", "petl_modules.predict", "results/run", "dog.wav"],
]


@pytest.mark.parametrize("words", PROGRAMS, ids=["recipe", "predict"])
def test_program_names_the_two_that_do_not_fit(words, library):
    done = run(library("torchaudio", f"raise OSError({SYMBOL!r})"), *words)
    assert done.returncode == 1
    first, *rest = done.stderr.splitlines()
    assert first == (
        f"error: torchaudio {version('torchaudio')} does not fit torch "
        f"{version('torch')}: OSError: {SYMBOL}"
    )
    assert "    make clean test" in rest
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", PROGRAMS, ids=["recipe", "predict"])
def test_program_interrupted_while_it_imports(words, library):
    """Within a library that swallows the exception."""
    text = (
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException: pass\n"
    )
    done = run(library("torchaudio", text), *words)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_interrupts_are_raised_again():
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_if_interrupted()
        assert signal.getsignal(signal.SIGINT) is not before
        raise_if_interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
        end_if_interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_set_up_ends_with_an_error(library):
    folder = library("numpy", "raise ImportError('damaged')")
    done = run(folder, "-m", "petl_modules.libraries")
    assert done.returncode == 1
    message = f"error: numpy {version('numpy')} does not import: ImportError"
    assert done.stderr.startswith(message)


@pytest.mark.parametrize("kind", ["OSError", "ImportError", "AttributeError"])
def test_library_that_does_not_fit(kind, library):
    library("soxr", f"raise {kind}('no symbol')")
    message = f"soxr .* does not fit numpy .*: {kind}: no symbol"
    with pytest.raises(LibraryError, match=message):
        require_libraries("soxr")


def test_library_that_is_missing(library, monkeypatch):
    library("soxr", "")
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(LibraryError, match="^soxr is not installed\n"):
        require_libraries("numpy", "soxr")


def test_library_that_needs_a_missing_one(library):
    library("soxr", "import no_such_module")
    message = f"soxr {version('soxr')} needs no_such_module, which is missing"
    with pytest.raises(LibraryError, match=re.escape(message)):
        require_libraries("soxr")


def test_other_errors_keep_their_traceback(library):
    folder = library("soxr", "raise OSError('broken')")
    (folder / "script.py").write_text(
        "from petl_modules.libraries import require_libraries\n"
        "try:\n"
        "    require_libraries('soxr')\n"
        "except ImportError:\n"
        "    1 / 0\n"
    )
    assert "ZeroDivisionError" in run(folder, "script.py").stderr
    assert "Traceback" in run(folder, "script.py").stderr


def test_package_is_cheap_to_import(tmp_path):
    text = "import sys, petl_modules.libraries; print(*sys.modules)"
    loaded = run(tmp_path, "-c", text).stdout.split()
    assert "petl_modules.libraries" in loaded
    assert set(PARTNERS).isdisjoint(loaded)


def test_all_requirements_are_imported():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"^[\w.]+", text, re.M)) == PARTNERS.keys()


PROGRAMS = [
    *ROOT.glob("recipes/*/train.py"),
    *ROOT.glob("recipes/*/identify.py"),
    *ROOT.glob("templates/*/train.py"),
    *(
        ROOT / "petl_modules" / f"{x}.py"
        for x in ("predict", "verify", "embed")
    ),
]


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: str(file)[-30:])
def test_ctrl_c_ends_imports_with_one_line(file):
    text = file.read_text(encoding="utf-8")
    first = text.index("    end_if_interrupted()\n")
    assert first < text.index('\nrequire_libraries("torch"')
