"""The command line of a recipe, and the checks of its values."""

import math
import os
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml
from hypothesis import given
from hypothesis import strategies as st

from petl_modules.runs import compose
from petl_modules.runs.arguments import read_value, split_arguments
from petl_modules.runs.checks import check_keys, check_values
from petl_modules.runs.devices import check_device, check_precision
from petl_modules.runs.recipe_file import Values
from petl_modules.runs.yaml_text import dump_yaml, one_line_values
from petl_modules.utils import HparamsError

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ESC50"

BASE = """\
seed: 10
lr: 1.0e-3
download: False
folds: [1, 2]
protocol: official
train_norms: False
valid_speakers: 40
lr_by_part: {}
experiment: !ref results/<seed>
doubled: !ref <lr> * 2
backbone: some/name
data_folder: data/some
backbone_name: x
method: y
max_grad_norm: .inf
augment: !new:torch.nn.Identity
"""
SHORT = """\
base: base.yaml
experts: 7
augment: !new:torch.nn.Linear
    in_features: 1
    out_features: !ref <experts>
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe folder; the working directory is another one."""
    folder = tmp_path / "recipe" / "hparams"
    folder.mkdir(parents=True)
    (folder / "base.yaml").write_text(BASE)
    (folder / "short.yaml").write_text(SHORT)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return folder.parent


def loaded(recipe, *words, file="hparams/short.yaml"):
    return compose([file, *words], recipe)[0].make_all()


def options(recipe, *words):
    return compose(["hparams/short.yaml", *words], recipe)[1]


@pytest.mark.parametrize(
    "words, key, value",
    [
        (["--seed", "3"], "seed", 3),
        (["--seed=3"], "seed", 3),
        (["--seed", "-3"], "seed", -3),
        (["--seed=-3"], "seed", -3),
        (["--lr", "5e-3"], "lr", 5e-3),
        (["--lr", "5.0e-3"], "lr", 5e-3),
        (["--lr", "1"], "lr", 1),
        (["--lr", "-1.5"], "lr", -1.5),
        (["--lr", "5e-3"], "doubled", 1e-2),
        (["--download", "True"], "download", True),
        (["--download", "true"], "download", True),
        (["--download=False"], "download", False),
        (["--train_norms", "True"], "train_norms", True),
        (["--train_norms", "layers"], "train_norms", "layers"),
        (["--lr_by_part", "{head: 1e-3}"], "lr_by_part", {"head": 1e-3}),
        (["--folds", "[1,3]"], "folds", [1, 3]),
        (["--folds", "[1,", "3]"], "folds", [1, 3]),
        (["--folds=[1, 3]"], "folds", [1, 3]),
        (["--folds", "[]"], "folds", []),
        (["--folds", "1"], "folds", [1]),
        (["--folds", "1,3"], "folds", [1, 3]),
        (["--folds", "1", "3"], "folds", [1, 3]),
        (["--folds", "[2]", "--seed", "3"], "folds", [2]),
        (["--protocol", "a=b"], "protocol", "a=b"),
        (["--protocol=a=b"], "protocol", "a=b"),
        (["--protocol", "a: b"], "protocol", "a: b"),
        (["--protocol", "a # b"], "protocol", "a # b"),
        (["--protocol", "[1"], "protocol", "[1"),
        (["--protocol", "[a]"], "protocol", "[a]"),
        (["--protocol", "[0, 5]"], "protocol", [0, 5]),
        (["--protocol", "[0,", "5]"], "protocol", [0, 5]),
        (["--protocol", "True"], "protocol", "True"),
        (["--protocol", "12"], "protocol", "12"),
        (["--protocol", "null"], "protocol", "null"),
        (["--protocol", ""], "protocol", ""),
        (["--protocol="], "protocol", ""),
        (["--protocol=--x"], "protocol", "--x"),
        (["--protocol", "!ref <seed>"], "protocol", 10),
        (["--experiment", "out"], "experiment", "out"),
        (["--experiment", "2024"], "experiment", "2024"),
        (["--experiment", "a: b"], "experiment", "a: b"),
        (["--experiment", "!ref a/<seed>"], "experiment", "a/10"),
        (["--doubled", "3"], "doubled", 3),
        (["--experts", "15"], "experts", 15),
        (["--max_grad_norm", "5"], "max_grad_norm", 5),
        (["--max_grad_norm", "0.5"], "max_grad_norm", 0.5),
        ([], "max_grad_norm", math.inf),
        (["--valid_speakers", "4"], "valid_speakers", 4),
        (["--valid_speakers", "[a, b-c]"], "valid_speakers", ["a", "b-c"]),
        ([], "experiment", "results/10"),
        (["--seed", "3"], "experiment", "results/3"),
    ],
)
def test_value(recipe, words, key, value):
    assert loaded(recipe, *words)[key] == value


def test_scalar_of_a_short_file_reaches_where_it_is_used(recipe):
    assert loaded(recipe, "--experts", "15")["augment"].out_features == 15


def test_tagged_value(recipe):
    made = loaded(recipe, "--augment", "!new:torch.nn.ReLU")["augment"]
    assert type(made).__name__ == "ReLU"


def test_list_of_objects_with_one_argument_each(recipe):
    words = ["--folds", "[!new:torch.nn.Softmax {dim: 1}]"]
    (made,) = loaded(recipe, *words)["folds"]
    assert made.dim == 1


@pytest.mark.parametrize(
    "words, parts",
    [
        (["--experst", "15"], ["--experst", "'experts'"]),
        (["--comp"], ["--comp", "'compile'"]),
        (["--prec", "bf16"], ["--prec", "'precision'"]),
        (["--devic=cpu"], ["--devic", "'device'"]),
        (["--zzzzzz", "1"], ["--zzzzzz", "--print_hparams"]),
        (["--param_file", "x"], ["unknown key --param_file"]),
        (["--tqdm_barcolor", "x"], ["unknown key --tqdm_barcolor"]),
        (["--", "1"], ["unknown key --"]),
        (["-seed", "3"], ["'-seed' is no option"]),
        (["3"], ["'3' is no option"]),
        (["--download", "no"], ["--download", "True or False", "'no'"]),
        (["--download", "yes"], ["--download", "True or False", "'yes'"]),
        (["--download", "1"], ["--download", "True or False", "'1'"]),
        (["--download", "'True'"], ["--download", "True or False"]),
        (["--download"], ["--download lacks its value"]),
        (["--seed", "--lr", "1"], ["--seed lacks its value"]),
        (["--seed", "ten"], ["--seed", "a whole number", "'ten'"]),
        (["--seed", "1.5"], ["--seed", "a whole number"]),
        (["--seed", "True"], ["--seed", "a whole number"]),
        (["--seed", "[1]"], ["--seed", "a whole number"]),
        (["--seed="], ["--seed", "a whole number"]),
        (["--seed", "1", "2"], ["--seed", "a whole number", "'1 2'"]),
        (["--seed", "[1"], ["--seed", "valid YAML"]),
        (["--lr", "fast"], ["--lr", "a number"]),
        (["--lr", "True"], ["--lr", "a number"]),
        (["--protocol", "a", "b"], ["--protocol", "'b'", "quote"]),
        (["--experiment", "a", "b"], ["--experiment", "'b'", "quote"]),
        (["--seed", "1", "--seed", "2"], ["--seed is given twice"]),
        (["--seed", "1", "--seed=1"], ["--seed is given twice"]),
        (["--debug", "--debug"], ["--debug is given twice"]),
        (["--max_grad_norm", "inf"], ["--max_grad_norm", "a number"]),
        (["--debug", "no"], ["--debug", "True or False"]),
        (["--base"], ["--base lacks its value"]),
        (["--base", "bose.yaml"], ["'bose.yaml'", "'base.yaml'"]),
        (["--base", "a.yaml", "b.yaml"], ["--base", "'b.yaml'"]),
        (["--device", "cpu", "cuda"], ["'cuda' belongs to no option"]),
    ],
)
def test_wrong_command_line(recipe, words, parts):
    with pytest.raises(HparamsError) as error:
        compose(["hparams/short.yaml", *words], recipe)
    assert all(part in str(error.value) for part in parts)


@pytest.mark.parametrize(
    "words",
    [
        ["--precision", "bf17"],
        ["--device"],
        ["--debug_batches", "many"],
    ],
)
def test_wrong_run_option_is_named(recipe, words, capsys):
    with pytest.raises(SystemExit):
        compose(["hparams/short.yaml", *words], recipe)
    assert f"error: argument {words[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, parts",
    [
        ([], ["no recipe file", "usage: train.py HPARAMS.yaml"]),
        (["--seed", "3"], ["no recipe file", "usage"]),
        (["--help"], ["usage: train.py HPARAMS.yaml"]),
        (["hparams/shart.yaml"], ["'hparams/shart.yaml'", "'short.yaml'"]),
        (["shart.yaml"], ["'shart.yaml'"]),
        (["hparams"], ["hparams is a folder, not a recipe file"]),
        (["hparams/invalid.yaml"], ["invalid.yaml", "valid YAML"]),
        (["hparams/lone.yaml"], ["lone.yaml", "data_folder", "base"]),
        (["hparams/typo.yaml"], ["typo.yaml", "'sead'", "'seed'"]),
    ],
)
def test_wrong_file(recipe, words, parts):
    folder = recipe / "hparams"
    (folder / "invalid.yaml").write_text("seed: [1")
    (folder / "lone.yaml").write_text("seed: 1")
    (folder / "typo.yaml").write_text("base: base.yaml\nsead: 1")
    with pytest.raises(HparamsError) as error:
        compose(words, recipe)
    assert all(part in str(error.value) for part in parts)


def test_file_of_the_recipe_folder(recipe):
    assert loaded(recipe, file="hparams/short.yaml")["experts"] == 7


def test_file_of_the_working_directory_comes_first(recipe):
    Path("hparams").mkdir()
    Path("hparams/short.yaml").write_text("base: base.yaml\nseed: 77")
    assert loaded(recipe, file="hparams/short.yaml")["seed"] == 77


def test_file_by_its_absolute_path(recipe, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("base: short.yaml\nseed: 77")
    assert loaded(recipe, file=str(own))["experts"] == 7


def test_another_base(recipe):
    other = BASE.replace("protocol: official", "protocol: other")
    (recipe / "hparams" / "other.yaml").write_text(other)
    assert loaded(recipe, "--base", "other.yaml")["protocol"] == "other"


def test_method_is_the_name_of_the_file(recipe):
    assert loaded(recipe)["method"] == "short"


def test_method_can_be_named(recipe):
    assert loaded(recipe, "--method", "mine")["method"] == "mine"


@pytest.mark.parametrize(
    "source, name",
    [
        ("MIT/ast-finetuned-audioset", "ast-finetuned-audioset"),
        ("tiny", "tiny"),
        ("tiny/", "tiny"),
        ("./tiny/../tiny", "tiny"),
        ("!ref models/<seed>", "10"),
    ],
)
def test_backbone_name(recipe, source, name):
    Path("tiny").mkdir()
    assert loaded(recipe, "--backbone", source)["backbone_name"] == name


def test_backbone_name_can_be_given(recipe):
    made = loaded(recipe, "--backbone_name", "mine", "--backbone", "a/b")
    assert made["backbone_name"] == "mine"


def test_local_backbone_is_stored_with_its_whole_path(recipe):
    Path("tiny").mkdir()
    made = loaded(recipe, "--backbone", "tiny")
    assert made["backbone"] == str(Path("tiny").resolve())


def test_hub_name_is_left_alone(recipe):
    assert loaded(recipe, "--backbone", "a/b")["backbone"] == "a/b"


@pytest.mark.parametrize(
    "words, name, value",
    [
        ([], "device", None),
        (["--device", "cpu"], "device", "cpu"),
        (["--device=cuda:1"], "device", "cuda:1"),
        (["--debug"], "debug", True),
        (["--debug", "True"], "debug", True),
        (["--debug", "False"], "debug", False),
        (["--debug=False"], "debug", False),
        ([], "debug", False),
        (["--debug_batches", "3"], "debug_batches", 3),
        (["--precision", "bf16"], "precision", "bf16"),
        (["--eval_precision=bf16"], "eval_precision", "bf16"),
        (["--compile"], "compile", True),
        (
            ["--compile_module_keys", "a", "b"],
            "compile_module_keys",
            ["a", "b"],
        ),
        (["--grad_accumulation_factor", "4"], "grad_accumulation_factor", 4),
        (["--noprogressbar", "--seed", "3"], "noprogressbar", True),
    ],
)
def test_run_option(recipe, words, name, value):
    assert options(recipe, *words)[name] == value


def test_given_run_options_are_marked_so(recipe):
    given = options(recipe, "--precision", "bf16", "--seed", "3")
    assert given["overridden_args"] == {"precision"}


def test_a_key_of_the_file_is_no_run_option(recipe):
    """Both know max_grad_norm, whose default is 5 in SpeechBrain."""
    given = options(recipe, "--max_grad_norm", "2")
    assert "max_grad_norm" not in given["overridden_args"]


words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30
)


@given(words.filter(lambda word: not word.startswith("--")))
def test_split_keeps_a_word(word):
    given = split_arguments(["a.yaml", "--key", word])
    assert given == ("a.yaml", {"key": [word]})


@given(words)
def test_split_keeps_what_stands_behind_the_first_equals_sign(word):
    given = split_arguments(["a.yaml", f"--key={word}"])
    assert given == ("a.yaml", {"key": [word]})


# '!' begins a tag; HyperPyYAML makes a tuple of '(...)'
@given(words.filter(lambda word: not word.startswith(("!", "("))))
def test_text_arrives_verbatim(word):
    value = read_value("key", [word], "a default")
    assert load_hyperpyyaml(dump_yaml({"key": value}))["key"] == word


@given(st.integers())
def test_whole_number_arrives(number):
    value = read_value("key", [str(number)], 1)
    assert load_hyperpyyaml(dump_yaml({"key": value}))["key"] == number


# ruamel.yaml keeps fifteen digits
@given(st.integers(-(10**12), 10**12), st.integers(-30, 30))
def test_number_arrives(digits, power):
    number = float(f"{digits}e{power}")
    value = read_value("key", [repr(number)], 1.0)
    assert load_hyperpyyaml(dump_yaml({"key": value}))["key"] == number


@given(st.lists(st.integers()))
def test_list_arrives_word_by_word(numbers):
    value = read_value("key", str(numbers).split(), [1])
    assert load_hyperpyyaml(dump_yaml({"key": value}))["key"] == numbers


def test_the_recipes_own_files_are_found(recipe):
    made, _ = compose(["hparams/soft_moa.yaml", "--experts", "15"], RECIPE)
    assert "experts: 15" in made.text


@pytest.mark.parametrize(
    "text, words",
    [
        ("seed: ten", "seed is 'ten': give a whole number"),
        ("backbone: 5", "backbone: expected a text or null, found 5"),
        ("backbone: !x y", "backbone: expected a text"),
        ("data_folder: [a]", "data_folder: expected a text, found a list"),
        ("lr: !ref <seed>/0", "cannot be resolved: ZeroDivisionError"),
        ("lr: !ref <lr>/0", "cannot be resolved: RecursionError"),
        ("lr: !ref <none>", "reference .none. is not valid"),
        ("? [a, b]\n: 1", "is no text"),
        ("5: 1", "the key 5 is no text"),
        ("base: [ast.yaml]", "'base' is no file name"),
        ("lr: &a [*a]", "the alias .a is part of itself"),
        ("lr: " + "[" * 60 + "]" * 60, "is too large"),
        (
            "lr: [&a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"
            + "".join(
                f", &{b} [" + ", ".join(10 * [f"*{a}"]) + "]"
                for a, b in zip("abcdefgh", "bcdefghi")
            )
            + "]",
            "is too large",
        ),
        ("lr: \0", "not valid YAML"),
    ],
)
def test_recipe_file_of_a_wrong_form_is_named(text, words, tmp_path):
    lines = [line for line in text.split("\n") if line]
    if not text.startswith("base"):
        lines.insert(0, "base: ast.yaml")
    (tmp_path / "own.yaml").write_text("\n".join(lines) + "\n")
    with pytest.raises(HparamsError, match=words):
        made, _ = compose([str(tmp_path / "own.yaml")], RECIPE)
        check_values(made.settings)


def test_every_key_that_train_reads_is_asked_for():
    made, _ = compose(["hparams/ast.yaml"], RECIPE)
    check_keys(made.settings, RECIPE / "train.py")
    read = ["lr_schedule", "loss", "opt_class", "cache", "test_loader"]
    for key in read:
        kept = {k: v for k, v in made.settings.items() if k != key}
        with pytest.raises(HparamsError, match=f"no key '{key}'") as error:
            check_keys(Values(kept), RECIPE / "train.py")
        assert "--base that has it: ast.yaml, wav2vec2.yaml;" in str(
            error.value
        )


def test_bases_of_another_script_are_told_apart():
    """VoxCeleb1 has two scripts, whose files differ in their keys."""
    recipe = RECIPE.parent / "VoxCeleb1"
    made, _ = compose(["hparams/lora.yaml"], recipe)
    bases = "has it: identification_ast.yaml, identification_wav2vec2.yaml;"
    with pytest.raises(HparamsError, match=bases):
        check_keys(made.settings, recipe / "identify.py")


@pytest.mark.parametrize(
    "words, message",
    [
        (["ast.yaml", "--base", "wav2vec2.yaml"], "ast.yaml is complete, so"),
        (["ecapa.yaml", "--base", "wav2vec2.yaml"], "would change nothing"),
        (["ecapa.yaml", "--backbone", "a/b"], "leave --backbone out"),
        (
            ["lora.yaml", "--base", "ecapa.yaml"],
            "Start ecapa.yaml without .* with an encoder: ast.yaml, ident",
        ),
        (["ecapa_partition.yaml", "--backbone", "a/b"], "from scratch"),
    ],
)
def test_base_and_backbone_that_nothing_reads(words, message):
    with pytest.raises(HparamsError, match=message):
        compose(words, RECIPE.parent / "VoxCeleb1")


@pytest.mark.parametrize(
    "words",
    [
        ["--base", "!ref <x>"],
        ["--backbone", "!x y"],
        ["--backbone", "!ref <seed>"],
    ],
)
def test_tag_where_none_belongs_is_named(words):
    with pytest.raises(HparamsError, match="takes a file|expected a text"):
        compose(["hparams/lora.yaml", *words], RECIPE)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("max_grad_norm", 0, "max_grad_norm 0 must be above 0"),
        ("max_grad_norm", -1, "max_grad_norm -1 .*.inf"),
        ("max_grad_norm", math.nan, "above 0"),
        ("seed", -1, "seed is -1: at least 0"),
        ("seed", 2**32, "seed is 4294967296: at most 4294967295"),
        ("lr", math.nan, "lr is nan: at least 0"),
        ("lr", 0, "lr is 0: nothing would be trained"),
        ("batch_size", "many", "batch_size is 'many': give a whole number"),
        ("batch_size", True, "batch_size is 'True': give a whole number"),
        ("number_of_epochs", 2.5, "number_of_epochs is '2.5': give a whole"),
        ("max_grad_norm", "x", "max_grad_norm is 'x': give a number"),
        ("fixed_epochs", "no", "fixed_epochs: expected True or False"),
        ("folds", 3, "folds: expected a list, found 3"),
        ("lr_by_part", 0.1, "lr_by_part: expected keys and values, found 0.1"),
        ("lr_by_part", {"head": "x"}, "lr_by_part.head: expected a number"),
        ("lr_by_part", {"head": math.nan}, "lr_by_part.head: expected a numb"),
        ("train_norms", 3, "train_norms: expected True or False or a text"),
        ("prepare", 5, "prepare: expected keys and values, found 5"),
        ("opt_class", "Adam", "opt_class is 'Adam': it takes an object"),
        ("num_workers", 10**6, "num_workers is 1000000: at most 1000"),
        ("output_folder", 5, "output_folder: expected a text, found 5"),
        ("output_folder", "", "output_folder is '': name a folder of its own"),
        ("output_folder", "/x/../data", "which is not that of the data"),
        ("precision", "bf17", "'bf17' is none of: fp32, bf16, fp16"),
        ("best_metric", "accuracy", "best_metric is 'accuracy': give a name"),
        ("best_metric", {"name": "loss"}, "give a name and a mode"),
        ("best_metric", {"name": "loss", "mode": "low"}, "'low' is neither"),
        ("method", {}, "method: expected a text, found keys and values"),
        ("modules", {}, "modules: the key 'model' is missing"),
        ("manifest_folder", "/dev/null", "/dev/null is no folder: .*--manif"),
        ("output_folder", "/dev/null/x", "/dev/null/x', and /dev/null is no"),
        ("feature_cache_dtype", "int8", "none of: float32, float16"),
        ("feature_cache_dtype", "float16", "--feature_cache DIR"),
        ("hidden_cache_dtype", "int8", "none of: float32, float16"),
        ("hidden_cache_dtype", "float16", "--hidden_cache DIR"),
        ("hidden_cache", "/dev/null", "/dev/null is no folder: .*--hidden_c"),
        ("hidden_cache", 3, "hidden_cache: expected a text"),
        ("cache_bytes", -1, "cache_bytes is -1: at least 0"),
        ("cache_bytes", "5 GB", "cache_bytes is '5 GB': give a number"),
        ("keep_hidden", "yes", "keep_hidden is 'yes': it takes an object"),
    ],
)
def test_value_that_no_run_can_have(key, value, message):
    made, _ = compose(["hparams/soft_moa.yaml"], RECIPE)
    with pytest.raises(HparamsError, match=message):
        check_values({**made.settings, "data_folder": "/data", key: value})


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/eve")
    words = ["--output_folder=~/runs", "--data_folder=~/data"]
    made, _ = compose(["hparams/soft_moa.yaml", *words], RECIPE)
    assert made.settings["output_folder"] == "/home/eve/runs"
    assert made.settings["data_folder"] == "/home/eve/data"


def test_device_without_values_is_refused():
    with pytest.raises(HparamsError, match="--device meta cannot be used"):
        check_device("meta")


def test_half_precision_needs_a_backbone_in_full():
    words = ["--precision=fp16", "--backbone_dtype=bfloat16"]
    made, _ = compose(["hparams/soft_moa.yaml", *words], RECIPE)
    with pytest.raises(HparamsError, match="do not go together"):
        check_values(made.settings)


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("auto_mix_prec", "use --precision"),
        ("jit", "use --compile"),
        ("bfloat16_mix_prec", "use --precision bf16"),
        ("data_parallel_backend", "torchrun"),
    ],
)
def test_option_for_which_there_is_another(key, advice):
    with pytest.raises(HparamsError, match=f"--{key} is not for .*{advice}"):
        compose(["hparams/lora.yaml", f"--{key}=True"], RECIPE)


@pytest.mark.parametrize("name", ["precision", "eval_precision"])
def test_half_precision_needs_a_gpu(name):
    words = ["hparams/lora.yaml", f"--{name}=fp16", "--device=cpu"]
    made, run_opts = compose(words, RECIPE)
    with pytest.raises(HparamsError, match=f"^{name} fp16 needs a GPU"):
        check_precision(made.settings, run_opts)
    made, run_opts = compose([*words[:2], "--device=cuda:0"], RECIPE)
    check_precision(made.settings, run_opts)


def test_pipe_as_recipe_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "lora.yaml")
    with pytest.raises(HparamsError, match="lora.yaml is a pipe or device"):
        compose([str(tmp_path / "lora.yaml")], RECIPE)


def test_an_empty_value_is_shown_as_null():
    """Not as the mark of a document's end, in the list of differences."""
    values = one_line_values("a:\nb: null\nc: 1\nd: x\n")
    assert values == {"a": "null", "b": "null", "c": "1", "d": "x"}
