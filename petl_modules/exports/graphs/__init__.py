"""Graphs that are traced, and the programs that classify with them."""

from petl_modules.exports.graphs.graph import (
    OUTPUTS,
    USE,
    Graph,
    write_example,
)

__all__ = ["Graph", "OUTPUTS", "USE", "write_example"]
