"""Graphs that are traced, and the programs that classify with them."""
