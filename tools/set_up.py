"""Make the virtual environment that make and continuous integration use.

``python tools/set_up.py .venv`` makes it afresh and installs
requirements-lock.txt, then this project, editable. ``--versions newest`` and
``oldest`` install what requirements.txt and requirements-test.txt allow
instead. ``--lock`` re-makes requirements-lock.txt. Needs nothing but Python.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements-lock.txt"
RANGES = (
    "requirements.txt",
    "requirements-export.txt",
    "requirements-service.txt",
    "requirements-test.txt",
)
PROJECT = ".[test,export,service]"
STAMP = ".installed"  # in the environment; holds what was installed
# What only torch's builds for CUDA need
CUDA = re.compile(r"(nvidia-|cuda-|triton\b)")
COMPILE = (
    "pip compile --universal --python-version 3.10 --upgrade --no-annotate"
).split()
NO_INDEX = """\
CPU=1 needs TORCH_INDEX=URL: an index with CPU builds of torch and torchaudio,
as torchaudio's build in the package registry links CUDA. For example
    make test CPU=1 TORCH_INDEX=https://host/simple"""


class SetUpError(Exception):
    """An obstacle to making the environment, with its remedy."""


def requirements(*files):
    """Return the lines of requirement files, without comments.

    Arguments
    ---------
    *files : str
        Names in the project's root.

    Returns
    -------
    list of str
    """
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in files]
    lines = (
        line.partition("#")[0].strip() for line in "\n".join(texts).split("\n")
    )
    return [line for line in lines if line]


def oldest(lines):
    """Return the lower bounds of ranges, as exact versions.

    Arguments
    ---------
    lines : list of str
        Requirements with a lower bound each.

    Returns
    -------
    list of str

    Raises
    ------
    SetUpError
        If one has no lower bound.

    Example
    -------
    >>> oldest(["torchaudio>=2.11,<2.12,!=2.11.1"])
    ['torchaudio==2.11']
    """
    found = [re.match(r"([\w.-]+).*?>=\s*([\w.]+)", line) for line in lines]
    unbounded = [x for x, bound in zip(lines, found) if not bound]
    if unbounded:
        raise SetUpError(f"no lower bound in '{unbounded[0]}': add >=VERSION")
    return ["==".join(bound.groups()) for bound in found]


def split_cpu(lines):
    """Split a lock for a CPU-only torch.

    Arguments
    ---------
    lines : list of str
        All lines of the lock.

    Returns
    -------
    tuple of list of str
        torch and torchaudio; all else but what CUDA needs.

    Example
    -------
    >>> split_cpu(["numpy==2.4", "nvidia-nccl-cu13==2.28", "torch==2.11.0"])
    (['torch==2.11.0'], ['numpy==2.4'])
    """
    torch = [x for x in lines if x.startswith(("torch==", "torchaudio=="))]
    return torch, [x for x in lines if x not in torch and not CUDA.match(x)]


def steps(versions, torch_index=None):
    """Return the pip commands, in order.

    Arguments
    ---------
    versions : str
        ``lock``, ``newest`` or ``oldest``.
    torch_index : str or None
        Where torch and torchaudio come from, if not from the registry.

    Returns
    -------
    list of tuple
        The arguments of ``pip install``, and the lines of a file of
        requirements or constraints, whose path is to follow them.
    """
    if versions == "oldest":
        return [(["--editable", PROJECT, "-c"], oldest(requirements(*RANGES)))]
    if versions == "newest":
        return [(["--editable", PROJECT], None)]
    # A lock is complete: nothing is left to resolve
    install = ["--no-deps", "-r"]
    project = ["--no-deps", "--no-build-isolation", "--editable", "."]
    lines = requirements(LOCK)
    if not torch_index:
        return [(install, lines), (project, None)]
    torch, others = split_cpu(lines)
    cpu = ["--index-url", torch_index, *install]
    return [(cpu, torch), (install, others), (project, None)]


def set_up(folder, versions, torch_index=None):
    """Make a new environment, unless the same one exists already.

    Its stamp is written last, so that an interrupted installation is done
    again.

    Arguments
    ---------
    folder : pathlib.Path
        The environment's.
    versions : str
        ``lock``, ``newest`` or ``oldest``.
    torch_index : str or None
        Where torch and torchaudio come from, if not from the registry.
    """
    todo = steps(versions, torch_index)
    wanted = f"{sys.version}\n{[*requirements(*RANGES), *todo]}"
    wanted = hashlib.sha256(wanted.encode()).hexdigest()
    stamp, python = folder / STAMP, folder / "bin" / "python"
    known = stamp.read_text() if stamp.is_file() else None
    if known == wanted and versions != "newest":
        todo = todo[-1:]  # the project itself
    else:
        run([sys.executable, "-m", "venv", "--clear", folder])
    stamp.unlink(missing_ok=True)
    pip = [python, "-m", "pip"]
    with tempfile.TemporaryDirectory() as scratch:
        for arguments, lines in todo:
            words = [*pip, "install", *arguments]
            if lines is not None:
                file = Path(scratch) / "requirements.txt"
                file.write_text("\n".join(lines), encoding="utf-8")
                words.append(file)
            run(words)
    run([*pip, "check"])
    run([python, "-m", "petl_modules.libraries"])
    stamp.write_text(wanted)


def lock():
    """Make requirements-lock.txt again, from the newest versions allowed."""
    scratch = Path(tempfile.mkdtemp())
    try:
        run([sys.executable, "-m", "venv", scratch])
        run([scratch / "bin" / "pip", "install", "--quiet", "uv"])
        words = [*COMPILE, *RANGES, "-o", LOCK]
        header = f"make lock (uv {' '.join(words)})"
        words = [*words, "--custom-compile-command", header]
        run([scratch / "bin" / "uv", *words, "--no-python-downloads"])
    finally:
        shutil.rmtree(scratch)


def run(words):
    """Run a command in the project's root; exit if it fails."""
    code = subprocess.run([str(x) for x in words], cwd=ROOT).returncode
    if code:
        sys.exit(code)


def main(arguments=None):
    """Run: ``VENV [--versions V] [--cpu] [--torch-index URL]``."""
    parser = argparse.ArgumentParser(prog="python tools/set_up.py")
    parser.add_argument("folder", metavar="VENV", nargs="?", type=Path)
    parser.add_argument(
        "--versions", default="lock", choices=["lock", "newest", "oldest"]
    )
    parser.add_argument("--cpu", default="", metavar="1", help="CPU-only torch")
    parser.add_argument("--torch-index", default="", metavar="URL")
    parser.add_argument("--lock", action="store_true", help=f"re-make {LOCK}")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.lock:
            return lock()
        if chosen.cpu not in ("", "1"):
            raise SetUpError(f"CPU={chosen.cpu} is unknown: set CPU=1 or not")
        if chosen.cpu and chosen.versions != "lock":
            raise SetUpError(
                f"CPU=1 takes the lock: leave out VERSIONS={chosen.versions}"
            )
        if chosen.cpu and not chosen.torch_index:
            raise SetUpError(NO_INDEX)
        if chosen.folder is None:
            parser.error("name the environment's folder, such as .venv")
        index = chosen.torch_index if chosen.cpu else None
        set_up(chosen.folder.absolute(), chosen.versions, index)
    except SetUpError as error:
        sys.exit(f"set-up: {error}")


if __name__ == "__main__":
    main()
