"""What the committed table of the miniatures shows (results/demo*.csv)."""

import statistics
from itertools import product
from pathlib import Path

import pytest

from petl_modules.miniatures.trials import (
    METHODS,
    MINIATURES,
    SPEAKER_METHODS,
    SPEECH_METHODS,
)
from petl_modules.utils import read_csv

ROOT = Path(__file__).resolve().parents[2]
ONCE = ["GTZAN"]  # with one seed
# What has come since the papers, on fewer data sets
NEWER = ["adaptformer", "attentive", "attentive_layers", "convpass", "dora"]
NEWER += ["gc_lora", "hira", "ia3", "ladder", "layer_sum", "lora_plus"]
NEWER += ["mambadapter", "norms", "pissa", "prototypes", "rslora", "ssf"]
NEWER += ["dense_moa_lora", "soft_moa_lora"]
METHODS = [name for name in METHODS if name not in NEWER]
MEASURED = [n for n in MINIATURES if n not in ("FSDD", *ONCE)]
SPEECH = [name for name in MEASURED if MINIATURES[name].speech]
WORDS = ["GSC", "FSC"]
SEEDS = ("10", "11", "12")
ADAPTERS = ("bottleneck", "conformer", "houlsby", "dense_moa", "soft_moa")
UNORDERED = ("linear", "lora", "bottleneck")
NEWER_SEEDS = SEEDS[:1]
HEARD = ["linear", "bottleneck", "soft_moa"]  # on the encoder that heard people


@pytest.fixture(scope="module")
def rows():
    return read_csv(ROOT / "results" / "demo.csv")


@pytest.fixture(scope="module")
def mean(rows):
    """Gives the mean accuracy of a method over data sets and seeds."""

    def of(method, datasets, backbone="ast", positions="center_cut"):
        positions = positions if backbone == "ast" else ""
        found = [
            float(row["accuracy"])
            for row in rows
            if (row["method"], row["backbone"], row["positions"])
            == (method, backbone, positions)
            and row["dataset"] in datasets
        ]
        assert len(found) == len(SEEDS) * len(datasets)
        return statistics.fmean(found)

    return of


def test_table_is_whole(rows):
    wanted = {
        *product(MEASURED, ["ast"], METHODS, ["center_cut"], SEEDS),
        *product(MEASURED, ["ast"], UNORDERED, ["zeros"], SEEDS),
        *product(SPEECH, ["wav2vec2"], METHODS, [""], SEEDS),
        *product(ONCE, ["ast"], METHODS, ["center_cut"], SEEDS[:1]),
        *product(ONCE, ["ast"], UNORDERED, ["zeros"], SEEDS[:1]),
        *product(ONCE, ["wav2vec2"], METHODS, [""], SEEDS[:1]),
    }
    wanted |= {
        *product(["ESC50", "GSC"], ["ast"], NEWER, ["center_cut"], NEWER_SEEDS),
        *product(["GSC"], ["wav2vec2"], NEWER, [""], NEWER_SEEDS),
        *product(SPEECH, ["small-wav2vec2"], HEARD, [""], SEEDS),
    }
    keys = ["dataset", "backbone", "method", "positions", "seed"]
    found = [tuple(row[key] for key in keys) for row in rows]
    assert len(found) == len(wanted) and {*found} == wanted
    numbers = ["accuracy", "trainable_parameters", "seconds", "clips"]
    assert [*rows[0]] == [*keys, *numbers, "data", "commit", "machine"]
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)


@pytest.mark.parametrize("method", ADAPTERS)
def test_adapters_are_well_above_the_linear_probe(method, mean):
    assert mean(method, MEASURED) > mean("linear", MEASURED) + 0.05


@pytest.mark.parametrize("method", ADAPTERS)
def test_adapters_are_well_above_it_on_wav2vec2(method, mean):
    linear = mean("linear", SPEECH, "wav2vec2")
    assert mean(method, SPEECH, "wav2vec2") > linear + 0.05


@pytest.mark.parametrize("method", UNORDERED)
def test_spoken_words_need_positions(method, mean):
    without = mean(method, WORDS, positions="zeros")
    assert mean(method, WORDS) > without + 0.05


@pytest.mark.parametrize(
    ("backbone", "datasets"), [("ast", MEASURED), ("wav2vec2", SPEECH)]
)
def test_soft_moa_is_near_one_adapter_of_its_size(backbone, datasets, mean):
    """Within 5 points; benchmarks/README.md has them."""
    single = mean("bottleneck", datasets, backbone)
    assert mean("soft_moa", datasets, backbone) > single - 0.05


def test_training_lowers_the_error_rates_of_the_frozen_encoders():
    """By a margin where the text says so, and nowhere are they higher."""
    rows = read_csv(ROOT / "results" / "demo_speakers.csv")
    rates = {(r["backbone"], r["method"]): float(r["eer"]) for r in rows}
    assert {method for _, method in rates} - {"untrained"} <= {*SPEAKER_METHODS}
    for (backbone, method), rate in rates.items():
        if method != "untrained":
            assert rate < rates[backbone, "untrained"]
    assert rates["ast", "lora"] < rates["ast", "untrained"] - 0.04
    for method in ("ecapa", "ecapa_partition"):
        assert rates["scratch", method] < rates["scratch", "untrained"] - 0.2


def test_methods_recognise_more_than_the_linear_probe():
    """On test-clean; noise is harder for all of them."""
    rows = read_csv(ROOT / "results" / "demo_speech.csv")
    assert {row["method"] for row in rows} == {*SPEECH_METHODS}
    wer = {r["method"]: float(r["wer"]) for r in rows if r["wer"]}
    assert wer["bottleneck"] < wer["lora"] < wer["linear"] < 1
    (phones,) = (row for row in rows if row["units"] == "phones")
    assert float(phones["per"]) < 0.5 and phones["wer"] == ""
    for row in rows:
        main = float(row["wer"] or row["per"])
        assert main < float(row["other"])
