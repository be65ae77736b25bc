"""Where a checkpoint is: paths, names on the hub, revisions, retries."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from petl_modules.backbones import (
    AST,
    find_checkpoint,
    input_facts,
    write_tiny_ast,
)
from petl_modules.utils import DownloadError, HparamsError
from tests.hub import serving

FIRST, SECOND = "1" * 40, "2" * 40


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two versions of an encoder, of the seeds 1 and 2."""
    folder = tmp_path_factory.mktemp("versions")
    for seed in (1, 2):
        write_tiny_ast(folder / f"seed{seed}", seed=seed)
    return folder


@pytest.fixture
def hub(versions, tmp_path, monkeypatch):
    """A hub with some/ast: seed 1 first, then seed 2 on main."""
    shutil.copytree(versions, tmp_path, dirs_exist_ok=True)
    first, second = (tmp_path / f"seed{seed}" for seed in (1, 2))
    commits = {
        "main": (SECOND, second),
        "v1": (FIRST, first),
        FIRST: (FIRST, first),
        SECOND: (SECOND, second),
    }
    monkeypatch.chdir(tmp_path)
    with serving(commits, tmp_path / "cache", monkeypatch) as server:
        yield server


def weights(backbone):
    return backbone.settings["weights"]


# Paths


@pytest.mark.parametrize(
    "name",
    [
        "./tiny-ast",
        "../tiny-ast",
        ".",
        "/nowhere/tiny-ast",
        "~/nowhere/tiny-ast",
        "~",
        "folder\\tiny-ast",
        "some/where/tiny-ast",
        "here/tiny-ast",
        "here/tiny@main",
        "tiny-ast",
        "tiny/",
        "/",
        "",
        "\0",
        "a" * 5000,
    ],
)
def test_a_mistyped_path_costs_no_request(name, hub, tmp_path):
    (tmp_path / "here").mkdir()
    with pytest.raises(HparamsError, match="no such folder|has no config"):
        find_checkpoint(name)
    assert hub.asked == []


def test_a_folder_is_found_by_each_of_its_names(
    tiny_ast, tmp_path, monkeypatch
):
    shutil.copytree(tiny_ast, tmp_path / "own" / "ast@2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("own/ast@2", "./own/ast@2", "~/own/ast@2", "own/ast@2/"):
        assert find_checkpoint(name).source == str(tmp_path / "own" / "ast@2")


def test_a_similar_folder_is_suggested(tmp_path):
    (tmp_path / "tiny-ast").mkdir()
    with pytest.raises(HparamsError, match="Did you mean '.*/tiny-ast'"):
        find_checkpoint(tmp_path / "tiny-asst")


def test_a_file_is_named(tiny_ast):
    with pytest.raises(HparamsError, match="is a file: name its folder"):
        find_checkpoint(f"{tiny_ast}/config.json")


# The hub


@pytest.mark.parametrize(
    ("name", "commit", "seed"),
    [
        ("some/ast", SECOND, 2),
        ("some/ast@main", SECOND, 2),
        ("some/ast@v1", FIRST, 1),
        (f"some/ast@{FIRST}", FIRST, 1),
    ],
)
def test_a_revision_is_loaded_and_named(name, commit, seed, hub, tmp_path):
    found = find_checkpoint(name)
    assert found.source == f"some/ast@{commit}"
    local = AST(str(tmp_path / f"seed{seed}"), 100)
    assert weights(AST(name, 100)) == weights(local)
    assert local.settings == AST(found.source, 100).settings


def test_a_pinned_commit_needs_no_hub(hub):
    source = find_checkpoint("some/ast").source
    hub.asked.clear()
    hub.commits["main"] = hub.commits["v1"]  # the model moves on
    AST(source, 100)
    assert input_facts(source).stated
    assert hub.asked == []


@pytest.mark.parametrize("preprocessor", [True, False])
def test_without_connection_the_cached_commit_is_used(
    preprocessor, hub, tmp_path, caplog
):
    """A file that the hub does not have is not asked for again."""
    if not preprocessor:
        (tmp_path / "seed2" / "preprocessor_config.json").unlink()
    with_hub = input_facts("some/ast")
    hub.broken = True
    assert input_facts("some/ast") == with_hub
    assert with_hub.stated is preprocessor
    assert "trying again in" in caplog.text and SECOND in caplog.text


def test_tries_are_few_and_told(hub, caplog):
    hub.broken = True
    with pytest.raises(DownloadError, match="hub cannot be reached .*503"):
        find_checkpoint("some/ast")
    assert len(hub.asked) == 3
    assert caplog.text.count("trying again in 0.01 s") == 2


def test_offline_is_no_reason_to_wait(hub, monkeypatch, caplog):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        find_checkpoint("some/ast")
    assert hub.asked == [] and "trying" not in caplog.text


@pytest.mark.parametrize(
    "name", ["some/other", "some/ast@v3", "so me/ast", "some/ast@"]
)
def test_what_the_hub_has_not_is_refused_at_once(name, hub):
    with pytest.raises(HparamsError, match=name.replace("@", ".")):
        find_checkpoint(name)
    assert len(hub.asked) <= 1


def test_a_preprocessor_file_never_seen_is_not_guessed(hub, tmp_path):
    """Another program has cached config and weights alone."""
    find_checkpoint("some/ast")
    for file in Path(tmp_path / "cache").rglob("preprocessor_config.json"):
        os.remove(file)
    hub.broken = True
    with pytest.raises(
        DownloadError, match="preprocessor_config.json is not in"
    ):
        input_facts("some/ast")
    assert AST("some/ast", 100)(torch.zeros(1, 100, 128)).shape[0] == 1


def test_a_model_without_readable_weights_is_refused(hub, tmp_path):
    (tmp_path / "seed2" / "model.safetensors").rename(
        tmp_path / "seed2" / "x.h5"
    )
    with pytest.raises(HparamsError, match="no weights of a known format"):
        find_checkpoint("some/ast")
