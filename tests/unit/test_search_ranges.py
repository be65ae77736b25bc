"""Ranges of a search, and searches that cannot be."""

import argparse

import pytest

from petl_modules.sweeps import read_sweep, require_search
from petl_modules.sweeps.ranges import Range, read_range
from petl_modules.utils import UserError

FILE = """
grid: {dataset: [birds], method: [lora], seed: [10, 11]}
search:
    lr: {low: 1.0e-4, high: 1.0e-1, log: True}
output_folder: out
"""


def write(folder, text=FILE):
    (folder / "sweep.yaml").write_text(text)
    return read_sweep(folder / "sweep.yaml")


MISTAKES = {
    "low: 2.0, high: 1.0": "low is not below high",
    "low: 0.0, high: 1.0, log: True": "low above 0",
    "low: 1, high: 9, log: True, step: 2": "no steps",
    "low: 0.0, high: 1.0, step: 0.3": "whole number of steps",
    "low: 0.1, high: 1.0, logg: True": "'logg'.*'log'",
    "low: fast, high: 1.0": "a number",
}


@pytest.mark.parametrize("about", MISTAKES)
def test_mistake_is_named(about, tmp_path):
    text = FILE.replace("low: 1.0e-4, high: 1.0e-1, log: True", about)
    with pytest.raises(UserError, match=f"(?s)search.*lr.*{MISTAKES[about]}"):
        write(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("search:", "search:\n    seed: {low: 1, high: 9}", "in the grid"),
        (
            "[10, 11]",
            "[10, 11], lr: [0.1]",
            "'lr' is in the grid and in search",
        ),
        ("out\n", "out\nset: {all: {lr: 1.0}}\n", "'lr' is in search and in"),
    ],
)
def test_a_key_stands_once(old, new, words, tmp_path):
    with pytest.raises(UserError, match=words):
        write(tmp_path, FILE.replace(old, new))


@pytest.mark.parametrize(
    ("engine", "number", "words"),
    [
        ("print", 3, "engine print does not"),
        ("slurm", 3, "add --wait"),
        ("local", None, "say how many trials"),
        ("local", 0, "at least 1"),
    ],
)
def test_a_search_that_cannot_be(engine, number, words, tmp_path):
    options = argparse.Namespace(search=number, at_once=1, wait=False)
    with pytest.raises(UserError, match=words):
        require_search(write(tmp_path), engine, options)


def test_a_search_needs_ranges(tmp_path):
    text = FILE[: FILE.index("search")] + "output_folder: out\n"
    options = argparse.Namespace(search=3, at_once=1)
    with pytest.raises(UserError, match="needs ranges"):
        require_search(write(tmp_path, text), "local", options)
    options.search = None
    require_search(write(tmp_path, text), "print", options)


def test_values_stay_in_their_range():
    one = Range(0.00012345, 0.1)
    assert one.text_of(0.00012346) == "0.00012345"
    narrow = Range(0.99, 0.9999)  # of which three digits would be few
    assert narrow.text_of(0.995678) == "0.99568"
    assert Range(123456.0, 123999.0).text_of(123789.3) == "123789"
    stepped = read_range({"low": 0.1, "high": 0.4, "step": 0.1}, "")
    assert stepped.text_of(0.1 + 0.2) == "0.3"
    assert 0.3 in stepped and 0.35 not in stepped
