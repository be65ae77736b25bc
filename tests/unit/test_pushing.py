"""Exported models on the hub: pushed, found by name, kept for offline use."""

import pytest
from huggingface_hub import constants

from petl_modules import export as command
from petl_modules.backbones import write_tiny_ast
from petl_modules.exports.cards.base import Base
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.utils import DownloadError, ExportError, HparamsError
from tests.hub import serving
from tests.trained import write_run
from tests.writable_hub import WritableHub

NAME = "me/dogs"


@pytest.fixture(scope="module")
def fold(tmp_path_factory, tiny_ast):
    folder = tmp_path_factory.mktemp("pushing")
    return write_run(folder / "run", "bitfit", tiny_ast)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serving({}, tmp_path / "cache", monkeypatch, WritableHub) as server:
        server.root, server.private, server.large = tmp_path / "hub", set(), {}
        yield server


def push(fold, *words):
    command.main([str(fold), "out", "--push", NAME, *words])


def test_what_is_pushed_is_found_by_its_name(hub, fold, capsys, monkeypatch):
    push(fold)
    assert f"pushed: https://huggingface.co/{NAME}/commit/" in (
        capsys.readouterr().out
    )
    assert not hub.private
    found = TrainedModel(NAME)
    assert found.weights_sha256 == TrainedModel(fold).weights_sha256
    commit = found.folder.name
    assert TrainedModel(NAME, revision=commit).folder == found.folder
    card = (hub.root / NAME / "README.md").read_text("utf-8")
    assert f'AudioClassifier.from_pretrained("{NAME}")' in card
    # Without the hub, the cache has all that is needed
    hub.broken = True
    assert TrainedModel(NAME).folder == found.folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert TrainedModel(NAME, revision=commit).folder == found.folder
    with pytest.raises(DownloadError, match="model 'me/cats'.*OFFLINE is set"):
        TrainedModel("me/cats")


def test_only_what_opening_reads_is_downloaded(hub, fold):
    push(fold)
    folder = TrainedModel(NAME).folder
    names = {file.name for file in folder.iterdir()}
    assert names == {"config.json", "model.safetensors"}


def test_a_private_model_is_asked_for(hub, fold):
    push(fold, "--private")
    assert hub.private == {NAME}


def test_nothing_is_written_over_unasked(hub, fold, tmp_path):
    (hub.root / NAME).mkdir(parents=True)
    (hub.root / NAME / ".gitattributes").touch()
    mine = hub.root / NAME / "README.md"
    mine.write_text("mine", "utf-8")
    with pytest.raises(SystemExit, match="has files already, such as README"):
        push(fold)
    assert not (tmp_path / "out").exists() and mine.read_text() == "mine"
    push(fold, "--overwrite")
    assert mine.read_text("utf-8") != "mine"


def test_a_hub_without_the_model_says_so(hub):
    with pytest.raises(HparamsError, match="model 'me/none' is neither a fold"):
        TrainedModel("me/none")


def test_a_folder_has_no_revision(fold):
    with pytest.raises(HparamsError, match="revisions are of names on the"):
        TrainedModel(fold, revision="main")


@pytest.mark.parametrize("name", ["dogs", "./dogs", "a/b/c"])
def test_what_is_no_name_is_refused_before_work(name, fold, tmp_path):
    with pytest.raises(HparamsError, match="no name for the Hugging Face hub"):
        command.export(fold, tmp_path / "out", push=name)


def test_private_without_push_is_refused(fold, tmp_path):
    with pytest.raises(SystemExit):
        command.main([str(fold), str(tmp_path / "out"), "--private"])


# The base under its name on the hub


def test_a_base_is_named_and_compared(hub, fold, tmp_path):
    write_tiny_ast(hub.root / "mit" / "ast-tiny")
    command.export(fold, "out", base_model="mit/ast-tiny")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert 'license: "bsd-3-clause"\n' in card
    assert 'base_model: "mit/ast-tiny"\n' in card
    found = TrainedModel("out")
    assert found.base.startswith("mit/ast-tiny@")
    assert found.weights_sha256 == TrainedModel(fold).weights_sha256


def test_a_base_with_other_weights_is_refused(hub, fold):
    write_tiny_ast(hub.root / "mit" / "ast-tiny", seed=1)
    with pytest.raises(ExportError, match="'mit/ast-tiny' has the weights"):
        command.export(fold, "out", base_model="mit/ast-tiny")


def test_a_base_that_was_not_compared_is_said_so(hub, fold, tmp_path):
    hub.broken = True
    command.export(fold, "out", base_model="mit/ast-tiny")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "the hub was not reached to compare its weights" in card
    assert 'license: "bsd-3-clause"' in card


@pytest.mark.parametrize(
    "name, licence, words",
    [
        ("MIT/ast-finetuned", "bsd-3-clause", "published under bsd-3-clause"),
        ("facebook/mms-300m", "cc-by-nc-4.0", "does not allow commercial use"),
        ("microsoft/wavlm-base", "unknown", "is unclear: its code is under"),
        ("some/encoder", "unknown", "is not known here"),
    ],
)
def test_licences_of_bases(name, licence, words):
    base = Base(name, "0" * 40)
    assert base.licence == licence and words in base.terms()


def test_a_local_folder_has_no_known_licence():
    assert Base("/data/facebook/mms", None).licence == "unknown"
