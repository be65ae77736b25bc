"""The benchmark of all methods on the miniatures."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from petl_modules.utils import read_csv

ROOT = Path(__file__).resolve().parents[2]


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
    for name in ("common", "runs", "speakers", "speech"):
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
    return SimpleNamespace(returncode=0, stdout="", stderr="")


def test_benchmark_writes_table_and_picture(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "write_miniature", lambda *_, **__: None)
    monkeypatch.setattr("runs.commit", lambda: "0123abc")
    monkeypatch.setattr(subprocess, "run", fake_run)
    words = ["--datasets", "ESC50,GSC", "--methods", "linear,soft_moa"]
    words += ["--seeds", "1,2", "--folder", str(tmp_path / "runs")]
    bench.main([*words, "--csv", str(tmp_path / "demo.csv")])
    rows = read_csv(tmp_path / "demo.csv")
    assert len(rows) == 2 * (2 * 2 + 1 * 2 + 2)  # AST, zeros, wav2vec 2.0
    assert rows[0] == {
        "dataset": "ESC50",
        "backbone": "ast",
        "method": "linear",
        "positions": "center_cut",
        "seed": "1",
        "accuracy": "0.5",
        "trainable_parameters": "12",
        "seconds": "2.3",
    }
    text = (tmp_path / "demo.md").read_text("utf-8")
    ast, wav2vec2 = text.split("## tiny-ast")[1].split("## tiny-wav2vec2")
    assert "| linear, no positions | 50.0 ± 0.0 | 50.0 ± 0.0 | 50.0 |" in ast
    assert "| soft_moa | 50.0 ± 0.0 | 50.0 |" in wav2vec2
    assert "Commit 0123abc" in text
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_speakers_have_a_table_of_their_own(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "write_miniature", lambda *_, **__: None)
    monkeypatch.setattr("runs.commit", lambda: "0123abc")
    monkeypatch.setattr(subprocess, "run", fake_run)
    other = "# Methods on the miniatures\n\n## tiny-ast\n\n| a |\n"
    (tmp_path / "demo.md").write_text(other)
    words = ["--datasets", "VoxCeleb1", "--methods", "lora,ecapa,houlsby"]
    words += ["--seeds", "1,2", "--folder", str(tmp_path / "runs")]
    words += ["--csv", str(tmp_path / "demo.csv")]
    for _ in range(2):  # the section replaces itself
        bench.main(words)
    assert not (tmp_path / "demo.csv").exists()
    rows = read_csv(tmp_path / "demo_speakers.csv")
    assert [(r["backbone"], r["method"]) for r in rows] == 2 * [
        ("ast", "untrained"),
        ("ast", "lora"),
        ("wav2vec2", "untrained"),
        ("wav2vec2", "lora"),
        ("scratch", "untrained"),
        ("scratch", "ecapa"),
    ]
    assert rows[1] == {
        "dataset": "VoxCeleb1",
        "backbone": "ast",
        "method": "lora",
        "seed": "1",
        "eer": "0.25",
        "valid_eer": "0.1",
        "trainable_parameters": "12",
        "seconds": "1.3",
    }
    text = (tmp_path / "demo.md").read_text("utf-8")
    assert text.startswith(f"{other}\n# Speaker verification")
    assert text.count("# Speaker verification") == 1
    assert "deviation over seeds 1, 2. A seed draws" in text
    assert "| tiny-ast | lora | 12 | 25.0 ± 0.0 | 10.0 ± 0.0 |" in text
    assert "| tiny-ast | untrained | 0 | 40.0 ± 0.0 |" in text


def test_recognition_has_a_table_of_its_own(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "write_miniature", lambda *_, **__: None)
    monkeypatch.setattr("runs.commit", lambda: "0123abc")
    monkeypatch.setattr(subprocess, "run", fake_run)
    words = ["--datasets", "LibriSpeech", "--methods", "linear,bottleneck"]
    words += ["--seeds", "1,2", "--folder", str(tmp_path / "runs")]
    bench.main([*words, "--csv", str(tmp_path / "demo.csv")])
    assert not (tmp_path / "demo.csv").exists()
    rows = read_csv(tmp_path / "demo_speech.csv")
    assert [(r["method"], r["units"]) for r in rows] == 2 * [
        ("linear", "characters"),
        ("bottleneck", "characters"),
        ("bottleneck", "phones"),
    ]
    assert rows[2] == {
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
    }
    text = (tmp_path / "demo.md").read_text("utf-8")
    line = "| bottleneck | phones | 12 | - | - | 50.0 ± 0.0 | 75.0 ± 0.0 |"
    assert line in text and "deviation over seeds 1, 2. Error rates" in text


def test_benchmark_keeps_what_is_finished(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", fake_run)
    trial = ("GSC", "ast", "lora", "zeros", 10)
    row = bench.run(tmp_path, trial)
    monkeypatch.setattr(subprocess, "run", None)
    assert bench.run(tmp_path, trial) == row


def test_runs_of_two_commits_are_not_mixed(bench, tmp_path, monkeypatch):
    for _ in range(2):
        monkeypatch.setattr("runs.commit", lambda: "0123abc")
        assert bench.claim(tmp_path / "runs") == "0123abc"
    monkeypatch.setattr("runs.commit", lambda: "4567def")
    with pytest.raises(SystemExit, match="commit 0123abc, and 4567def is"):
        bench.claim(tmp_path / "runs")


def test_failing_run_is_shown(bench, tmp_path, monkeypatch):
    def fail(words, **_):
        return SimpleNamespace(returncode=2, stderr="error: no such thing")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(SystemExit, match="code 2:\nerror: no such thing"):
        bench.run(tmp_path, ("GSC", "wav2vec2", "conformer", "", 10))


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
