"""Comparison of finished runs: differences with their uncertainty."""

from petl_modules.comparison.comparing import PAGE, compare
from petl_modules.comparison.corrected_t import corrected_t, verdict
from petl_modules.comparison.showing import show_comparison

__all__ = ["PAGE", "compare", "corrected_t", "show_comparison", "verdict"]
