"""Every row of tests/recipes/*.csv, and every method on wav2vec 2.0."""

import json
import re
from pathlib import Path

import pytest

from petl_modules.utils import read_csv
from tests.sampling import sample

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests" / "recipes").glob("*.csv"))
ROWS = [row for file in FILES for row in read_csv(file)]
STEMS = sorted({Path(row["Hparam_file"]).stem for row in ROWS})
DATASETS = sorted({row["Dataset"] for row in ROWS})
TEMPLATE = "audio_classification"
EVERY = 12  # rows of a file, in another dataset than of the file before


def is_turn(row):
    """Whether it is a dataset's turn to give the row of a file."""
    stem, dataset = Path(row["Hparam_file"]).stem, row["Dataset"]
    own = [r["Dataset"] for r in ROWS if Path(r["Hparam_file"]).stem == stem]
    place = STEMS.index(stem) + sorted(own).index(dataset)
    return place % min(EVERY, len(own)) == 0


# Datasets whose turn never comes give their first row
OTHERS = [
    next(row for row in ROWS if row["Dataset"] == dataset)
    for dataset in DATASETS
    if not any(is_turn(row) for row in ROWS if row["Dataset"] == dataset)
]


def is_sampled(row):
    """Whether ``make test`` runs a row: each file and each dataset once."""
    return is_turn(row) or row in OTHERS


def marked(rows, sampled):
    """Rows with names; those that are not sampled have the mark ``whole``."""
    return [
        pytest.param(
            row,
            id=f"{row['Dataset']} {Path(row['Hparam_file']).stem}",
            marks=[] if sampled(row) else [pytest.mark.whole],
        )
        for row in rows
    ]


METHODS = [
    row
    for row in ROWS
    if row["Dataset"] == "GSC"
    and "tiny-ast" in row["test_debug_flags"]
    and not re.search("/ast|/convpass|/ipet", row["Hparam_file"])
]


def failed_checks(checks, folder):
    """What of a row's ``test_debug_checks`` does not hold in a folder."""
    found = dict(re.findall(r"(\w+)=\[(.*?)\]", checks))
    failed = [
        name
        for name in found["file_exists"].split(",")
        if not (folder / name.strip()).exists()
    ]
    name, variable, limit, epoch = map(
        str.strip, found["performance_check"].split(",")
    )
    lines = (folder / name).read_text().splitlines()
    line = next(text for text in lines if text.startswith(epoch))
    value = float(re.search(rf"{variable}: ([-+.e\d]+)", line).group(1))
    if not (limit[0] == "<" and value < float(limit[1:])):
        failed.append(f"{variable} {value} is not {limit}")
    return failed


def test_every_file_and_every_dataset_is_sampled():
    sampled = [row for row in ROWS if is_sampled(row)]
    assert {Path(row["Hparam_file"]).stem for row in sampled} == {*STEMS}
    assert {row["Dataset"] for row in sampled} == {*DATASETS}


@pytest.mark.parametrize("row", marked(ROWS, is_sampled))
def test_row(row, script, flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [str(ROOT / row["Hparam_file"]), "--output_folder=out"]
    train = script(row["Script_file"])
    train.main([*words, "--manifest_folder=m", "--device=cpu", *flags(row)])
    assert failed_checks(row["test_debug_checks"], tmp_path / "out") == []


def train_on(row, base, backbone, script, flags):
    """Run a row with another base and its backbone; return what failed."""
    words = [str(ROOT / row["Hparam_file"]), "--output_folder=out"]
    words += [f"--base={base}.yaml", "--device=cpu", *flags(row)]
    words = [w for w in words if not w.startswith("--backbone")]
    script(row["Script_file"]).main([*words, f"--backbone={backbone}"])
    return failed_checks(row["test_debug_checks"], Path("out"))


@pytest.mark.parametrize(
    "row", marked(METHODS, lambda row: METHODS.index(row) % 6 == 0)
)
def test_any_method_on_wav2vec2(
    row, script, flags, places, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    backbone = places["tiny-wav2vec2"]
    assert train_on(row, "wav2vec2", backbone, script, flags) == []


@pytest.mark.parametrize(
    ("base", "backbone"),
    [
        ("wav2vec2", "tiny-wavlm"),
        ("w2v_bert", "tiny-w2v-bert"),
        ("whisper", "tiny-whisper"),
    ],
)
def test_lora_on_other_encoders(
    base, backbone, script, flags, places, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    row = next(r for r in METHODS if r["Hparam_file"].endswith("/lora.yaml"))
    assert train_on(row, base, places[backbone], script, flags) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "dataset",
    sample(
        ["UrbanSound8k", "GSC", "FSC", "FSDD", "GTZAN", "IEMOCAP", TEMPLATE],
        ["GSC", TEMPLATE],
    ),
)
def test_command_line_from_the_folder_of_the_recipe(
    dataset, start, flags, tmp_path
):
    row = next(
        row
        for row in ROWS
        if row["Dataset"] == dataset and "soft_moa" in row["Hparam_file"]
    )
    script = ROOT / row["Script_file"]
    process = start(
        "train.py",
        "hparams/soft_moa.yaml",
        f"--output_folder={tmp_path / 'out'}",
        f"--manifest_folder={tmp_path}",
        "--device=cpu",
        *flags(row),
        cwd=script.parent,
    )
    _, err = process.communicate()
    assert process.returncode == 0, err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["method"] == "soft_moa"
