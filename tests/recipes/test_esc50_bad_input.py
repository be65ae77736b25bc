"""What the ESC50 recipe says to input that cannot work."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import ASTModel

from petl_modules.runs import open_run

FILES = {
    "site": """\
base: bottleneck.yaml
methods:
    - !new:petl_modules.methods.Insert
        at: [atention]
        block: !name:petl_modules.blocks.Bottleneck
""",
    "twice": """\
base: prompt_deep.yaml
methods:
    - !new:petl_modules.methods.PromptTuning {tokens: 2, deep: True}
    - !new:petl_modules.methods.PromptTuning {tokens: 2, deep: True}
""",
    "argument": """\
base: lora.yaml
methods:
    - !new:petl_modules.methods.LoRA {at: [query], rnak: 6}
""",
    "module": """\
base: linear.yaml
augment: !new:petl_modules.data.features.SpecAugmentation
""",
    "reference": "base: linear.yaml\nlr: !ref <learning_rate>\n",
    "typo": "base: linear.yaml\nnumber_of_epoch: 3\n",
}


@pytest.fixture
def place(tmp_path, tiny_ast, monkeypatch):
    """A working folder with things that are wrong in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("hparams", "empty", "data/meta", "data/audio"):
        Path(name).mkdir(parents=True)
    for name, text in FILES.items():
        Path("hparams", f"{name}.yaml").write_text(text)
    Path("file").write_text("in the way")
    Path("data/meta/esc50.csv").write_text("filename,fold\n1.wav,1\n")
    shutil.copytree(tiny_ast, "corrupt")
    weights = Path("corrupt", "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    return tmp_path


@pytest.mark.parametrize(
    "file, changes, parts",
    [
        (
            "linear",
            {"data_folder": "no"},
            ["no/meta/esc50.csv", "petl_modules.miniatures"],
        ),
        ("linear", {"data_folder": "empty"}, ["audio/*.wav", "ESC-50"]),
        ("linear", {"data_folder": "file"}, ["file/meta/esc50.csv"]),
        ("linear", {"data_folder": "data"}, ["esc50.csv", "target"]),
        ("linear", {"allow_partial": False}, ["50 clips", "allow_partial"]),
        ("linear", {"allow_partial": "no"}, ["allow_partial", "'no'"]),
        ("linear", {"few_shot": -1}, ["few_shot is -1", "at least 0"]),
        ("linear", {"few_shot_draws": 0}, ["few_shot_draws is 0"]),
        ("linear", {"lr": 0}, ["lr is 0"]),
        ("lora", {"rank": 1000}, ["rank is 1000", "between 1 and 128"]),
        ("linear", {"backbone": "file"}, ["'file' is a file"]),
        ("linear", {"folds": [6]}, ["no fold 6", "from 1 to 5"]),
        ("linear", {"folds": [0]}, ["no fold 0"]),
        ("linear", {"folds": "[1.0]"}, ["no fold 1.0"]),
        ("linear", {"folds": "[True]"}, ["no fold True"]),
        ("linear", {"folds": "[[1]]"}, ["no fold [1]"]),
        ("linear", {"folds": "[one]"}, ["no fold one"]),
        ("linear", {"folds": [1, 1]}, ["[1, 1]", "each once"]),
        ("linear", {"experst": 3}, ["--experst"]),
        ("soft_moa", {"experst": 3}, ["--experst", "'experts'"]),
        ("linear", {"number_of_epochs": 0}, ["number_of_epochs is 0"]),
        ("linear", {"batch_size": 0}, ["batch_size is 0"]),
        ("linear", {"batch_size": -1}, ["batch_size is -1"]),
        ("linear", {"num_workers": -1}, ["num_workers is -1", "at least 0"]),
        ("linear", {"lr": -1}, ["lr is -1", "at least 0"]),
        ("linear", {"max_grad_norm": -1}, ["max_grad_norm -1", ".inf"]),
        ("linear", {"positions": "centre"}, ["'centre'", "center_cut"]),
        ("linear", {"frames": 2000}, ["frames", "interpolate"]),
        ("linear", {"frames": 3}, ["frames is 3"]),
        ("linear", {"pooling": "prompts"}, ["'prompts'", "pool 'all'"]),
        ("linear", {"pooling": "mean"}, ["pooling 'mean'", "speech"]),
        ("linear", {"train_backbone": "some"}, ["'some'", "biases"]),
        ("prefix", {"prefix": 3}, ["tokens is 3", "even"]),
        ("prefix", {"prefix": 0}, ["tokens is 0", "even"]),
        ("prompt_deep", {"prompts": 0}, ["tokens is 0", "needs 1 or more"]),
        ("bottleneck", {"reduction": 256}, ["reduction 256", "128"]),
        ("soft_moa", {"reduction": 256}, ["reduction 256", "128"]),
        ("conformer", {"reduction": 0}, ["reduction 0", "128"]),
        ("conformer", {"kernel_size": 0}, ["kernel_size 0"]),
        ("soft_moa", {"experts": 0}, ["experts is 0"]),
        ("soft_moa", {"slots": 0}, ["slots", "0"]),
        ("dense_moa", {"experts": 0}, ["experts is 0"]),
        ("lora", {"rank": 0}, ["rank", "0"]),
        ("site", {}, ["no site 'atention'", "attention", "ffn"]),
        ("twice", {}, ["prompt tuning twice"]),
        ("argument", {}, ["rnak"]),
        ("module", {}, ["SpecAugmentation"]),
        ("reference", {}, ["learning_rate"]),
        ("typo", {}, ["'number_of_epoch'", "'number_of_epochs'"]),
        ("sort_moa", {}, ["sort_moa.yaml", "'soft_moa.yaml'"]),
        ("linear", {"backbone": "no/where"}, ["'no/where'", "tiny-ast"]),
        ("linear", {"backbone": "empty"}, ["empty", "config.json"]),
        ("linear", {"backbone": "corrupt"}, ["corrupt", "model.safetensors"]),
        ("linear", {"output_folder": "file"}, ["file", "is no folder"]),
        ("linear", {"output_folder": "file/x"}, ["is no folder"]),
        ("linear", {"manifest_folder": "file"}, ["file", "is no folder"]),
        ("linear", {"seed": -1}, ["seed", "-1"]),
        ("linear", {"precision": "bf17"}, ["'bf17'", "bf16"]),
        ("linear", {"weight_decay": -1}, ["weight_decay is -1"]),
        ("linear", {"grad_accumulation_factor": 0}, ["_factor is 0"]),
        ("linear", {"fold": 3}, ["--fold", "--folds"]),
        ("linear", {"labels": "[a]"}, ["--labels", "prepare script"]),
        ("linear", {"test_only": True}, ["--test_only", "not for"]),
        ("lora", {"at": "[query,query]"}, ["a site twice"]),
    ],
)
def test_message(esc50, words, place, file, changes, parts):
    with pytest.raises(SystemExit) as end:
        esc50.main(words(file, **changes))
    message = str(end.value)
    assert message.startswith("error: ")
    assert [part for part in parts if part not in message] == []
    assert not Path("out/summary.json").exists()
    assert not any(Path("out").glob("fold*/[!.]*"))


@pytest.fixture
def zeros(tiny_ast, tmp_path):
    """A backbone whose positions are all zero."""
    model = ASTModel.from_pretrained(tiny_ast)
    torch.nn.init.zeros_(model.embeddings.position_embeddings)
    model.save_pretrained(tmp_path / "zeros")
    return tmp_path / "zeros"


def test_zero_positions_are_refused(esc50, words, zeros, tmp_path):
    line = words("linear", backbone=zeros, output_folder=tmp_path / "out")
    with pytest.raises(SystemExit, match="positions: zeros"):
        esc50.main(line)


def test_zero_positions_can_be_asked_for(esc50, words, zeros, tmp_path):
    line = words(
        "linear",
        backbone=zeros,
        positions="zeros",
        output_folder=tmp_path / "out",
    )
    esc50.main(line)
    assert (tmp_path / "out" / "summary.json").exists()


@pytest.mark.parametrize(
    "changes",
    [{"experts": 0}, {"device": "nowhere"}, {"grad_accumulation_factor": 99}],
)
def test_failed_start_claims_no_folder(esc50, words, tmp_path, changes):
    with pytest.raises((SystemExit, ValueError)):
        line = words("soft_moa", seed=11, output_folder=tmp_path, **changes)
        esc50.main(line)
    esc50.main(words("soft_moa", output_folder=tmp_path))
    assert (tmp_path / "summary.json").exists()


@pytest.fixture(scope="module")
def finished(esc50, words, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    esc50.main(words("soft_moa", output_folder=folder))
    return folder


def state(folder):
    files = [path for path in folder.rglob("[!.]*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    "file, changes, line",
    [
        ("soft_moa", {"lr": 0.1}, "lr: 5.0e-3 there, 0.1 now"),
        ("soft_moa", {"experts": 3}, "experts: 7 there, 3 now"),
        ("soft_moa", {"seed": 11}, "seed: 10 there, 11 now"),
        ("soft_moa", {"number_of_epochs": 2}, "number_of_epochs: 1 there, 2"),
        ("linear", {}, "method: soft_moa there, linear now"),
        ("linear", {}, "experts: 7 there, absent now"),
    ],
)
def test_folder_of_other_settings_is_refused(
    esc50, words, finished, file, changes, line
):
    with pytest.raises(SystemExit) as end:
        esc50.main(words(file, output_folder=finished, **changes))
    assert line in str(end.value)


def test_each_difference_is_told_once(esc50, words, finished):
    with pytest.raises(SystemExit) as end:
        esc50.main(words("soft_moa", output_folder=finished, seed=11, lr=1))
    assert str(end.value).count(" there, ") == 2


def test_folder_of_other_settings_is_left_alone(esc50, words, finished):
    before = state(finished)
    with pytest.raises(SystemExit):
        esc50.main(words("linear", output_folder=finished))
    assert state(finished) == before


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_workers": 1},
        {"folds": [1, 2]},
        {"download": True},
        {"test_batch_size": 3},
        {"lr": "0.005"},
    ],
)
def test_what_may_differ(esc50, words, finished, changes):
    line = words("soft_moa", output_folder=finished, **changes)
    open_run(line, esc50.__file__)


def test_moved_folder_is_recognised(esc50, words, finished, tmp_path, capsys):
    moved = shutil.copytree(finished, tmp_path / "moved")
    line = words("soft_moa", output_folder=moved)
    esc50.main(line)
    assert "fold1 is finished already" in capsys.readouterr().out


def test_debug_shows_where_it_happened(esc50, words, tmp_path):
    line = words("soft_moa", output_folder=tmp_path, experts=0)
    with pytest.raises(ValueError, match="experts is 0"):
        esc50.main([*line, "--debug"])


def test_print_hparams_makes_nothing(esc50, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        esc50.main([*words("soft_moa", experts=15), "--print_hparams"])
    assert end.value.code is None and not any(tmp_path.iterdir())


def test_print_hparams_prints_the_merged_file(esc50, words, capsys):
    with pytest.raises(SystemExit):
        esc50.main([*words("soft_moa", experts=15), "--print_hparams"])
    printed = capsys.readouterr().out
    assert "experts: 15" in printed and "experts: !ref <experts>" in printed
    methods = printed.partition("# Method\n")[2].partition("# Optim")[0]
    assert "\nexperts: 15" in methods  # next to what uses it
