"""What a result says of how it came about."""

import subprocess

import pytest
import torch

from petl_modules.runs.fold_facts import FORM, FoldFacts
from petl_modules.runs.fold_files import read_result, result_form
from petl_modules.runs.summary import build_summary
from petl_modules.utils import commit, problem
from tests.compared import write_compared

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]


@pytest.fixture
def repository(tmp_path):
    """A repository of one file, one commit."""
    (tmp_path / "code.py").write_text("a = 1\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "table.md").write_text("1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*GIT, *words], cwd=tmp_path, check=True)
    commit.cache_clear()
    yield tmp_path
    commit.cache_clear()


def test_commit_is_that_of_git(repository):
    words = [*GIT, "rev-parse", "HEAD"]
    done = subprocess.run(words, cwd=repository, capture_output=True, text=True)
    assert commit(repository) == done.stdout[:12]


@pytest.mark.parametrize(
    "file, told", [("code.py", True), ("results/table.md", False)]
)
def test_changed_code_is_told(repository, file, told):
    (repository / file).write_text("changed\n")
    assert commit(repository).endswith("with changes") == told


def test_installed_package_has_no_commit(repository):
    """Even below a repository, which is then another one."""
    below = repository / "site-packages"
    below.mkdir()
    assert commit(below) is None


def test_no_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(repository) is None


def test_facts_have_their_form():
    parts = {"train": {"a": {}, "b": {}}, "valid": {}, "test": {"c": {}}}
    found = FoldFacts(parts, "cpu").read()
    assert problem(found, FORM) is None
    assert found["clips"] == {"train": 2, "valid": 0, "test": 1}
    # This process has torch loaded, and no machine a terabyte of it
    assert 10**7 < found["peak_memory_bytes"] < 10**12


def test_memory_of_a_gpu_is_that_of_its_tensors(monkeypatch):
    """Stand-ins for the functions of torch, which need a GPU."""
    called = []
    for name, value in (
        ("init", None),
        ("reset_peak_memory_stats", None),
        ("max_memory_allocated", 123),
        ("get_device_name", "NVIDIA H100"),
    ):

        def stand_in(*device, name=name, value=value):
            called.append((name, *map(str, device)))
            return value

        monkeypatch.setattr(torch.cuda, name, stand_in)
    facts = FoldFacts({}, "cuda:1")
    assert called == [("init",), ("reset_peak_memory_stats", "cuda:1")]
    found = facts.read()
    assert (found["device"], found["peak_memory_bytes"]) == ("NVIDIA H100", 123)
    assert ("max_memory_allocated", "cuda:1") in called


def test_facts_are_of_a_fold_and_not_of_the_summary(tmp_path):
    folder = write_compared(tmp_path / "run", "lora", {1: 0.5})
    result = read_result(folder / "fold1" / "result.json", "accuracy")
    assert result["facts"]["clips"]["train"] == 60
    settings = {"dataset": "d", "backbone": None, "method": "m", "seed": 1}
    settings["best_metric"] = {"name": "accuracy", "mode": "max"}
    assert "facts" not in build_summary(settings, [result], "5 folds", 5)


def test_results_without_facts_are_read(tmp_path):
    folder = write_compared(tmp_path / "run", "lora", {1: 0.5}, facts=False)
    result = read_result(folder / "fold1" / "result.json", "accuracy")
    assert "facts" not in result
    damaged = {**result, "facts": {"clips": {"train": -1}}}
    assert "facts" in problem(damaged, result_form("accuracy"))
