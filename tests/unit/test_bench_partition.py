"""The benchmark of the partitioned speaker models."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from petl_modules.speaker_models import EcapaPartition

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch):
    """benchmarks/partition.py as a module, with a small model."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    place = ROOT / "benchmarks" / "partition.py"
    spec = importlib.util.spec_from_file_location("bench_partition", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(
        module, "MODELS", {"small": (EcapaPartition, {"channels": 64})}
    )
    yield module
    sys.modules.pop("common", None)


def test_rows_are_in_ratio_to_the_whole_model(bench, tmp_path, capsys):
    words = ["--models", "small", "--repeats", "1", "--frames", "20"]
    bench.main([*words, "--json", str(tmp_path / "rows.json")])
    report = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    rows = report["rows"]
    assert [row["subsets"] for row in rows] == [1, 2, 2, 4, 4, 8, 8]
    for row in rows:
        # attention, its norm and its way back; norm and FC
        dense = 9 * 64 * 128 + 3 * 128 + 128 * 192 + 192
        dense += 12 * 64 + 6 * 64 * 192 + 192
        assert row["dense"] == dense
        assert row["trunk"] + dense == row["parameters"]
        share = row["parameters"] / rows[0]["parameters"]
        assert row["parameter_ratio"] == pytest.approx(share)
    assert capsys.readouterr().out.count("\n| small |") == 7


def test_unknown_model_is_named(bench, capsys):
    with pytest.raises(SystemExit):
        bench.main(["--models", "xvector"])
    assert "no model 'xvector'; models: small" in capsys.readouterr().err
