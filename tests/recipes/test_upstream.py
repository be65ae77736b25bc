"""Recipes written for SpeechBrain: complete, and right by its rules."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import speechbrain
from speechbrain.utils.run_opts import RunOptions

from petl_modules import __version__
from petl_modules.runs import compose
from petl_modules.runs.yaml_text import dump_yaml, one_line_values
from petl_modules.upstream import __main__ as command
from petl_modules.upstream import collect
from petl_modules.utils import read_csv
from tools import copy_methods

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
COLUMNS = (
    "Task Dataset Script_file Hparam_file Data_prep_file Readme_file "
    "Result_url HF_repo test_debug_flags test_debug_checks performance"
).split()
FOLDERS = {
    script.parent.name: script.parent
    for script in sorted(ROOT.glob("*/*/train.py"))
    if script.parts[-3] in ("recipes", "templates")
}
METHODS = [
    file.stem
    for file in sorted((FOLDERS["GSC"] / "hparams").glob("*.yaml"))
    if file.stem not in ("ast", "wav2vec2", "mambadapter_houlsby")
]
CASES = [
    *((recipe, "soft_moa", None) for recipe in FOLDERS if recipe != "GSC"),
    *(("GSC", method, None) for method in METHODS),
    *(
        ("GSC", method, "wav2vec2.yaml")
        for method in METHODS
        if not re.search("wav2vec2|ipet|w2v_bert|whisper", method)
        and method not in copy_methods.SPEECH_METHODS  # that is their base
    ),
    ("GTZAN", "lora", None),
    ("VoxCeleb1", "lora", "wav2vec2.yaml"),
    ("VoxCeleb1", "ipet", None),
    ("VoxCeleb1", "ecapa_partition", None),
    ("VoxCeleb1", "lora", "identification_ast.yaml"),
]


def is_sampled(case):
    """Whether ``make test`` has a case: a method of GSC on one encoder."""
    recipe, method, base = case
    if recipe != "GSC" or (method, "wav2vec2.yaml") not in ON_BOTH:
        return True
    return (METHODS.index(method) % 2 == 0) == (base is None)


ON_BOTH = {case[1:] for case in CASES if case[0] == "GSC" and case[2]}
every_case = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if is_sampled(case) else pytest.mark.whole)
        for case in CASES
    ],
    ids=["-".join(filter(None, case)) for case in CASES],
)
# The rules of SpeechBrain's repository
STYLE = """
[tool.ruff]
line-length = 80
target-version = "{version}"
[tool.ruff.lint]
select = ["E", "W", "F", "I"]
ignore = ["E501"]
"""


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Gives the folder that a case was written to, and its recipe in there."""

    @cache
    def folders(recipe, method, base=None):
        folder = tmp_path_factory.mktemp("upstream") / "recipes" / recipe
        collect.export(recipe, method, folder / "petl", base)
        return folder.parents[1], folder / "petl"

    return folders


def script_of(case):
    """The name of the script that a case is written with."""
    identifies = (case[2] or "").startswith("identification")
    return "identify.py" if identifies else "train.py"


def unused_keys(yaml, script):
    """Keys that SpeechBrain's consistency test would call unused.

    It goes through the lines. One that starts a top-level key declares it,
    unless it applies a function; a ``!ref <key>`` in any later line uses it.
    What is left must be a run option, or named in the script.
    """
    waiting = []
    for line in yaml.splitlines():
        if line[:1] not in ("", " ", "#") and "!apply" not in line:
            waiting.append(line.partition(":")[0])
        if "!ref" in line:
            used = re.findall(r"<(\w+)", line)
            waiting = [key for key in waiting if key not in used]
    return [
        key
        for key in waiting
        if f'["{key}"]' not in script
        and not re.search(rf"(hparams|modules)\.{re.escape(key)}\b", script)
        and key not in RunOptions().as_dict()
    ]


def test_rules_find_what_is_unused():
    yaml = "a: 1\nb: !ref <a>\nc: !ref <d[x]>\nd:\n    x: 1\ndevice: cpu\n- e"
    assert unused_keys(yaml, 'hparams["b"], hparams.c') == ["d", "- e"]


@every_case
def test_every_key_is_used(case, written):
    _, recipe = written(*case)
    yaml = (recipe / "hparams" / f"{case[1]}.yaml").read_text("utf-8")
    script = (recipe / script_of(case)).read_text("utf-8")
    assert unused_keys(yaml, script) == []


@every_case
def test_row_names_files_that_are_there(case, written):
    folder, recipe = written(*case)
    (row,) = read_csv(recipe / f"{case[0]}.csv")
    assert list(row) == COLUMNS
    names = [row[column] for column in COLUMNS if column.endswith("_file")]
    assert [name for name in names if not (folder / name).is_file()] == []


@every_case
def test_row_has_a_backbone_that_fits(case, written):
    folder, recipe = written(*case)
    (row,) = read_csv(recipe / f"{case[0]}.csv")
    speech = any("wav2vec2" in str(part) for part in case)
    speech = speech or case[0] in copy_methods.FRAMES
    speech = speech or case[1] in copy_methods.SPEECH_METHODS
    assert ("tiny-wav2vec2" in row["test_debug_flags"]) == speech


@every_case
def test_no_module_is_copied(case, written):
    """Of Python there is little more than a reviewer reads in one sitting."""
    _, recipe = written(*case)
    scripts = sorted(path.name for path in recipe.rglob("*.py"))
    assert len(scripts) == 2 and script_of(case) in scripts
    lines = [len((recipe / x).read_text("utf-8").splitlines()) for x in scripts]
    assert sum(lines) <= 2500


@pytest.mark.parametrize("version", ["py38", "py310"])
def test_style_is_that_of_speechbrain(version, written, tmp_path):
    """There, its package is first-party, and this one is not."""
    package = Path(speechbrain.__file__).parent
    (tmp_path / "speechbrain").symlink_to(package)
    text = STYLE.format(version=version)
    (tmp_path / "pyproject.toml").write_text(text)
    for case in CASES:
        _, recipe = written(*case)
        name = "-".join(filter(None, case))
        shutil.copytree(recipe, tmp_path / "recipes" / name / "petl")
    for words in (["check"], ["format", "--check"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *words,
            "--no-cache",
            tmp_path / "recipes",
        ]
        run = subprocess.run(ruff, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


@every_case
def test_values_are_those_of_the_recipe(case, written):
    recipe, method, base = case
    words = [f"{method}.yaml", *([f"--base={base}"] if base else [])]

    def values(words, folder):
        return one_line_values(
            dump_yaml(dict(compose(words, folder)[0].settings))
        )

    ours = values(words, FOLDERS[recipe])
    assert values(words[:1], written(*case)[1]) == ours


@every_case
def test_yaml_says_what_it_is(case, written):
    recipe, method, base = case
    _, folder = written(*case)
    yaml = (folder / "hparams" / f"{method}.yaml").read_text("utf-8")
    command = (
        f"#   python recipes/{recipe}/petl/{script_of(case)} "
        f"hparams/{method}.yaml "
        "--data_folder DIR"
    )
    header, _, body = yaml.partition("\n\n")
    assert command in header.splitlines()
    assert all(line.startswith("#") for line in header.splitlines())
    assert not re.search("^base:", body, re.M)
    assert "# the current fold, set by train.py" in body
    assert f"method: {method} " in body
    assert not re.search(": (true|false)", body)  # SpeechBrain: True, False


@every_case
def test_nothing_points_out_of_the_folder(case, written):
    _, folder = written(*case)
    recipe, method, _ = case
    files = [
        folder / "README.md",
        *folder.glob("*.py"),
        *folder.glob("hparams/*"),
    ]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert set(re.findall(r"hparams/(\w+)\.yaml", text)) == {method}
    assert set(re.findall(r"recipes/\w+/(?:petl)?", text)) == {
        f"recipes/{recipe}/petl"
    }
    for words in ("make demo", "templates/", "sys.path", "](../"):
        assert words not in text


@every_case
def test_scripts_import_nothing_in_vain(case, written):
    _, folder = written(*case)
    for file in folder.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert "import Path\n" not in source or source.count("Path") > 1


@every_case
def test_readme_shows_the_method_alone(case, written):
    _, folder = written(*case)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)\.yaml`", readme, re.M)
    assert set(rows) == {case[1]}
    # A paragraph may name other files beside the method's: ecapa*.yaml
    patterns = re.findall(r"[\w*]+\.yaml", readme)
    names = {name for name in patterns if "*" not in name}
    assert names == {f"{case[1]}.yaml"}
    there = {file.name for file in folder.glob("*.py")}
    assert {*re.findall(r"\w+\.py\b", readme)} <= there
    assert "identify.py" in there or "Identification" not in readme
    assert "arxiv.org/abs/2402.00828" in readme


@pytest.mark.parametrize(
    "base, numbers", [(None, ["6.8", "15.2", "93.61"]), ("wav2vec2.yaml", [])]
)
def test_readme_has_the_numbers_of_that_backbone(base, numbers, written):
    _, folder = written("GSC", "lora", base)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [x for x in ("6.8", "15.2", "93.61") if f" {x} |" in readme] == (
        numbers
    )
    assert ("few-shot accuracies" in readme) == bool(numbers)


def test_requirement_is_this_package(written):
    _, folder = written("ESC50", "soft_moa")
    text = (folder / "extra_requirements.txt").read_text(encoding="utf-8")
    assert text.splitlines()[1:] == [f"petl_modules>={__version__}"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["ESC5", "soft_moa"], "no recipe 'ESC5'. Did you mean 'ESC50'?"),
        (["ESC50", "soft_mao"], "Did you mean 'soft_moa.yaml'?"),
        (["ESC50", "ast"], "ast.yaml is a base: name a method"),
        (["GSC", "lora", "--base=wav2vec"], "Did you mean 'wav2vec2.yaml'?"),
    ],
)
def test_wrong_name(words, message, tmp_path):
    words = [*words[:2], str(tmp_path / "new"), *words[2:]]
    with pytest.raises(SystemExit, match=re.escape(message)):
        command.main(words)
    assert list(tmp_path.iterdir()) == []


def test_taken_folder(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit, match="is not empty: name a new folder"):
        command.main(["ESC50", "soft_moa", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_package_without_recipes(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="Run this in a checkout"):
        command.main(["ESC50", "soft_moa", str(tmp_path / "new")])


def test_folder_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(path, text):
        raise OSError("no space left")

    monkeypatch.setattr(collect, "write_text", full)
    with pytest.raises(SystemExit, match="no space left"):
        command.main(["ESC50", "soft_moa", str(tmp_path / "new")])
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_told(tmp_path, capsys):
    folder = tmp_path / "new"
    folder.mkdir()
    command.main(["ESC50", "soft_moa.yaml", str(folder)])
    told = capsys.readouterr().out
    names = [line.strip() for line in told.split("\n\n")[0].splitlines()[1:]]
    there = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert set(names) == there
    assert f"cp -r {folder} recipes/ESC50/petl" in told
    assert "python recipes/ESC50/petl/train.py hparams/soft_moa.yaml" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(("ESC50", "soft_moa", None), marks=pytest.mark.whole),
        ("GSC", "soft_moa", "wav2vec2.yaml"),
    ],
    ids=["ESC50", "GSC-wav2vec2"],
)
def test_run(case, written, flags, tmp_path):
    """With petl_modules installed, here by PYTHONPATH."""
    folder, recipe = written(*case)
    (row,) = read_csv(recipe / f"{case[0]}.csv")
    run = subprocess.run(
        [sys.executable, "train.py", f"hparams/{case[1]}.yaml", *flags(row)]
        + [f"--output_folder={tmp_path / 'out'}", "--device=cpu"]
        + [f"--manifest_folder={tmp_path}"],
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["method"], len(summary["folds"])) == (case[1], 1)
