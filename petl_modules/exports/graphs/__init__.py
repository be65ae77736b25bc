"""Graphs that are traced, and the programs that classify with them."""

from petl_modules.exports.graphs.graph import (
    OUTPUTS,
    USE,
    Graph,
    quiet,
    write_example,
)

__all__ = ["Graph", "OUTPUTS", "USE", "quiet", "write_example"]
