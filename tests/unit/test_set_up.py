"""The set-up: lock and ranges agree, no half-made environment is taken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ruamel.yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import petl_modules
from tools import set_up

ROOT = Path(__file__).resolve().parents[2]
LOCKED = set_up.requirements(set_up.LOCK)
PYTHONS = ["3.10.0", "3.11.7", "3.12.1", "3.13.0"]


def locked(python, platform="linux"):
    """From name to version, what the lock holds for a Python and a system."""
    found = {}
    for requirement in map(Requirement, LOCKED):
        where = {
            "python_full_version": python,
            "python_version": python.rpartition(".")[0],
            "sys_platform": platform,
            "platform_machine": "x86_64",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        if not requirement.marker or requirement.marker.evaluate(where):
            (pin,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            assert pin.operator == "==" and name not in found, name
            found[name] = pin.version
    return found


@pytest.mark.parametrize("line", set_up.requirements(*set_up.RANGES))
@pytest.mark.parametrize("python", PYTHONS)
def test_lock_is_in_the_ranges(python, line):
    requirement = Requirement(line)
    pin = locked(python)[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pin), pin


def test_lock_names_its_command():
    head = (ROOT / set_up.LOCK).read_text(encoding="utf-8").splitlines()[:2]
    assert "make lock" in head[1] and "uv pip compile --universal" in head[1]


def test_known_bad_torchaudio_is_excluded():
    (line,) = [
        x
        for x in set_up.requirements("requirements.txt")
        if x.startswith("torchaudio")
    ]
    assert not Requirement(line).specifier.contains("2.11.1")


def test_oldest_needs_a_lower_bound():
    with pytest.raises(set_up.SetUpError, match="lower bound in 'torch<3'"):
        set_up.oldest(["numpy>=1.26", "torch<3"])


def test_cpu_leaves_cuda_out():
    torch, others = set_up.split_cpu(LOCKED)
    assert [x.partition("==")[0] for x in torch] == ["torch", "torchaudio"]
    names = {Requirement(x).name for x in LOCKED}
    left_out = names - {Requirement(x).name for x in [*torch, *others]}
    assert "nvidia-nccl-cu13" in left_out and "triton" in left_out
    assert all(x.startswith(("nvidia-", "cuda-", "triton")) for x in left_out)


def test_cpu_takes_torch_alone_from_the_index():
    steps = set_up.steps("lock", "https://host/simple")
    indexed = [x for x in steps if "https://host/simple" in x[0]]
    assert indexed == steps[:1]
    assert steps[0][1] == set_up.split_cpu(LOCKED)[0]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--cpu=1"], "CPU=1 needs TORCH_INDEX=URL"),
        (["--cpu=yes"], "CPU=yes is unknown"),
        (["--cpu=1", "--versions=newest"], "leave out VERSIONS=newest"),
    ],
)
def test_cpu_that_cannot_be(words, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        set_up.main([str(tmp_path / "venv"), *words])
    assert list(tmp_path.iterdir()) == []


class Commands(list):
    """Commands of a set-up, written down and not run."""

    until = None  # how many pass before one fails

    def __call__(self, words):
        if len(self) == self.until:
            sys.exit(1)
        self.append(" ".join(map(str, words[1:])))


@pytest.fixture
def done(monkeypatch):
    """The commands that a set-up would have run."""
    commands = Commands()
    monkeypatch.setattr(set_up, "run", commands)
    return commands


def kinds(done):
    """Which of the set-up's steps were done, in order."""
    known = {
        "-m venv --clear": "environment",
        "-m pip install --no-deps -r": "lock",
        "-m pip install --no-deps --no-build-isolation": "project",
        "-m pip check": "check",
        "-m petl_modules.libraries": "imports",
    }
    return [known[key] for x in done for key in known if x.startswith(key)]


def test_set_up_ends_by_importing(done, tmp_path):
    set_up.set_up(tmp_path, "lock")
    steps = ["environment", "lock", "project", "check", "imports"]
    assert kinds(done) == steps
    assert (tmp_path / set_up.STAMP).is_file()


@pytest.mark.parametrize("passed", range(5))
def test_interrupted_set_up_starts_over(passed, done, tmp_path):
    done.until = passed
    with pytest.raises(SystemExit):
        set_up.set_up(tmp_path, "lock")
    assert not (tmp_path / set_up.STAMP).exists()
    done.clear()
    done.until = None
    set_up.set_up(tmp_path, "lock")
    assert kinds(done)[:2] == ["environment", "lock"]


def test_interrupted_renewal_starts_over(done, tmp_path):
    set_up.set_up(tmp_path, "lock")
    done.until = len(done) + 1
    with pytest.raises(SystemExit):
        set_up.set_up(tmp_path, "lock")
    assert not (tmp_path / set_up.STAMP).exists()


def test_unchanged_lock_is_not_installed_again(done, tmp_path):
    set_up.set_up(tmp_path, "lock")
    done.clear()
    set_up.set_up(tmp_path, "lock")
    assert kinds(done) == ["project", "check", "imports"]


def test_changed_lock_is_installed(done, tmp_path, monkeypatch):
    set_up.set_up(tmp_path, "lock")
    done.clear()
    monkeypatch.setattr(set_up, "requirements", lambda *files: ["new==1"])
    set_up.set_up(tmp_path, "lock")
    assert kinds(done)[:2] == ["environment", "lock"]


def test_newest_is_always_made_anew(done, tmp_path):
    set_up.set_up(tmp_path, "newest")
    done.clear()
    set_up.set_up(tmp_path, "newest")
    assert kinds(done)[0] == "environment"


@pytest.fixture(scope="module")
def wheel_site(tmp_path_factory):
    """A folder with what a wheel of this project installs."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        ROOT / "petl_modules", source / "petl_modules", ignore=hidden
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", *set_up.RANGES):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, *build, "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    install = ["install", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run([*pip, *install], check=True)
    return site


def test_wheel_holds_all_modules(wheel_site):
    def modules(folder):
        return {x.relative_to(folder) for x in folder.rglob("petl_*/**/*.py")}

    assert modules(wheel_site) == modules(ROOT)
    assert {x.name for x in wheel_site.iterdir() if x.is_dir()} == {
        "petl_modules",
        f"petl_modules-{petl_modules.__version__}.dist-info",
    }


def test_wheel_works_outside_a_checkout(wheel_site, tmp_path):
    text = (
        "import pkgutil, petl_modules\n"
        "for x in pkgutil.walk_packages(petl_modules.__path__, 'petl_modules.'):\n"
        "    if not x.name.endswith('__main__'):\n"
        "        print(__import__(x.name, fromlist=['x']).__file__)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": str(wheel_site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    files = [Path(x) for x in run.stdout.split()]
    assert len(files) > 10
    assert [x for x in files if wheel_site not in x.parents] == []


def test_changelog_opens_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    opening = text.split("\n## ")[1]
    assert opening.startswith(f"[{petl_modules.__version__}] - ")


def test_citation_names_the_papers():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    urls = [x["url"] for x in cited["references"]]
    papers = (
        *("2312.03694", "2402.00828", "2211.02227"),
        *("2210.06175", "2212.02780", "2606.15638"),
    )
    assert urls == [f"https://arxiv.org/abs/{x}" for x in papers]
