"""Papers' numbers beside ours: where they match, and in no statistics."""

import re
from pathlib import Path

import pytest

from petl_modules.comparison import compare, read_published
from petl_modules.sweeps import in_miniature, read_sweep
from petl_modules.utils import DataError, read_csv
from tests.compared import records_of, write_compared

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "sweeps" / "published.csv"
AST, WAV2VEC2 = "ast-finetuned-audioset-10-10-0.4593", "wav2vec2-base-960h"
HEAD = "paper,table,dataset,encoder,method,metric,value,parameters\n"
# README's names of methods
METHODS = {
    "full fine-tuning": "full_finetuning",
    "linear": "linear",
    "BitFit": "bitfit",
    "shallow prompts, 300": "prompt_shallow",
    "deep prompts, 25": "prompt_deep",
    "prefix, 24": "prefix",
    "LoRA": "lora",
    "bottleneck, Pfeiffer": "bottleneck",
    "bottleneck, Houlsby": "houlsby",
    "conformer, Pfeiffer": "conformer",
    "MambAdapter, Houlsby (2606.15638)": "mambadapter_houlsby",
}


def test_numbers_are_those_of_the_readme():
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("| method, theirs |") :].split("\n\n")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
    ]
    found = {}
    for name, *values in rows:
        for column, value in zip(head[1:], values):
            dataset, _, speech = column.partition(", ")
            method = METHODS[name]
            if speech and method == "conformer":
                method = "conformer_wav2vec2"
            encoder = WAV2VEC2 if speech else AST
            if value:
                found[dataset, encoder, method, "accuracy"] = value
    published = read_published(FILE)
    assert {key: row["value"] for key, row in published.items()} == found
    sizes = {row["parameters"] for row in published.values()} - {""}
    assert sizes == {*re.findall(r"\b\d+K\b", text[text.index(table) :])[:2]}


@pytest.mark.parametrize("name", ["petl_ast", "petl_wav2vec2"])
def test_each_cell_of_a_papers_sweep_has_its_number(name):
    sweep = read_sweep(ROOT / "sweeps" / f"{name}.yaml")
    encoder = AST if name == "petl_ast" else WAV2VEC2
    published = read_published(sweep.published)
    for dataset in sweep.grid["dataset"]:
        for method in sweep.grid["method"]:
            assert (dataset, encoder, method, "accuracy") in published
    assert in_miniature(sweep).published is None


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison without and one with a paper's numbers."""
    place = tmp_path_factory.mktemp("published")
    for method, base in (("linear", 0.7), ("lora", 0.8)):
        values = {k: base + (k * k % 5) / 100 for k in range(1, 6)}
        write_compared(
            place / "runs" / method, method, values, records=records_of(5)
        )
    for lr in (0.001, 0.01):
        write_compared(
            *(place / "runs" / f"bottleneck-{lr}", "bottleneck", {1: lr}),
            lr=lr,
            records=records_of(5),
        )
    file = place / "theirs.csv"
    file.write_text(
        HEAD
        + "1234.5,Table 6,birds,some-ast,lora,accuracy,81.70,895K\n"
        + "1234.5,Table 6,birds,some-ast,bottleneck,accuracy,88.80,\n"
        + "1234.5,Table 6,birds,other-ast,linear,accuracy,77.70,\n"
        + "1234.5,Table 6,fish,some-ast,linear,accuracy,77.70,\n"
        + "1234.5,Table 6,birds,some-ast,linear,wer,77.70,\n"
    )
    compare([place / "runs"], place / "without", "linear")
    compare([place / "runs"], place / "with", "linear", published=file)
    return place


def test_number_stands_beside_its_method_alone(compared):
    rows = read_csv(compared / "with" / "table.csv")
    found = {row["configuration"]: row["paper"] for row in rows}
    assert found["lora"] == "0.817"
    assert [name for name, value in found.items() if value] == ["lora"]
    (source,) = {row["paper_source"] for row in rows} - {""}
    assert source == "1234.5, Table 6"


def test_tables_and_page_name_the_paper(compared):
    for name in ("table.md", "comparison.html"):
        text = (compared / "with" / name).read_text("utf-8")
        assert "81.70 (895K parameters)" in text
        assert "as 1234.5, Table 6 reports it" in text
        assert "88.80" not in text and "77.70" not in text
        assert "paper" not in (compared / "without" / name).read_text("utf-8")


def test_statistics_do_not_change(compared):
    for name in ("differences.csv", "runs.csv"):
        texts = [
            (compared / place / name).read_bytes()
            for place in ("with", "without")
        ]
        assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,b,c,d,e,f,many,", "'many' is no number"),
        ("a,b,c,d,e,f,nan,", "'nan' is no number"),
        ("a,b,c,d,e,f,1,\nz,b,c,d,e,f,2,", "two rows are of c, d, e, f"),
        ("a,b,c,d,e,f,1", "7 fields"),
    ],
)
def test_mistake_is_named(row, words, tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text(f"{HEAD}{row}\n")
    with pytest.raises(DataError, match=f"theirs.csv.*{words}"):
        read_published(file)
