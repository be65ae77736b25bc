"""Sweep files and their plans: cells, folders, and each mistake named."""

import json
import shutil
from pathlib import Path

import pytest

from petl_modules.runs.yaml_text import parse_mapping
from petl_modules.sweeps import in_miniature, plan_cells, planning, read_sweep
from petl_modules.sweeps.trials import trials_of, with_trials
from petl_modules.sweeps.values import folder_part, text_of
from petl_modules.utils import UserError

ESC50 = Path(__file__).resolve().parents[2] / "recipes" / "ESC50"
GOOD = """
grid:
  dataset: [ESC50]
  method: [lora, linear]
  seed: [10, 11]
data: {ESC50: esc}
output_folder: out
"""


def write(folder, text=GOOD):
    (folder / "esc").mkdir(exist_ok=True)
    file = folder / "sweep.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def plan(folder, text=GOOD):
    return plan_cells(read_sweep(write(folder, text)))


def test_each_fold_of_each_run_is_a_cell(tmp_path):
    cells = plan(tmp_path)
    assert len(cells) == 2 * 2 * 5
    assert [cell.fold for cell in cells[:5]] == [1, 2, 3, 4, 5]
    assert len({cell.place for cell in cells}) == len(cells)
    for cell in cells:
        assert cell.options["data_folder"] == str(tmp_path / "esc")
        assert cell.folder.startswith(str(tmp_path / "out" / "ESC50"))


MISTAKES = {
    "dataset": (("ESC50", "ESC5O"), "no data set 'ESC5O'.*ESC50"),
    "method": (("lora,", "lorra,"), "no method 'lorra'.*lora"),
    "key": (("seed:", "sed: [1]\n  seed:"), "sed.*seed"),
    "top key": (
        ("output_folder", "output_foldr"),
        "output_foldr.*output_folder",
    ),
    "type": (("seed:", "lr: [fast]\n  seed:"), "lr.*fast"),
    "folder": (("esc}", "gone}"), "no data folder .*gone"),
    "no data": (("{ESC50: esc}", "{}"), "ESC50: DIR"),
    "no skip": (
        ("data:", "skip: [{method: full}]\ndata:"),
        "nothing matches.*no method 'full'",
    ),
    "skip all": (
        ("data:", "skip: [{method: [lora, linear]}]\ndata:"),
        "all of the grid is skipped",
    ),
    "skip key": (("data:", "skip: [{lr: 1}]\ndata:"), "no key of the grid"),
    "grid": (("grid:", "set:"), "grid"),
    "yaml": (("[10, 11]", "[10, 11"), "sequence .line 5.: expected"),
    "twice": (("[10, 11]", "[10, 10]"), "each value once"),
    "set": (("data:", "set: {lra: {lr: 1}}\ndata:"), "'lra' is neither"),
    "in both": (("data:", "set: {all: {seed: 1}}\ndata:"), "in the grid and"),
    "refused": (("seed:", "folds: [1]\n  seed:"), "each fold is a cell"),
    "flat": (
        ("data:", "set: {lr: 0.1}\ndata:"),
        "'set: {all: {lr: 0.1}}'",
    ),
    "empty": (("[ESC50]", "[]"), "dataset is empty: give it a value"),
    "fold": (("data:", "set: {all: {folds: '[6]'}}\ndata:"), "no fold 6"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named(name, tmp_path):
    (old, new), words = MISTAKES[name]
    with pytest.raises(UserError, match=f"(?s){words}"):
        plan(tmp_path, GOOD.replace(old, new))


def test_numbers_of_a_key_may_be_whole(tmp_path):
    text = GOOD.replace("seed:", "weight_decay: [0, 0.1]\n  seed:")
    assert len(plan(tmp_path, text)) == 2 * 2 * 2 * 5


SEARCH = "search: {lr: {low: 1.0e-4, high: 0.1, log: True}}\ndata:"


def test_a_search_has_the_cells_of_its_trials(tmp_path):
    text = GOOD.replace("data:", SEARCH)
    assert plan(tmp_path, text) == []
    trials = tmp_path / "out" / "sweep-search" / "trials.json"
    trials.parent.mkdir(parents=True)
    asked = [
        {"dataset": "ESC50", "method": method, "lr": lr}
        for method, lr in (("lora", "0.1"), ("lora", "0.02"), ("linear", "1"))
    ]
    old = {"dataset": "ESC50", "method": "lora", "rank": "8"}
    trials.write_text(json.dumps({"trials": [*asked, old]}))
    sweep = with_trials(read_sweep(write(tmp_path, text)))
    cells = plan_cells(sweep)
    assert len(cells) == 3 * 2 * 5
    names = {cell.folder.split("/")[-2] for cell in cells}
    assert names == {"lora-lr=0.1", "lora-lr=0.02", "linear-lr=1"}
    assert {cell.metric for cell in cells} == {("accuracy", "max")}
    found = trials_of(sweep, cells)
    assert [{**one.combination, **one.texts} for one in found] == asked
    assert all(len(one.cells) == 2 * 5 for one in found)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("low: 1.0e-4", "low: -1.0", "above 0"),
        ("lr: {low", "lrr: {low", "lrr.*lr"),
        ("[10, 11]", "[10, ten]", "seed.*ten"),
        ("[10, 11]", "[10]\n  fixed_epochs: [True]", "no validation"),
        (
            "lr: {low: 1.0e-4, high: 0.1, log: True}",
            "batch_size: {low: 1.5, high: 9.5}",
            "batch_size",
        ),
    ],
)
def test_mistake_of_a_search_is_named_before_it_runs(old, new, words, tmp_path):
    text = GOOD.replace("data:", SEARCH).replace(old, new)
    with pytest.raises(UserError, match=f"(?s){words}"):
        plan(tmp_path, text)


def test_all_mistakes_are_named_at_once(tmp_path):
    text = GOOD.replace("lora", "lorra").replace("linear", "linaer")
    with pytest.raises(UserError, match="(?s)lorra.*linaer"):
        plan(tmp_path, text)


def test_each_mistake_is_named_once_with_whose_it_is(tmp_path):
    """A missing folder hides no unknown key, and that no wrong value."""
    new = (
        "{ESC50: gone, GSC: esc}\nset: {all: {sed: 1, lr: low}, lora: {rnk: 3}}"
    )
    text = GOOD.replace("{ESC50: esc}", new).replace("[ESC50]", "[ESC50, GSC]")
    with pytest.raises(UserError) as caught:
        plan(tmp_path, text)
    starts = [line.split(".")[0] for line in str(caught.value).splitlines()[1:]]
    assert starts == [
        f"  ESC50: there is no data folder {tmp_path}/gone",
        "  all: unknown key --sed",
        "  all: --lr takes a number, not 'low'",
        "  lora: unknown key --rnk",
    ]


def test_cells_do_not_share_a_folder(tmp_path):
    text = GOOD.replace("seed:", "device: ['cuda:0', cuda_0]\n  seed:")
    with pytest.raises(UserError, match="two runs would share the folder"):
        plan(tmp_path, text)


def test_number_of_folds_follows_the_grid_through_other_keys(tmp_path):
    recipe = tmp_path / "recipe"
    shutil.copytree(ESC50, recipe)
    base = recipe / "hparams" / "ast.yaml"
    text = base.read_text("utf-8").replace("n_folds: 5", "n_folds: !ref <n>")
    base.write_text(f"parts: 5\nn: !ref <parts>\n{text}", "utf-8")
    text = GOOD.replace("[10, 11]", "[10]\n  parts: [3, 5]")
    cells = plan(tmp_path, text.replace("ESC50", "./recipe"))
    folds = {cell.options["parts"]: set() for cell in cells}
    for cell in cells:
        folds[cell.options["parts"]].add(cell.fold)
    assert folds == {"3": {1, 2, 3}, "5": {1, 2, 3, 4, 5}}


def test_folder_names_are_sorted_and_safe():
    name = folder_part("lora", {"lr": "0.1", "device": "cuda:0/a b"})
    assert name == "lora-device=cuda_0_a_b-lr=0.1"
    assert folder_part("..", {"b": "1", "a": "2"}).endswith("-a=2-b=1")


def test_long_folder_names_differ():
    names = {folder_part("m", {"k": "x" * 300 + end}) for end in "ab"}
    assert len(names) == 2
    assert max(map(len, names)) <= 120


TEXTS = {
    "0.1234567890123456": "0.1234567890123456",
    "1.0e-3": "0.001",
    "1e-05": "1.0e-05",
    "100000.0": "100000",
    "-0.5": "-0.5",
    "&anchor true": "True",
    "null": "null",
    '["null", "true", a]': '["null", "true", a]',
    '["\U0001f600", é]': '["\U0001f600", "é"]',
}


@pytest.mark.parametrize("text", TEXTS)
def test_value_is_that_of_the_file(text):
    value = parse_mapping(f"key: {text}", "here")["key"]
    assert text_of(value, "here") == TEXTS[text]
    assert parse_mapping(f"key: {TEXTS[text]}", "there")["key"] == value


def test_text_of_several_lines_is_refused():
    with pytest.raises(UserError, match=r"lr is 'a\\nb'"):
        text_of("a\nb", "lr")


def test_10000_cells_need_one_composition_a_method(tmp_path, monkeypatch):
    compose, kinds = planning.compose_for, []

    def counted(sweep, kind, values):
        kinds.append(kind)
        return compose(sweep, kind, values)

    monkeypatch.setattr(planning, "compose_for", counted)
    seeds, rates = [*range(100)], [k / 1000 for k in range(1, 11)]
    text = f"{seeds}\n  lr: {rates}"
    cells = plan(tmp_path, GOOD.replace("[10, 11]", text))
    assert len(cells) == 10_000
    assert len(kinds) == 2


def test_miniature_has_its_own_folders(tmp_path):
    sweep = in_miniature(read_sweep(write(tmp_path)))
    cells = plan_cells(sweep)
    assert len({cell.folder for cell in cells}) == 4
    for cell in cells:
        assert cell.folder.startswith(f"{tmp_path}/out-miniature/ESC50")
        assert cell.options["allow_partial"] == "True"
        assert cell.options["data_folder"] != str(tmp_path / "esc")
