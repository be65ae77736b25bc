"""Plain data as values of a recipe file: the way back from ``to_plain``."""

from petl_modules.inference.plain import ARGS, FROZEN, NAME, NEW
from petl_modules.runs.yaml_text import parse_yaml


def tagged(part, source):
    """Return plain data as values of a recipe file, with its tags.

    Arguments
    ---------
    part : object
        See ``petl_modules.inference.plain``.
    source : str
        Of the backbone, which plain data leave out.

    Returns
    -------
    object
        See ``petl_modules.runs.yaml_text.parse_yaml``.

    Example
    -------
    >>> from petl_modules.runs.yaml_text import dump_yaml
    >>> head = {"!name": "torch.nn.Linear", "out_features": 2}
    >>> print(dump_yaml({"head": tagged(head, None)}).strip())
    head: !name:torch.nn.Linear
      out_features: 2
    """
    if isinstance(part, list):
        return [tagged(value, source) for value in part]
    if not isinstance(part, dict):
        return part
    kind = next((key for key in (NEW, NAME) if key in part), None)
    values = {k: tagged(v, source) for k, v in part.items() if k != kind}
    if kind is None:
        return values
    if part[kind] in FROZEN:
        values["source"] = source
    brackets = "[]" if ARGS in values else "{}"
    tree = parse_yaml(f"{kind}:{part[kind]} {brackets}", part[kind])
    tree.fa.set_block_style()
    if ARGS in values:
        tree.extend(values[ARGS])
    else:
        tree.update(values)
    return tree
