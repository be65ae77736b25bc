"""Comparison of finished runs: differences with their uncertainty."""

from petl_modules.comparison.comparing import PAGE, compare
from petl_modules.comparison.corrected_t import corrected_t, verdict
from petl_modules.comparison.published import read_published
from petl_modules.comparison.showing import show_comparison

__all__ = [
    "PAGE",
    "compare",
    "corrected_t",
    "read_published",
    "show_comparison",
    "verdict",
]
