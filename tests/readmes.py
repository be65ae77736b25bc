"""Rows of the READMEs' tables of recipe files: numbers that tests compare."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def row_of(stem, readme):
    """The cells of a recipe file's row, by column; fails if there is no row."""
    header = []
    for line in readme.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif f"`{stem}.yaml`" in re.split(", ", cells[0]):
            return dict(zip(header, cells))
    pytest.fail(
        f"{stem}.yaml: add its row to the table of files in "
        f"{readme.relative_to(ROOT)}"
    )
