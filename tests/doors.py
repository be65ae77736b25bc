"""Run code where nothing can be imported but what a door needs."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(pytest.__file__).resolve().parents[1]
PLACES = (f"{SITE}/", f"{ROOT}/")
# Refuses every module of site-packages and of this project that is not named
HOOK = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

ALLOWED = {allowed!r}
PLACES = {places!r}

class Door:
    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or path is not None or name in ALLOWED:
            return spec
        where = spec.origin or [*spec.submodule_search_locations][0]
        return None if where.startswith(PLACES) else spec

# No other finders, such as that of an editable installation
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Door]
"""


def run_alone(code, *packages, cwd, environment=None):
    """Run code in a fresh process that sees a few packages alone.

    Arguments
    ---------
    code : str
        The code.
    *packages : str
        Distributions, such as ``transformers``; what they require can be
        imported, too, without their extras. ``petl_modules`` is this project.
    cwd : pathlib.Path
        The working directory.
    environment : dict or None
        All environment variables. None: those of this process.

    Returns
    -------
    subprocess.CompletedProcess
        With its output as text.
    """
    allowed = set().union(*(_modules(package) for package in packages))
    own = "petl_modules" in packages
    hook = HOOK.format(allowed=allowed, places=PLACES)
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})" if own else ""
    return subprocess.run(
        [sys.executable, "-c", f"{start}\n{hook}\n{code}"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


def _modules(package):
    """Return the top modules of a distribution and of what it requires."""
    if package == "petl_modules":
        lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        wanted = [line for line in lines if line and line[0] != "#"]
        found = {"petl_modules"}
    else:
        wanted, found = [package], set()
    seen = set()
    while wanted:
        needed = Requirement(wanted.pop())
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        if needed.name in seen:
            continue
        seen.add(needed.name)
        try:
            about = distribution(needed.name)
        except PackageNotFoundError:  # of another platform
            continue
        wanted += about.requires or []
        found |= {file.parts[0].partition(".")[0] for file in about.files}
    return found
