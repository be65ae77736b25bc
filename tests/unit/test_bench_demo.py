"""The benchmark of all methods on the miniatures."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from petl_modules.utils import DataError, read_csv

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("common", "classification", "runs", "speakers", "speech", "table_file")
ORIGIN = {"clips": "9", "data": "123456789012"}
ORIGIN |= {"commit": "0123abc", "machine": "a laptop"}


@pytest.fixture(scope="module")
def bench():
    """benchmarks/demo.py as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        place = ROOT / "benchmarks" / "demo.py"
        spec = importlib.util.spec_from_file_location("bench_demo", place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    yield module
    for name in ROOMS:
        sys.modules.pop(name, None)


def fake_run(words, **_):
    folder = Path(words[words.index("--output_folder") + 1])
    folder.mkdir(parents=True)
    found = {"accuracy_mean": 0.5, "trainable_parameters": 12}
    found["folds"] = [{"seconds": 1.26}, {"seconds": 1.0}]
    if "VoxCeleb1" in str(folder):
        rate = 0.25 if "lora" in words[2] else 0.4
        found["folds"] = [{"seconds": 1.26, "test_eer": rate, "valid_eer": 0.1}]
    if "LibriSpeech" in words[1]:
        name = "per" if "phones" in words else "wer"
        fold = {"seconds": 1.26, f"test_{name}": 0.5, f"valid_{name}": 0.4}
        fold |= {f"test_other_{name}": 0.75}
        found |= {"folds": [fold], "metric": {"name": name, "mode": "min"}}
    (folder / "summary.json").write_text(json.dumps(found))
    about = {"clips": 9, "data": "1234567890123456"}
    (folder / "data.json").write_text(json.dumps(about))
    return SimpleNamespace(returncode=0, stdout="", stderr="")


@pytest.fixture
def begin(bench, tmp_path, monkeypatch):
    """Run the benchmark with runs that are made up; give the rows of a table."""
    monkeypatch.setattr(bench, "write_miniature", lambda *_, **__: None)
    monkeypatch.setattr("runs.commit", lambda: "0123abc")
    monkeypatch.setattr("runs.own_machine", lambda: "a laptop")
    monkeypatch.setattr(subprocess, "run", fake_run)

    def begin(table, *words):
        places = ["--folder", tmp_path / "runs", "--csv", tmp_path / "demo.csv"]
        bench.main([*map(str, (*places, *words))])
        return read_csv(tmp_path / f"{table}.csv")

    return begin


def test_benchmark_writes_table_and_picture(begin, tmp_path):
    words = ["--datasets", "ESC50,GSC", "--methods", "linear,soft_moa"]
    rows = begin("demo", *words, "--seeds", "1,2")
    assert len(rows) == 2 * (2 * 2 + 1 * 2 + 2 * 2)  # AST, zeros, wav2vec 2.0
    assert rows[0] == {
        "dataset": "ESC50",
        "backbone": "ast",
        "method": "linear",
        "positions": "center_cut",
        "seed": "1",
        "accuracy": "0.5",
        "trainable_parameters": "12",
        "seconds": "2.3",
        **ORIGIN,
    }
    text = (tmp_path / "demo.md").read_text("utf-8")
    assert "in %, mean and standard deviation over seeds 1, 2." in text
    _, ast, wav2vec2, small = text.split("\n## ")
    assert small.startswith("small-wav2vec2")
    assert "| linear, no positions | 50.0 ± 0.0 | 50.0 ± 0.0 | 50.0 |" in ast
    assert "| soft_moa | 50.0 ± 0.0 | 50.0 |" in wav2vec2
    assert text.endswith("\n\nCommit 0123abc, a laptop.\n")
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_table_grows(begin, tmp_path, monkeypatch):
    first = begin("demo", "--datasets=ESC50,GSC", "--methods=lora", "--seeds=1")
    monkeypatch.setattr("runs.commit", lambda: "4567def")
    words = ["--datasets", "ESC50", "--methods", "linear,lora", "--seeds", "2"]
    rows = begin("demo", *words, "--folder", tmp_path / "new")
    assert [r for r in rows if r["commit"] == "0123abc"] == first
    keys = ("dataset", "method", "positions", "seed")
    assert [
        tuple(r[key] for key in keys) for r in rows if r["backbone"] == "ast"
    ] == [
        ("ESC50", "linear", "center_cut", "2"),
        ("ESC50", "linear", "zeros", "2"),
        ("ESC50", "lora", "center_cut", "1"),
        ("ESC50", "lora", "center_cut", "2"),
        ("ESC50", "lora", "zeros", "1"),
        ("ESC50", "lora", "zeros", "2"),
        ("GSC", "lora", "center_cut", "1"),
        ("GSC", "lora", "zeros", "1"),
    ]
    text = (tmp_path / "demo.md").read_text("utf-8")
    assert "over the seeds of a cell, one if it has no deviation." in text
    # No mean where there is no accuracy on GSC
    assert "| linear | 50.0 | - | - |" in text
    assert "| lora | 50.0 ± 0.0 | 50.0 | 50.0 |" in text
    assert text.endswith(
        "- 4 rows: Commit 4567def, a laptop\n"
        "- 6 rows: Commit 0123abc, a laptop\n"
    )


def test_one_backbone_alone(begin):
    words = ["--backbones", "wav2vec2", "--methods", "lora", "--seeds", "1"]
    rows = begin("demo", *words)
    assert {row["backbone"] for row in rows} == {"wav2vec2"}
    assert "GSC" in {row["dataset"] for row in rows}
    with pytest.raises(SystemExit, match="nothing to run: .* no such backbone"):
        begin("demo", *words, "--datasets", "ESC50")


def test_rows_on_other_data_are_refused(begin, tmp_path, monkeypatch):
    words = ["--datasets", "ESC50", "--methods", "lora", "--seeds"]
    begin("demo", *words, "1")
    before = (tmp_path / "demo.csv").read_bytes()

    def run(words, **_):
        done = fake_run(words)
        folder = Path(words[words.index("--output_folder") + 1])
        about = {"clips": 9, "data": "other data"}
        (folder / "data.json").write_text(json.dumps(about))
        return done

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match="this run has data other data: name"):
        begin("demo", *words, "2")
    assert (tmp_path / "demo.csv").read_bytes() == before


def test_speakers_have_a_table_of_their_own(begin, tmp_path):
    other = "# Methods on the miniatures\n\n## tiny-ast\n\n| a |\n"
    (tmp_path / "demo.md").write_text(other)
    words = ["--datasets", "VoxCeleb1", "--methods", "lora,ecapa,houlsby"]
    for _ in range(2):  # the section replaces itself
        rows = begin("demo_speakers", *words, "--seeds", "1,2")
    assert not (tmp_path / "demo.csv").exists()
    assert [(r["backbone"], r["method"]) for r in rows if r["seed"] == "1"] == [
        ("ast", "untrained"),
        ("ast", "lora"),
        ("wav2vec2", "untrained"),
        ("wav2vec2", "lora"),
        ("scratch", "untrained"),
        ("scratch", "ecapa"),
    ]
    assert rows[2] == {
        "dataset": "VoxCeleb1",
        "backbone": "ast",
        "method": "lora",
        "seed": "1",
        "eer": "0.25",
        "valid_eer": "0.1",
        "trainable_parameters": "12",
        "seconds": "1.3",
        **ORIGIN,
    }
    text = (tmp_path / "demo.md").read_text("utf-8")
    assert text.startswith(f"{other}\n# Speaker verification")
    assert text.count("# Speaker verification") == 1
    assert "deviation over seeds 1, 2. A seed draws" in text
    assert "| tiny-ast | lora | 12 | 25.0 ± 0.0 | 10.0 ± 0.0 |" in text
    assert "| tiny-ast | untrained | 0 | 40.0 ± 0.0 |" in text


def test_recognition_has_a_table_of_its_own(begin, tmp_path):
    words = ["--datasets", "LibriSpeech", "--methods", "linear,bottleneck"]
    rows = begin("demo_speech", *words, "--seeds", "1,2")
    assert not (tmp_path / "demo.csv").exists()
    assert [(r["method"], r["units"], r["seed"]) for r in rows] == [
        (method, units, seed)
        for method, units in [
            ("linear", "characters"),
            ("bottleneck", "characters"),
            ("bottleneck", "phones"),
        ]
        for seed in ("1", "2")
    ]
    assert rows[4] == {
        "dataset": "LibriSpeech",
        "backbone": "wav2vec2",
        "method": "bottleneck",
        "units": "phones",
        "seed": "1",
        "wer": "",
        "cer": "",
        "per": "0.5",
        "other": "0.75",
        "valid": "0.4",
        "trainable_parameters": "12",
        "seconds": "1.3",
        **ORIGIN,
    }
    text = (tmp_path / "demo.md").read_text("utf-8")
    line = "| bottleneck | phones | 12 | - | - | 50.0 ± 0.0 | 75.0 ± 0.0 |"
    assert line in text and "deviation over seeds 1, 2. Error rates" in text


def test_benchmark_keeps_what_is_finished(begin, monkeypatch):
    words = ["--datasets", "GSC", "--methods", "lora", "--seeds", "1"]
    rows = begin("demo", *words)
    monkeypatch.setattr(subprocess, "run", None)
    # Under another commit, too, as nothing is run
    monkeypatch.setattr("runs.commit", lambda: "4567def")
    assert begin("demo", *words) == rows


def test_runs_of_two_commits_are_not_mixed(begin, monkeypatch):
    words = ["--datasets", "GSC", "--methods", "lora", "--seeds"]
    begin("demo", *words, "1")
    monkeypatch.setattr("runs.commit", lambda: "4567def")
    with pytest.raises(SystemExit, match="commit 0123abc, and 4567def is"):
        begin("demo", *words, "2")


def test_failing_run_is_shown(begin, monkeypatch):
    def fail(words, **_):
        return SimpleNamespace(returncode=2, stderr="error: no such thing")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(SystemExit, match="code 2:\nerror: no such thing"):
        begin("demo", "--datasets=GSC", "--methods=conformer", "--seeds=10")


@pytest.mark.parametrize("task", ["classification", "speakers", "speech"])
def test_committed_tables_have_their_text(task, bench):
    task = getattr(bench, task)
    columns = (task.TRIAL, task.DATA, task.VALUES)
    path = ROOT / "results" / f"demo{task.FILE}.csv"
    table = bench.TableFile(path, *columns, task.report)
    for row in table.rows:
        table.require_comparable(row, table.rows)
    text = path.with_name("demo.md").read_text("utf-8")
    assert f"{task.report(table.rows)}\n" in text


@pytest.mark.parametrize(
    "word, message",
    [
        ("--methods=adapter", "no methods adapter"),
        ("--datasets=AS", "ESC50"),
        (
            "--methods=houlsby",
            "no such methods of VoxCeleb1; there are: linear",
        ),
    ],
)
def test_unknown_names_are_refused(bench, word, message, capsys):
    with pytest.raises(SystemExit):
        bench.parse([word])
    assert message in capsys.readouterr().err
