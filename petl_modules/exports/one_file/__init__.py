"""``modeling_petl.py``: the part of this package that a model uses."""

from petl_modules.exports.one_file.single_file import (
    NOTES_OF_PIPELINE,
    auto_map_of,
    modeling_file,
)

__all__ = ["NOTES_OF_PIPELINE", "auto_map_of", "modeling_file"]
