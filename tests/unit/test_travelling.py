"""The folder that travels: written, opened, damaged, attacked."""

import json
import shutil
from copy import deepcopy

import pytest
import torch
from transformers import ASTConfig

from petl_modules import export as export_command
from petl_modules.backbones import load_pretrained, write_tiny_ast
from petl_modules.exports import exporting
from petl_modules.exports.exporting import export
from petl_modules.inference import Transcriber, Verifier
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.inference.travelling_config import seal_of
from petl_modules.info import facts_of
from petl_modules.models import trained_state
from petl_modules.utils import (
    CheckpointError,
    DataError,
    ExportError,
    HparamsError,
    UserError,
)
from tests.trained import ROOT, write_run
from tools.copy_methods import SPEECH_METHODS

TEMPLATE = ROOT / "templates" / "audio_classification" / "hparams"
METHODS = sorted(file.stem for file in TEMPLATE.glob("*.yaml"))
# Each kind of encoder, of part and of task once
CASES = {
    "soft_moa": {},
    "conformer_wav2vec2": {},
    "el_adapters": {},
    "whisper": {},
    "w2v_bert": {},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_ast):
    """The folder of a run of two folds."""
    folder = tmp_path_factory.mktemp("travelling") / "run"
    for fold in (1, 2):
        write_run(folder, "bottleneck", tiny_ast, fold=fold, seed=fold)
    return folder


@pytest.fixture(scope="module")
def exported(run):
    """What was exported of its first fold."""
    export(run, run.parent / "exported")
    return run.parent / "exported"


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of it to damage."""
    return shutil.copytree(exported, tmp_path / "copy")


def outputs(trained):
    rate, draw = trained.features.sample_rate, torch.Generator()
    noise = torch.randn(rate, generator=draw.manual_seed(1))
    batch = trained.features(0.1 * noise).unsqueeze(0)
    with torch.inference_mode():
        made = trained.model(batch)
    return made[0] if isinstance(made, tuple) else made


def assert_equal(folder, other):
    one, again = (TrainedModel(x, merge=False) for x in (folder, other))
    assert again.travels and not one.travels
    assert again.labels == one.labels and again.task == one.task
    assert vars(again.windows) == vars(one.windows)
    assert again.weights_sha256 == one.weights_sha256
    assert torch.equal(outputs(one), outputs(again))


def edit(folder, change, seal=True):
    """Change the content of ``config.json``, and its seal."""
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    change(config)
    if seal:
        config["config_sha256"] = seal_of(config)
    file.write_text(json.dumps(config), "utf-8")


# Written and opened


@pytest.mark.parametrize("method", CASES)
def test_the_folder_gives_the_same_model(method, tiny_of, tmp_path):
    fold = write_run(tmp_path / "run", method, tiny_of(method))
    export(fold, tmp_path / "out")
    assert_equal(fold, tmp_path / "out")


def table():
    """Every method with the bases that it can have."""
    for method in METHODS:
        for base in ("ast", "wav2vec2"):
            own = method in ("w2v_bert", "whisper")  # encoders of their own
            speech = "wav2vec2" in method or method in SPEECH_METHODS or own
            # IPET has a file for each, as it pools the tokens of AST
            fits = base == "wav2vec2" or not speech
            fits &= not ("ipet" in method and base == "wav2vec2") or speech
            if fits and method not in ("ast", "wav2vec2"):
                yield method, base, method if own else base


@pytest.mark.whole
@pytest.mark.parametrize("method, base, encoder", [*table()])
def test_every_method_travels(method, base, encoder, tiny_of, tmp_path):
    backbone = tiny_of(encoder)
    fold = write_run(tmp_path / "run", method, backbone, f"{base}.yaml")
    export(fold, tmp_path / "out")
    assert_equal(fold, tmp_path / "out")


def test_verification_travels_with_scoring_and_threshold(tiny_ast, tmp_path):
    fold = write_run(
        tmp_path / "run", "lora", tiny_ast, template="speaker_verification"
    )
    export(fold, tmp_path / "out")
    verifier = Verifier(tmp_path / "out")
    assert (verifier.scoring, verifier.threshold) == ("cosine", 0.5)
    assert_equal(fold, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "only with their consent" in card


def test_recognition_travels_with_its_units(tiny_wav2vec2, tmp_path):
    settings = {
        "template": "speech_recognition",
        "labels": ["<blank>", " ", "a", "b"],
        "units": "characters",
        "best_metric": {"name": "wer", "mode": "min"},
    }
    backbone = tiny_wav2vec2["group"]
    fold = write_run(tmp_path / "run", "linear", backbone, **settings)
    export(fold, tmp_path / "out")
    assert_equal(fold, tmp_path / "out")
    noise = torch.rand(16_000, generator=torch.Generator().manual_seed(0)) - 0.5
    heard, again = (
        Transcriber(x).words(noise) for x in (fold, tmp_path / "out")
    )
    assert heard == again


def test_opening_needs_no_hyperpyyaml(exported, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("YAML is read")

    monkeypatch.setattr("hyperpyyaml.load_hyperpyyaml", refuse)
    for name in ("recipe_file", "yaml_text"):
        module = f"petl_modules.runs.{name}.load_hyperpyyaml"
        monkeypatch.setattr(module, refuse)
    monkeypatch.setattr("ruamel.yaml.YAML.load", refuse)
    assert TrainedModel(exported).labels[0] == "dog"


def test_what_was_exported_can_be_exported_again(exported, tmp_path):
    export(exported, tmp_path / "again")
    for name in ("config.json", "README.md"):
        one, other = (x / name for x in (exported, tmp_path / "again"))
        text = one.read_text("utf-8").replace('"exported"', '"again"')
        assert other.read_text("utf-8") == text


def test_a_class_of_the_users_own_is_refused(run, tmp_path):
    fold = shutil.copytree(run / "fold1", tmp_path / "fold1")
    (fold / "checksums.json").unlink()
    file = fold / "hyperparams.yaml"
    old, new = "!new:petl_modules.models.MeanPooling", "!new:tests.models.Pool"
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises((ExportError, HparamsError)):
        export(fold, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Folds


def test_an_interrupted_export_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(trained, folder):
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "writer", lambda format: interrupted)
    with pytest.raises(SystemExit) as end:
        export_command.main([str(run), str(tmp_path / "out")])
    assert end.value.code == 130 and not [*tmp_path.iterdir()]


def test_a_link_is_no_place_for_a_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "dangling").symlink_to("none")
    for name in ("link", "dangling"):
        with pytest.raises(FileExistsError, match="name a new folder"):
            export(run, tmp_path / name)


def test_all_folds_average_their_logits(run, tmp_path):
    names = export(run, tmp_path / "all", fold="all")
    assert {"fold1.safetensors", "fold2.safetensors"} <= {*names}
    whole = TrainedModel(tmp_path / "all")
    each = [TrainedModel(run, fold=f"fold{k}", merge=False) for k in (1, 2)]
    mean = sum(map(outputs, each)) / 2
    assert torch.allclose(outputs(whole), mean, atol=1e-6)
    assert whole.members == ["fold1", "fold2"]
    with pytest.raises(HparamsError, match="open one fold"):
        whole.model.embed(None)
    card = (tmp_path / "all" / "README.md").read_text("utf-8")
    assert "**It has no test result**" in card and "(this model)" not in card


def test_an_average_has_the_mean_weights(run, tmp_path):
    export(run, tmp_path / "mean", fold="average")
    found = trained_state(TrainedModel(tmp_path / "mean", merge=False).model)
    states = [
        trained_state(TrainedModel(run / f"fold{k}", merge=False).model)
        for k in (1, 2)
    ]
    for name, value in found.items():
        mean = (states[0][name].double() + states[1][name]) / 2
        assert torch.equal(value, mean.to(value.dtype)), name
    card = (tmp_path / "mean" / "README.md").read_text("utf-8")
    assert "mean of the weights" in card and "has no test result" in card


def test_folds_of_lora_are_not_averaged(tiny_ast, tmp_path):
    for fold in (1, 2):
        write_run(tmp_path / "run", "lora", tiny_ast, fold=fold)
    with pytest.raises(HparamsError, match="not the mean of their products"):
        export(tmp_path / "run", tmp_path / "out", fold="average")


@pytest.mark.parametrize(
    "fold, reason",
    [
        ("fold7", "no finished fold 'fold7'; it has fold1, fold2"),
        ("worst", "no finished fold 'worst'"),
    ],
)
def test_a_fold_that_is_not_there_is_named(run, fold, reason, tmp_path):
    with pytest.raises(HparamsError, match=reason):
        export(run, tmp_path / "out", fold=fold)


def test_folds_that_read_sounds_in_two_ways_are_not_averaged(
    tiny_ast, tmp_path
):
    for fold, mean in [(1, -4.0), (2, -5.0)]:
        write_run(tmp_path / "run", "linear", tiny_ast, fold=fold, mean=mean)
    with pytest.raises(HparamsError, match="other values of features"):
        TrainedModel(tmp_path / "run", fold="all")


def test_one_fold_and_one_folder_have_no_folds(run, exported, tmp_path):
    with pytest.raises(HparamsError, match="name the folder of the run"):
        export(run / "fold1", tmp_path / "out", fold="all")
    with pytest.raises(HparamsError, match="there is no fold 'all'"):
        TrainedModel(exported, fold="all")


def test_other_formats_hold_one_fold(run, tmp_path):
    with pytest.raises(ExportError, match="onnx holds one: take --format petl"):
        export(run, tmp_path / "out", "onnx", fold="all")


# Damaged


def test_a_flipped_bit_of_the_weights_is_named(copy):
    file = copy / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 4
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="Download or copy the folder"):
        TrainedModel(copy)


def test_flipped_bits_of_the_config_are_named(copy):
    file = copy / "config.json"
    content = file.read_bytes()
    begin, end = content.index(b'"parts"'), content.index(b'"about"')
    for place in range(begin, end, 97):
        changed = bytearray(content)
        changed[place] ^= 1
        if b"".join(changed.split()) == b"".join(content.split()):
            continue
        file.write_bytes(changed)
        with pytest.raises(UserError) as caught:
            TrainedModel(copy)
        assert "config.json" in str(caught.value)


def test_another_base_is_named(copy, tmp_path):
    write_tiny_ast(tmp_path / "other", seed=5)
    with pytest.raises(CheckpointError, match="other' has .*another one") as e:
        TrainedModel(copy, backbone=tmp_path / "other")
    assert "give its path as 'backbone'" in str(e.value)


def test_a_base_that_is_gone_is_named(copy, tiny_ast):
    edit(copy, lambda config: config.update(base_model="/no/such/encoder"))
    with pytest.raises(HparamsError, match="give its path as 'backbone'"):
        TrainedModel(copy)
    assert TrainedModel(copy, backbone=tiny_ast).labels[0] == "dog"


def test_another_list_of_classes_is_named(copy):
    edit(copy, lambda config: config["id2label"].update({"1": "snow"}))
    with pytest.raises(CheckpointError, match="class 1 is 'snow'.*'rain'"):
        TrainedModel(copy)


def test_the_order_of_keys_changes_no_class(copy, exported):
    def turn(config):
        config["id2label"] = dict(reversed(config["id2label"].items()))

    edit(copy, turn, seal=False)  # which holds for any order
    assert TrainedModel(copy).labels == TrainedModel(exported).labels


def test_a_list_of_classes_that_was_not_trained_is_named(copy):
    def rename(config):
        config["id2label"]["1"] = "snow"
        config["parts"]["model"]["must_match"]["labels"][1] = "snow"

    edit(copy, rename)
    with pytest.raises(
        CheckpointError, match=r"labels\[1\]: 'rain' in the file"
    ):
        TrainedModel(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises((CheckpointError, FileNotFoundError), match=name):
        TrainedModel(copy)


def test_a_newer_format_is_named(copy):
    edit(copy, lambda config: config.update(format=2))
    with pytest.raises(HparamsError, match="format 2.*install a newer one"):
        TrainedModel(copy)


def test_a_folder_of_another_kind_is_named(tiny_ast):
    with pytest.raises(HparamsError, match="is no model of this project"):
        TrainedModel(tiny_ast)


def test_weights_of_another_export_are_named(copy, run):
    shutil.copy(run / "fold2" / "model.safetensors", copy)
    with pytest.raises(CheckpointError, match="holds other weights"):
        TrainedModel(copy)


# Attacked


def places(value, path=()):
    """Yield the paths of all values of JSON data."""
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, (*path, number))


def payloads(sentinel):
    """Return data that would make a file, if any of it were run."""
    touch = f"touch {sentinel}"
    code = f"open({str(sentinel)!r}, 'w')"
    deep = "x"
    for _ in range(200):
        deep = [deep]
    return [
        {"!new": "os.system", "!args": [touch]},
        {"!name": "builtins.exec", "!args": [code]},
        {"!apply": "os.system", "!args": [touch]},
        {"__class__": "os.system", "command": touch},
        {"!new": f"petl_modules.data.os.system('{touch}')"},
        f"!!python/object/apply:os.system ['{touch}']",
        f"!new:os.system ['{touch}']",
        f"$({touch})",
        f"__import__('os').system('{touch}')",
        deep,
        -(1 << 70),
        {"model_type": "petl-audio"},
    ]


def test_no_field_runs_code(copy, tmp_path, tiny_ast, monkeypatch):
    loaded = load_pretrained((ASTConfig.model_type,), tiny_ast)
    monkeypatch.setattr(  # it is loaded hundreds of times
        "petl_modules.backbones.ast.load_pretrained",
        lambda *arguments: deepcopy(loaded),
    )
    sentinel = tmp_path / "sentinel"
    content = (copy / "config.json").read_text("utf-8")
    attacks = payloads(sentinel)
    for number, path in enumerate(places(json.loads(content))):
        if not path:
            continue
        for step in range(2):  # each field has some of them
            attack = attacks[(2 * number + step) % len(attacks)]

            def put(config):
                for key in path[:-1]:
                    config = config[key]
                config[path[-1]] = attack

            (copy / "config.json").write_text(content, "utf-8")
            edit(copy, put)
            try:
                TrainedModel(copy)
            except (UserError, OSError):
                pass
            assert not sentinel.exists(), path


@pytest.mark.parametrize(
    "path, value, said",
    [
        ("parts.features.mel_bins", "3", "parts.features"),
        ("parts.features.std", [], "parts.features"),
        ("parts.features.sample_rate", True, "sample_rate is True"),
        ("parts.features.sample_rate", 8_000, "and sampling_rate 16000"),
        ("parts.features.frames", 1 << 20, "no value of plain data"),
        ("parts.model.head.out_features", 10**9, "no value of plain data"),
        ("parts.windows.test", 1 << 16, "no value of plain data"),
        ("task", "speaker verification", "'scoring' is missing"),
        ("task", "speech recognition", "'decoder' is missing"),
        ("about.metric", None, "about.metric"),
        ("about.fold", {"a": 1}, "about.fold"),
        ("about.folds", [{"fold": "fold1"}], "about.folds"),
        ("about.metric", 0, "about.metric"),
    ],
)
def test_what_opens_can_be_used(copy, path, value, said):
    *above, last = path.split(".")

    def put(config):
        for key in above:
            config = config[key]
        config[last] = value

    edit(copy, put)
    with pytest.raises(UserError, match=said):
        TrainedModel(copy)


def test_info_takes_no_names_of_files_from_a_folder(copy):
    empty = {"model": "trusted", "base": "trusted", "more": []}
    edit(copy, lambda config: config["about"].update(empty))
    facts = facts_of(copy)
    assert facts["model"] == str(copy / "model.safetensors")
    assert facts["base"] != "trusted"


def test_a_number_that_is_none_is_refused(copy):
    file = copy / "config.json"
    text = file.read_text("utf-8").replace("-4.2677393", "NaN")
    file.write_text(text, "utf-8")
    with pytest.raises(DataError, match="NaN is no number"):
        TrainedModel(copy)


@pytest.mark.parametrize(
    "part",
    [
        {"!name": "petl_modules.data.FilterBank"},
        {"!new": "torch.nn.Linear", "in_features": 2, "out_features": 2},
    ],
)
def test_features_of_another_kind_are_named(part, copy):
    edit(copy, lambda config: config["parts"].update(features=part))
    with pytest.raises(DataError, match="parts.features makes a"):
        TrainedModel(copy)


def test_a_recipe_file_beside_the_config_is_not_read(copy, tmp_path):
    sentinel = tmp_path / "sentinel"
    text = f"features: !apply:os.system ['touch {sentinel}']"
    (copy / "hyperparams.yaml").write_text(text, "utf-8")
    assert TrainedModel(copy).travels
    assert not sentinel.exists()


def test_weights_are_not_taken_from_elsewhere(copy):
    members = {"../run/fold1/model.safetensors": "0" * 64}
    edit(copy, lambda config: config.update(members=members))
    with pytest.raises(DataError, match="members: .* is no file of a fold"):
        TrainedModel(copy)
