"""``modeling_petl.py``: the part of this package that a model uses."""
