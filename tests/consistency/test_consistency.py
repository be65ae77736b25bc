"""Recipe files, train.py, CSV rows and READMEs say the same."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from speechbrain.utils.run_opts import HELP_TEXTS

from petl_modules.data import AsListed, Folds, Lists, Sessions, SpecAugment
from petl_modules.models import TunedModel
from petl_modules.runs import RecipeFile, compose, fill_in_input
from petl_modules.runs.yaml_text import one_line_values
from petl_modules.utils import read_csv
from tests.plain import assert_plain
from tests.readmes import row_of
from tools import copy_methods

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "templates" / "audio_classification"
RECIPES = [  # of classification; see test_speakers.py for the others
    ROOT / "recipes" / name
    for name, scripts in copy_methods.SCRIPTS.items()
    if scripts["train.py"] == TEMPLATE
]
RECIPES.append(TEMPLATE)
FILES = [file for r in RECIPES for file in sorted(r.glob("hparams/*.yaml"))]
BASES = [file for file in FILES if file.stem in ("ast", "wav2vec2")]
# Files for one encoder, which a recipe without speech has not
SPEECH = ("w2v_bert", "wav2vec2", "whisper")
COLUMNS = (
    "Task Dataset Script_file Hparam_file Data_prep_file Readme_file "
    "Result_url HF_repo test_debug_flags test_debug_checks"
).split()
CONTRACT = (
    "data_folder output_folder backbone seed folds number_of_epochs "
    "batch_size lr fixed_epochs few_shot few_shot_draws"
).split()
# By dataset: frames, batch, epochs (AST, wav2vec 2.0), SpecAugment, the
# Conformer's kernel
PROTOCOLS = {
    "ESC50": (500, 32, 50, 50, (24, 80), 8),
    "UrbanSound8k": (400, 32, 30, None, (24, 80), 8),
    "GSC": (100, 128, 75, 50, None, 31),
    "FSC": (400, 32, 75, 50, None, 31),
    "FSDD": (100, 32, 50, 50, None, 31),
    "GTZAN": (400, 32, 50, 50, (48, 80), 8),
    "IEMOCAP": (800, 32, 20, 20, None, 31),
}
# They have wav2vec 2.0, as the template
WAV2VEC2 = [name for name, protocol in PROTOCOLS.items() if protocol[3]]
SPLITS = {
    "ESC50": (Folds, {"n_folds": 5, "valid_offset": -1}),
    "UrbanSound8k": (Folds, {"n_folds": 10, "valid_offset": 1}),
    "GSC": (Lists, {}),
    "FSC": (Lists, {}),
    "FSDD": (Folds, {"n_folds": 6, "valid_offset": 1}),
    "GTZAN": (AsListed, {"name": "filtered"}),
    "IEMOCAP": (
        Sessions,
        {"protocol": "speakers", "sessions": 5, "n_folds": 10},
    ),
}
METRICS = {
    "FSC": ["action_accuracy", "object_accuracy", "location_accuracy"],
    "IEMOCAP": ["unweighted_accuracy"],
}


def named(paths):
    return [f"{path.parts[-3]}-{path.stem}" for path in paths]


every_file = pytest.mark.parametrize("file", FILES, ids=named(FILES))
every_base = pytest.mark.parametrize("file", BASES, ids=named(BASES))
every_recipe = pytest.mark.parametrize(
    "recipe", RECIPES, ids=[recipe.name for recipe in RECIPES]
)
every_dataset = pytest.mark.parametrize("dataset", PROTOCOLS)


def recipe_of(file):
    return file.parents[1]


@cache
def merged(file):
    return compose([str(file)], recipe_of(file))[0]


@cache
def settings(file):
    return merged(file).settings


def learning_rate(file):
    """That of a file, or of its base: merging hundreds of files takes long."""
    own = one_line_values(file.read_text(encoding="utf-8"))
    if "lr" in own:
        return float(own["lr"])
    return learning_rate(file.with_name(own["base"]))


def hparams(dataset, stem="ast"):
    return ROOT / "recipes" / dataset / "hparams" / f"{stem}.yaml"


def rows(recipe):
    file = ROOT / "tests" / "recipes" / f"{recipe.name}.csv"
    assert file.is_file(), f"add {file} with a row for each YAML file"
    return read_csv(file)


def table_words(readme):
    """The words of a README's tables."""
    lines = readme.read_text(encoding="utf-8").splitlines()
    return set(
        re.findall(r"\w+", " ".join(x for x in lines if x.startswith("|")))
    )


# Recipe files


# Copies are equal to the template's but for what ``REPLACED`` has
LOADED = [
    file
    for file in FILES
    if TEMPLATE in file.parents
    or file in BASES
    or (recipe_of(file).name, file.name) in copy_methods.REPLACED
]


loaded_file = pytest.mark.parametrize("file", LOADED, ids=named(LOADED))


@loaded_file
def test_file_loads(file, tiny_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backbone = tiny_of(file.stem)
    recipe = RecipeFile.parse(merged(file).text)
    recipe.update({"backbone": backbone, "labels": ["cat", "dog"]})
    fill_in_input(recipe)
    model = recipe.make_all()["modules"]["model"]
    assert isinstance(model, TunedModel)
    assert_plain(recipe, model)


@every_file
def test_header_has_the_command(file):
    recipe = recipe_of(file).relative_to(ROOT).as_posix()
    command = (
        f"#   python {recipe}/train.py hparams/{file.name} --data_folder DIR"
    )
    assert command in file.read_text(encoding="utf-8").splitlines()


@every_file
def test_learning_rate_is_that_of_the_protocol(file):
    row = row_of(file.stem, recipe_of(file) / "README.md")
    assert learning_rate(file) == float(row["learning rate"])


@loaded_file
def test_every_key_is_used(file):
    text = merged(file).text
    sources = [recipe_of(file) / "train.py"]
    used = ["runs/experiment.py", "training/loaders.py"]
    used += ["training/model_selection.py"]
    sources += [ROOT / "petl_modules" / name for name in used]
    code = " ".join(path.read_text(encoding="utf-8") for path in sources)
    unused = [
        key
        for key in settings(file)
        if not re.search(rf"<{key}[>\[]", text)
        and not re.search(rf'"{key}"|hparams\.{key}\b', code)
        and key != "__set_seed"
        and key not in HELP_TEXTS  # SpeechBrain reads its run options
    ]
    assert unused == []


@every_base
def test_base_has_the_keys_that_users_change(file):
    keys = [*CONTRACT]
    keys += ["positions", "frames"] if file.stem == "ast" else ["seconds"]
    keys += ["allow_partial"] if recipe_of(file) != TEMPLATE else ["table"]
    assert set(keys) <= settings(file).keys()


# Keys of a base that a method may give another value
REPLACED_BY_METHODS = set(
    "lr lr_by_part methods hidden_states pooling pool head train_backbone "
    "train_norms".split()
)
BASE_STEMS = ("ast", *SPEECH)
PAPERS = ("ipet", "ipet_wav2vec2")  # with the optimisation of their paper


def own_keys(file):
    return set(re.findall(r"(?m)^(\w+):", file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "template", [d.parent for d in sorted(TEMPLATE.parent.glob("*/hparams"))]
)
def test_options_of_methods_are_no_keys_of_a_base(template):
    """Else one value would set two things, as ``normalize`` once did."""
    files = {f.stem: own_keys(f) for f in template.glob("hparams/*.yaml")}
    bases = files.keys() & {*BASE_STEMS}
    taken = set().union(*(files[stem] for stem in bases))
    clashes = {
        stem: found
        for stem, keys in files.items()
        if "base" in keys and stem not in (*bases, *PAPERS)
        if (found := keys & taken - REPLACED_BY_METHODS - {"base"})
    }
    assert bases and clashes == {}


# What the datasets share


def stems(recipe):
    return {file.stem for file in recipe.glob("hparams/*.yaml")}


@every_recipe
def test_every_recipe_has_the_same_files(recipe):
    files = stems(TEMPLATE)
    if recipe.name not in WAV2VEC2 and recipe != TEMPLATE:
        files = {stem for stem in files if not stem.endswith(SPEECH)}
    if recipe.name not in copy_methods.SPEECH:
        files -= {*copy_methods.SPEECH_METHODS}
    assert stems(recipe) == files


def test_every_recipe_is_copied_to():
    names = [x.parent.name for x in sorted(ROOT.glob("recipes/*/train.py"))]
    assert names == list(copy_methods.DATASETS), (
        "DATASETS of tools/copy_methods.py has a row for each recipe"
    )


@pytest.mark.parametrize("recipe", copy_methods.DATASETS)
def test_copies_are_those_of_the_template(recipe):
    texts = copy_methods.copies(recipe)
    files = {file for file in FILES if recipe_of(file).name == recipe}
    assert files - texts.keys() <= {*BASES}
    for file, text in texts.items():
        assert file.read_text(encoding="utf-8") == text, (
            "run tools/copy_methods.py"
        )


def test_a_changed_copy_is_seen(capsys, monkeypatch):
    copy_methods.main(["--check"])
    file = hparams("FSC", "conformer")
    monkeypatch.setattr(copy_methods, "REPLACED", {})
    with pytest.raises(SystemExit, match="edit the template alone"):
        copy_methods.main(["--check"])
    assert f"differs: {file.relative_to(ROOT)}" in capsys.readouterr().out


# Top-level keys in which the bases of two datasets may differ
OF_THE_DATASET = {
    "dataset",
    "data_folder",
    "allow_partial",
    "prepare",
    "plan",
    "frames",
    "seconds",
    "batch_size",
    "test_batch_size",
    "number_of_epochs",
    "augment",
    "metrics",
}
OF_ONE_DATASET = {
    "ESC50": {"download"},
    "FSDD": {"download"},
    "GTZAN": {"protocol", "train_windows", "test_windows"},
    "IEMOCAP": {"protocol"},
    "audio_classification": {
        "table",
        "path_column",
        "label_column",
        "group_column",
        "n_folds",
    },
}


@every_base
def test_bases_differ_only_where_they_mean_to(file):
    reference = hparams("GSC", file.stem)
    mine, theirs = (
        one_line_values(path.read_text(encoding="utf-8"))
        for path in (file, reference)
    )
    keys = {k for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)}
    own = OF_ONE_DATASET.get(recipe_of(file).name, set())
    assert keys <= OF_THE_DATASET | own, (
        f"a key of this dataset alone is named in OF_ONE_DATASET, {__file__}"
    )
    order = [key for key in mine if key in theirs]
    assert order == [key for key in theirs if key in mine]


@every_base
def test_preparation_knows_what_is_used_of_a_clip(file):
    """The same features as those that are trained on."""
    settings = RecipeFile.read(file).settings
    assert settings["prepare"]["features"] == settings["features"]
    text = file.read_text(encoding="utf-8")
    assert text.count("    features: !ref <features>\n") == 2  # and the cache


BACKBONE_KEYS = {
    "backbone_name",
    "backbone",
    "frames",
    "positions",
    "seconds",
    "mean",
    "std",
    "mel_bins",
    "do_normalize",
    "pooling",
    "train_norms",
    "number_of_epochs",
    "test_batch_size",
    "test_loader",
    "features",
    "augment",
    "encoder",
}


@pytest.mark.parametrize(
    "recipe", [ROOT / "recipes" / name for name in WAV2VEC2] + [TEMPLATE]
)
def test_backbones_of_a_dataset_differ_only_where_they_mean_to(recipe):
    one, other = (
        one_line_values((recipe / "hparams" / name).read_text("utf-8"))
        for name in ("ast.yaml", "wav2vec2.yaml")
    )
    keys = {k for k in {**one, **other} if one.get(k) != other.get(k)}
    assert keys <= BACKBONE_KEYS


class Names(ast.NodeVisitor):
    """Collects the keys of a recipe file that a script uses."""

    def __init__(self, source):
        self.found = set()
        self.visit(ast.parse(source))

    def visit_Subscript(self, node):
        ours = ast.unparse(node.value) in ("hparams", "experiment.settings")
        if ours and isinstance(node.slice, ast.Constant):
            self.found.add(node.slice.value)
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if ast.unparse(node.value) == "self.hparams":
            self.found.add(node.attr)
        self.generic_visit(node)


@every_base
def test_names_of_the_script_are_keys(file):
    script = (recipe_of(file) / "train.py").read_text(encoding="utf-8")
    found = Names(script).found
    assert {"modules", "augment", "loss", "metrics"} <= found
    assert found <= settings(file).keys()


# Protocols


@every_recipe
def test_recipe_has_its_protocol(recipe):
    """Its numbers are written down a second time, here."""
    absent = [
        name
        for name, table in {"PROTOCOLS": PROTOCOLS, "SPLITS": SPLITS}.items()
        if recipe != TEMPLATE and recipe.name not in table
    ]
    assert not absent, f"add {recipe.name} to {absent} in {__file__}"


@every_dataset
def test_protocol(dataset):
    frames, batch, epochs, epochs_wav2vec2, masks, kernel = PROTOCOLS[dataset]
    base = settings(hparams(dataset))
    assert base["frames"] == frames
    assert base["batch_size"] == batch
    assert base["number_of_epochs"] == epochs
    assert base["backbone"] == "MIT/ast-finetuned-audioset-10-10-0.4593"
    assert base["positions"] == "center_cut"
    conformer = settings(hparams(dataset, "conformer"))
    assert conformer["kernel_size"] == kernel
    augment = merged(hparams(dataset)).make(["augment"])["augment"]
    if masks:
        assert isinstance(augment, SpecAugment)
        assert (augment.freq, augment.time) == masks
    else:
        assert isinstance(augment, torch.nn.Identity)
    if dataset in WAV2VEC2:
        speech = settings(hparams(dataset, "wav2vec2"))
        assert speech["number_of_epochs"] == epochs_wav2vec2
        assert speech["batch_size"] == batch
        assert speech["seconds"] == frames / 100
        assert speech["backbone"] == "facebook/wav2vec2-base-960h"
        assert speech["pooling"] == "speech"
        assert not speech["train_norms"]


# By dataset and backbone: prompts, bottleneck, learning rate, batch, frames,
# SpecAugment (frequency, time), probability of mixup
IPET = {
    ("ESC50", "ipet"): (4, 32, 1e-3, 48, 512, (24, 96), 0),
    ("GTZAN", "ipet"): (8, 64, 4.5e-3, 32, 400, (48, 80), 0.3),
    ("GTZAN", "ipet_wav2vec2"): (128, 64, 5e-3, 32, None, None, 0.3),
    ("GSC", "ipet"): (4, 128, 5e-3, 128, 128, (48, 48), 0.5),
    ("ESC50", "ipet_wav2vec2"): (128, 128, 2.5e-3, 48, None, None, 0),
    ("GSC", "ipet_wav2vec2"): (64, 64, 1e-3, 64, None, None, 0),
}


@pytest.mark.parametrize("key", IPET, ids="-".join)
def test_ipet_has_the_settings_of_its_paper(key):
    recipe = merged(hparams(*key))
    found = recipe.settings
    masks = recipe.make(["augment"])["augment"]
    assert (
        found["prompts"],
        round(768 / found["reduction"]),
        found["lr"],
        found["batch_size"],
        found.get("frames"),
        None if key[1] != "ipet" else (masks.freq, masks.time),
        found["mixup"],
    ) == IPET[key]
    assert found["number_of_epochs"] == (30 if key[1] == "ipet" else 40)
    assert not found["train_norms"]


@pytest.mark.parametrize("key", IPET, ids="-".join)
def test_ipet_has_the_optimisation_of_its_paper(key):
    made = merged(hparams(*key)).make(["opt_class", "lr_schedule"])
    optimizer = made["opt_class"]([torch.zeros(1, requires_grad=True)])
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["betas"] == (0.95, 0.999)
    assert optimizer.defaults["weight_decay"] == 5e-7
    epochs, rates = settings(hparams(*key))["number_of_epochs"], []
    schedule = made["lr_schedule"](optimizer, T_max=3 * epochs)
    for _ in range(epochs):
        rates.append(schedule.get_last_lr()[0] / optimizer.defaults["lr"])
        for _ in range(3):
            optimizer.step()
            schedule.step()
    expected = [0.85 ** min(max(e - 4, 0), 21) for e in range(epochs)]
    assert rates == pytest.approx(expected)
    assert rates[-1] == pytest.approx(0.0329, abs=1e-4)


@every_dataset
def test_split_is_that_of_the_protocol(dataset):
    plan = merged(hparams(dataset)).make(["plan"])["plan"]
    split = plan.keywords["split"]
    assert (type(split), vars(split)) == SPLITS[dataset]


@every_dataset
def test_metrics_are_those_of_the_protocol(dataset):
    extra = settings(hparams(dataset))["metrics"].get("extra", {})
    assert [*extra] == METRICS.get(dataset, [])


@every_base
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 10),
        ("weight_decay", 0.1),
        ("max_grad_norm", float("inf")),
        ("folds", []),
        ("fixed_epochs", False),
        ("few_shot", 0),
        ("few_shot_draws", 1),
    ],
)
def test_common_protocol(file, key, value):
    assert settings(file)[key] == value


@every_base
def test_optimizer_is_that_of_the_protocol(file):
    made = merged(file).make(["opt_class"])["opt_class"]
    expected = {"betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1}
    assert made.func is torch.optim.AdamW
    assert made.keywords == {"lr": 1e-3, "fused": True, **expected}


@every_base
def test_schedule_is_that_of_the_protocol(file):
    made = merged(file).make(["lr_schedule"])["lr_schedule"]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    schedule = made(optimizer, T_max=3)
    assert type(schedule).__name__ == "CosineAnnealingLR"
    assert schedule.eta_min == 0


# CSV rows and READMEs


@every_recipe
def test_csv_has_the_columns_of_speechbrain(recipe):
    assert list(rows(recipe)[0]) == COLUMNS


@every_recipe
def test_csv_has_one_row_a_file(recipe):
    files = [
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if recipe_of(path) == recipe
    ]
    assert sorted(row["Hparam_file"] for row in rows(recipe)) == sorted(files)


@every_recipe
@pytest.mark.parametrize(
    "column", ["Script_file", "Data_prep_file", "Readme_file"]
)
def test_csv_names_files_of_the_recipe(recipe, column):
    for name in {row[column] for row in rows(recipe)}:
        assert (ROOT / name).is_file() and (ROOT / name).parent == recipe


@every_recipe
def test_files_have_a_row_in_the_readme_of_the_recipe(recipe):
    absent = stems(recipe) - table_words(recipe / "README.md")
    assert not absent, f"add rows to the table of files in {recipe}/README.md"


def test_methods_have_a_row_in_the_readme():
    stems = {file.stem for file in FILES}
    absent = stems - table_words(ROOT / "README.md")
    assert not absent, "add rows to the table of methods in README.md"
