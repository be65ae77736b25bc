"""A run's input is made as its checkpoint wants it, and stays so."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

from petl_modules.backbones import INPUT_KEYS, write_tiny_ast
from petl_modules.backbones.tiny import write_random
from petl_modules.data import read_audio
from petl_modules.predict import Classifier
from petl_modules.runs import RecipeFile, fill_in_input, open_run
from tests.hub import serving

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "templates" / "audio_classification" / "train.py"
OWN = {"mean": -6.845978, "std": 5.5654526, "sampling_rate": 22_050}


@pytest.fixture
def options(places, tmp_path, monkeypatch):
    """A command line of the template, as a dict."""
    monkeypatch.chdir(tmp_path)
    return {
        "data_folder": places["my_sounds"],
        "backbone": places["tiny-ast"],
        "output_folder": "out",
        "manifest_folder": "manifests",
        "number_of_epochs": 1,
        "frames": 50,
        "folds": [1],
        "batch_size": 8,
        "num_workers": 0,
        "device": "cpu",
    }


def words(options, file="linear"):
    given = [f"--{key}={value}" for key, value in options.items()]
    return [f"hparams/{file}.yaml", *given, "--noprogressbar"]


def opened(options, file="linear"):
    return open_run(words(options, file), TRAIN).recipe


@pytest.fixture
def own(places, tmp_path):
    """A checkpoint with statistics and a rate of its own."""
    folder = shutil.copytree(places["tiny-ast"], tmp_path / "own")
    ASTFeatureExtractor(**OWN).save_pretrained(folder)
    return folder


def test_a_run_follows_its_checkpoint_and_predict_the_run(
    own, options, places, script, tmp_path, capsys
):
    """The truth: the checkpoint's own extractor."""
    options |= {"backbone": own}
    train = script(TRAIN.relative_to(ROOT))
    train.main(words(options))
    clip = next(Path(places["my_sounds"], "high").iterdir())
    classifier = Classifier("out")
    before = classifier(clip)
    samples = read_audio(clip, 22_050)
    extractor = ASTFeatureExtractor.from_pretrained(own)
    theirs = extractor(samples.numpy(), sampling_rate=22_050).input_values[0]
    torch.testing.assert_close(
        classifier.trained.features(samples),
        torch.as_tensor(theirs)[:50],
        atol=2e-4,
        rtol=1e-4,
    )
    # Whatever becomes of the checkpoint's file
    (own / "preprocessor_config.json").unlink()
    assert Classifier("out")(clip) == before
    with pytest.raises(SystemExit) as end:
        train.main(words(options))
    assert "mean: -6.845978 there, -4.2677393 now" in str(end.value)
    train.main(
        words(
            {**options, "mean": -6.845978, "std": 5.5654526}
            | {"sample_rate": 22_050}
        )
    )
    assert "fold1 is finished already and is kept" in capsys.readouterr().out


def test_a_run_keeps_to_the_commit_it_began_with(
    options, places, script, tmp_path, monkeypatch
):
    """The hub moves on, and is then out of reach."""
    first, second = "1" * 40, "2" * 40
    folder = Path(places["tiny-ast"])
    write_tiny_ast(tmp_path / "second")
    commits = {"main": (first, folder), first: (first, folder)}
    train = script(TRAIN.relative_to(ROOT))
    line = words({**options, "backbone": "some/ast"})
    clip = next(Path(places["my_sounds"], "high").iterdir())
    with serving(commits, tmp_path / "cache", monkeypatch) as hub:
        train.main(line)
        summary = json.loads(Path("out/summary.json").read_text())
        assert summary["backbone"] == f"some/ast@{first}"
        before = Classifier("out")(clip)
        commits |= dict.fromkeys(
            ("main", second), (second, tmp_path / "second")
        )
        with pytest.raises(SystemExit, match=f"some/ast@{first} there") as end:
            train.main(line)
        assert f"some/ast@{second} now" in str(end.value)
        hub.broken = True
        assert Classifier("out")(clip) == before
        train.main(words({**options, "backbone": f"some/ast@{first}"}))


def test_old_runs_are_predicted_as_they_were_trained(own, options, script):
    """Their recipe files have no such keys, and they have no checksums."""
    options |= {"backbone": own}
    script(TRAIN.relative_to(ROOT)).main(words(options))
    file = Path("out/fold1/hyperparams.yaml")
    kept = []
    for line in file.read_text().splitlines():
        names = ("mean", "std", "mel_bins", "sample_rate", "do_normalize")
        key = line.strip().partition(":")[0]
        if key not in (*names, "normalize"):
            kept.append(line)
    file.write_text("\n".join(kept))
    Path("out/fold1/checksums.json").unlink()
    features = Classifier("out/fold1").trained.features
    assert (features.mean, features.sample_rate) == (-4.2677393, 16_000)


def test_values_of_the_command_line_win_and_are_told(own, options, caplog):
    recipe = opened({**options, "backbone": own, "mean": -3.5})
    assert recipe["features"].mean == -3.5
    assert recipe["features"].std == OWN["std"]
    assert "mean is -3.5" in caplog.text and "-6.845978" in caplog.text
    assert "std" not in caplog.text


def test_a_file_of_ones_own_is_compared_as_well(own, options, caplog):
    """Its features need not have the keys."""
    Path("mine.yaml").write_text(
        "base: ast.yaml\nfeatures: !new:petl_modules.data.FilterBank\n"
        "    frames: !ref <frames>\n"
    )
    line = words({**options, "backbone": own})
    open_run(["mine.yaml", *line[1:]], TRAIN)
    assert "mean is -4.2677393" in caplog.text and "-6.845978" in caplog.text
    assert "sample_rate is 16000" in caplog.text


def test_without_the_file_the_published_values_are_told(
    options, own, caplog, capsys
):
    opened(options)
    assert caplog.text == ""
    (own / "preprocessor_config.json").unlink()
    recipe = opened({**options, "backbone": own, "output_folder": "other"})
    assert caplog.text.count("no preprocessor_config.json") == 1
    assert "mean -4.2677393" in caplog.text
    assert f"warning: {own} has no" in capsys.readouterr().err
    assert "mean: -4.2677393" in recipe.text


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("linear", {"mel_bins": 64}, "mel_bins is 64, and .* takes 128"),
        ("linear", {"mean": "low"}, "mean is 'low': it must be a number"),
        ("linear", {"std": 0}, "std is 0: it must be a number above 0"),
        ("linear", {"sample_rate": 8}, "sample_rate is 8: it must be a rate"),
        ("linear", {"do_normalize": "maybe"}, "do_normalize is 'maybe'"),
        ("linear", {"backbone": "wav2vec2"}, "says nothing of mean.*'--base'"),
        ("linear", {"backbone": "./tiny"}, "there is no such folder"),
    ],
)
def test_what_cannot_be_is_refused_before_the_data_is_read(
    file, change, told, options, places, script
):
    if change.get("backbone") == "wav2vec2":
        change = {"backbone": places["tiny-wav2vec2"]}
    options |= {"data_folder": "absent", **change}
    with pytest.raises(SystemExit, match=told):
        script(TRAIN.relative_to(ROOT)).main(words(options, file))
    assert not Path("out").exists()


def test_other_mel_bins_and_raw_values_are_trained(options, script, tmp_path):
    config = ASTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_mel_bins=64,
        max_length=64,
    )
    write_random(tmp_path / "mel64", ASTModel, config, seed=0)
    extractor = ASTFeatureExtractor(num_mel_bins=64, do_normalize=False)
    extractor.save_pretrained(tmp_path / "mel64")
    options |= {"backbone": tmp_path / "mel64"}
    script(TRAIN.relative_to(ROOT)).main(words(options))
    features = Classifier("out").trained.features
    assert features.mel_bins == 64 and not features.normalize
    assert json.loads(Path("out/summary.json").read_text())["folds"]


def test_a_methods_own_normalize_leaves_the_waveform_alone(options, places):
    """Soft-MoA has a key of that name."""
    options |= {"backbone": places["tiny-wav2vec2"], "base": "wav2vec2.yaml"}
    del options["frames"]
    recipe = opened({**options, "reduction": 16}, "soft_moa")
    assert recipe.settings["normalize"] is False
    assert recipe["features"].normalize is True


@pytest.mark.parametrize("stem", ["ast", "wav2vec2"])
def test_every_base_file_has_the_keys(stem, places):
    """Nothing of the input is decided by a default in the code."""
    for file in ROOT.glob(f"*/*/hparams/{stem}.yaml"):
        recipe = RecipeFile.read(file)
        recipe.update({"backbone": places[f"tiny-{stem}"]})
        fill_in_input(recipe)
        given = set(recipe.settings["features"])
        names = {name.removeprefix("do_") for name in INPUT_KEYS}
        assert names & {*vars(recipe["features"])} <= given, file
