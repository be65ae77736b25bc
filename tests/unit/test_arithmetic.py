"""Arithmetic on what was learnt."""

import copy
import json
from pathlib import Path

import pytest
import torch

from petl_modules import combine as command
from petl_modules.data import read_audio
from petl_modules.inference.plain import from_plain
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.inference.travelling_config import CONFIG, seal_of
from petl_modules.methods import merge_methods
from petl_modules.models import (
    WEIGHTS,
    combine,
    save_trained,
    trained_state,
    weights_sha256,
)
from petl_modules.utils import HparamsError
from tests.tasks import read_parts, write_task
from tests.trained import ROOT

STEPS = 8
FACTORS = (".lora_a.weight", ".lora_b.weight")


@pytest.fixture(scope="module")
def write(tmp_path_factory, tiny_ast):
    """Writes a travelling folder of a model on the small AST."""
    folder = tmp_path_factory.mktemp("models")
    parts = read_parts("ast", tiny_ast)

    def make(name, method="lora", **changes):
        path = folder / name
        if not path.exists():
            write_task(path, parts, tiny_ast, method, **changes)
        return path

    return make


@pytest.fixture(scope="module")
def loras(write):
    """Three models, the last of a larger rank."""
    wide = [{"!new": "petl_modules.methods.LoRA", "rank": 5, "alpha": 7.0}]
    return [write("0"), write("1", seed=1), write("2", seed=2, methods=wide)]


def opened(folder):
    return TrainedModel(folder, merge=False).model


def read(*folders):
    models = map(opened, folders)
    return [(trained_state(model), model.settings()) for model in models]


def products(state, settings):
    """Return the update of each layer, by place."""
    method = settings["encoder"]["methods"][0]
    scale = method["alpha"] / method["rank"]
    down, up = FACTORS
    roots = [name.removesuffix(down) for name in state if name.endswith(down)]
    assert roots
    return {r: scale * state[r + up] @ state[r + down] for r in roots}


def require_equal(found, wanted, atol=1e-6):
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=atol)


def test_the_mean_of_lora_is_the_mean_of_merged_weights(loras, tmp_path):
    command.main([*map(str, loras), str(tmp_path / "mean")])
    models = [opened(folder) for folder in [*loras, tmp_path / "mean"]]
    for model in models:
        merge_methods(model)
    *states, found = [
        {
            name: value
            for name, value in model.state_dict().items()
            if ".block." not in name
        }
        for model in models
    ]
    wanted = {name: sum(s[name] for s in states) / 3 for name in states[0]}
    require_equal(found, wanted)
    moved = [(found[n] - states[0][n]).abs().max() for n in found]
    assert max(moved) > 1e-3


@pytest.mark.parametrize("weights", [(0.3, 0.5, 0.2), (2.0, -1.0, 1.5)])
def test_products_are_summed_exactly(loras, weights):
    models = read(*loras)
    base = trained_state(opened(loras[0]))
    found = combine(models, list(weights), head=1, base=base)
    assert found.settings["encoder"]["methods"][0]["rank"] == 3 + 3 + 5
    parts = [products(*model) for model in models]
    wanted = {
        place: sum(w * part[place] for w, part in zip(weights, parts))
        for place in parts[0]
    }
    require_equal(products(found.state, found.settings), wanted)
    assert torch.equal(found.state["head.weight"], models[1][0]["head.weight"])
    assert found.error < 1e-7 and not found.nonlinear


def test_negation_undoes(loras, write):
    models = read(loras[0])
    fresh = copy.deepcopy(models)
    base = {n: torch.ones_like(v) for n, v in models[0][0].items()}
    negated = combine(models, [-1], head=0, base=base)
    again = [*fresh, (negated.state, negated.settings)]
    nothing = combine(again, [1, 1], head=0, base=base)
    for value in products(nothing.state, nothing.settings).values():
        assert value.abs().max() < 1e-6
    for name, value in nothing.state.items():
        if name.startswith("backbone."):
            torch.testing.assert_close(value, base[name])
    back = combine([again[1]], [-1], head=0, base=base)
    require_equal(products(back.state, back.settings), products(*fresh[0]))


def test_a_smaller_rank_leaves_out_what_it_says(loras):
    models = read(*loras[:2])
    whole = combine(models, [0.5, 0.5])
    full = products(whole.state, whole.settings)
    for rank in (6, 4, 1):
        cut = combine(models, [0.5, 0.5], rank=rank)
        found = products(cut.state, cut.settings)
        lost = sum((full[k] - found[k]).square().sum() for k in full)
        norm = sum(value.square().sum() for value in full.values())
        assert cut.error == pytest.approx((lost / norm).sqrt().item(), abs=1e-6)
        for place, value in found.items():
            spectrum = torch.linalg.svdvals(full[place])
            best = spectrum[rank:].square().sum().sqrt()
            error = torch.linalg.matrix_norm(full[place] - value)
            torch.testing.assert_close(error, best, rtol=1e-3, atol=1e-5)
    more = combine(models, [0.5, 0.5], rank=20)
    require_equal(products(more.state, more.settings), full)


def test_changes_of_the_encoder_are_summed_from_its_own_weights(write):
    folders = [
        write(f"biases {seed}", "linear", seed=seed, train_backbone="biases")
        for seed in (1, 2)
    ]
    models = read(*folders)
    base = {n: torch.full_like(v, 2.0) for n, v in models[0][0].items()}
    found = combine(models, [1, 1], head=0, base=base)
    for name, value in found.state.items():
        one, two = (state[name] for state, _ in models)
        wanted = one
        if name.startswith("backbone."):
            wanted = 2.0 + (one - 2.0) + (two - 2.0)
        torch.testing.assert_close(value, wanted)
    with pytest.raises(HparamsError, match="the encoder's own is needed"):
        combine(models, [1, 1], head=0)


@pytest.mark.parametrize("name", ["prototypes", "queries", "attention.weight"])
def test_a_mean_of_poolings_is_to_be_evaluated(name, loras):
    models = read(*loras[:2])
    for state, _ in models:
        state[f"pooling.{name}"] = torch.randn(3, 4)
    assert combine(models, [0.5, 0.5]).nonlinear
    assert not combine(models, [0.5, 0.5], head=0).nonlinear


def test_what_means_nothing_is_refused(write, loras, tmp_path):
    adapters = [write("b0", "bottleneck"), write("b1", "bottleneck", seed=1)]
    mean = combine(read(*adapters), [0.5, 0.5])
    assert mean.nonlinear
    with pytest.raises(HparamsError, match="nonlinear block"):
        combine(read(*adapters), [1, 1], head=0)
    with pytest.raises(HparamsError, match="sum of heads means nothing"):
        combine(read(*loras[:2]), [1, 1])
    with pytest.raises(HparamsError, match="no model here has LoRA"):
        combine(read(*adapters), [0.5, 0.5], rank=2)
    with pytest.raises(HparamsError, match="2 models and 1 weights"):
        combine(read(*adapters), [1])
    with pytest.raises(HparamsError, match="give finite ones"):
        combine(read(*loras[:2]), [0, 0])
    with pytest.raises(HparamsError, match="rank is 999: give 1 to"):
        combine(read(*loras[:2]), [0.5, 0.5], rank=999)
    with pytest.raises(HparamsError, match=r"encoder.methods\[0\]"):
        combine(read(adapters[0], loras[0]), [0.5, 0.5])
    folders = [loras[0], write("longer", frames=120)]
    with pytest.raises(HparamsError, match="encoder.backbone.frames: 120 in"):
        command.combine(folders, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def trained_on_sounds(folder, parts, sounds, targets, seed):
    """Train a model with LoRA for a few steps, and write it."""
    torch.manual_seed(seed)
    backbone = ROOT / "pretrained" / "tiny-ast"
    classes = [str(label) for label in range(10)]
    write_task(folder, parts, backbone, "lora", labels=classes)
    model = opened(folder)
    for name, value in trained_state(model).items():
        if name.startswith("head.") or name.endswith(FACTORS[0]):
            value.normal_(std=0.05)
        elif name.endswith(FACTORS[1]):
            value.zero_()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.02)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(sounds), targets).backward()
        optimizer.step()
    save_trained(model, folder / WEIGHTS)
    file = folder / CONFIG
    config = json.loads(file.read_text("utf-8"))
    config["weights_sha256"] = weights_sha256(model)
    file.write_text(json.dumps({**config, "config_sha256": seal_of(config)}))


def test_the_mean_of_two_seeds_on_a_miniature(corpus, tmp_path):
    parts = read_parts("ast", ROOT / "pretrained" / "tiny-ast")
    features = from_plain(parts["features"], "features")
    files = sorted(Path(corpus).rglob("*.wav"))  # <fold>-...-<class>.wav
    sounds = torch.stack([features(read_audio(file)) for file in files])
    number = {
        n: i
        for i, n in enumerate(sorted({f.stem.split("-")[-1] for f in files}))
    }
    targets = torch.tensor([number[f.stem.split("-")[-1]] for f in files])
    test = torch.tensor([file.name[0] in "12" for file in files])
    runs = [tmp_path / "one", tmp_path / "two"]
    for seed, run in enumerate(runs):
        trained_on_sounds(run, parts, sounds[~test], targets[~test], seed)
    found = command.combine(runs, tmp_path / "mean")
    accuracies = []
    for run in (*runs, tmp_path / "mean"):
        with torch.inference_mode():
            classes = TrainedModel(run).model(sounds[test]).argmax(-1)
        accuracies.append((classes == targets[test]).float().mean().item())
    assert found.error < 1e-6
    assert min(accuracies) > 0.2, accuracies  # chance is 0.1


def test_other_classes_need_a_head(write, loras, tmp_path):
    folders = [loras[0], write("two", labels=["a", "b"], seed=3)]
    with pytest.raises(HparamsError, match="must_match.labels") as error:
        combine(read(*folders), [0.5, 0.5])
    assert "name the model whose head is kept" in str(error.value)
    command.combine(folders, tmp_path / "made", [0.5, 0.5], rank=4, head=1)
    made = TrainedModel(tmp_path / "made")
    assert made.labels == ["a", "b"]
    about = json.loads((tmp_path / "made" / "config.json").read_text("utf-8"))
    where = loras[0].parent.name
    said = f"0.5 x {where}/0 + 0.5 x {where}/two"
    assert about["about"]["combined"] == said
    assert "no test result" in (tmp_path / "made" / "README.md").read_text()
    method = made.model.settings()["encoder"]["methods"][0]
    assert (method["rank"], method["alpha"]) == (4, 4.0)


def test_no_variance_is_negative():
    settings = {"encoder": {"methods": []}, "head": {}}
    models = [
        ({"0.layers.0.ffn.norm.running_var": torch.tensor([x])}, settings)
        for x in (1.0, 4.0)
    ]
    with pytest.raises(HparamsError, match="negative variances of 0.layers"):
        combine(models, [2.0, -1.0])
