"""Lay a short recipe file over its base.

A short file (``base: ast.yaml`` and what its method changes) replaces
top-level keys of its base.
"""

import difflib
import re
from pathlib import Path

from petl_modules.runs.yaml_text import dump_yaml, parse_yaml
from petl_modules.utils import HparamsError


def find_file(name, folders):
    """Return the first file of that name.

    Arguments
    ---------
    name : str
        A file name or path.
    folders : list of pathlib.Path
        Where to look, in this order.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    HparamsError
        If there is none; names the nearest.
    """
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    places = {(folder / name).parent for folder in folders}
    there = sorted({p.name for d in places for p in d.glob("[!.]*.yaml")})
    raise HparamsError(
        f"no file '{name}' in: {', '.join(str(d) for d in folders)}"
        + nearest(Path(name).name, there)
        + (f" Files there: {', '.join(there)}" if there else "")
    )


def nearest(word, known):
    """Return a question that names the nearest known word, or a full stop."""
    close = difflib.get_close_matches(word, known, n=1)
    return f". Did you mean '{close[0]}'?" if close else "."


def read_mapping(path):
    """Read a YAML file of keys and values."""
    tree = parse_yaml(path.read_text(encoding="utf-8"), path)
    if not isinstance(tree, dict):
        raise HparamsError(f"{path} is not a YAML mapping of keys to values")
    return tree


def layer_over_base(path, base=None, folders=(), above=()):
    """Read a recipe file and lay it over its base, and that over its own.

    Arguments
    ---------
    path : pathlib.Path
        The file.
    base : str or None
        A complete recipe file to take as the lowest base, instead of the one
        that the files name.
    folders : list of pathlib.Path
        Where bases are looked up, after the file's own folder.
    above : tuple of pathlib.Path
        The files that have this one as a base.

    Returns
    -------
    ruamel.yaml.CommentedMap

    Raises
    ------
    HparamsError
        If a file is missing, is not a YAML mapping or is its own base, or if
        it has a key that is neither in the base nor used by a ``!ref``.
    """
    tree = read_mapping(path)
    own = tree.pop("base", None)
    places = [path.parent, *folders]
    below = find_file(own, places) if own is not None else None
    if base and (below is None or "base" not in read_mapping(below)):
        below, base = find_file(base, places), None
    if below is None:
        return tree
    above = (*above, path.resolve())
    if below.resolve() in above:
        circle = " -> ".join(file.name for file in (*above, below))
        raise HparamsError(f"{path}: 'base' is circular: {circle}")
    merged = layer_over_base(below, base, folders, above)
    unknown = [key for key in tree if key not in merged]
    known = list(merged)
    merged.update(tree)
    text = dump_yaml(merged) if unknown else ""
    for key in unknown:
        if not re.search(rf"<{re.escape(key)}[>\[]", text):
            raise HparamsError(
                f"{path}: the key '{key}' is neither in {below.name} nor used "
                f"by a !ref{nearest(key, known)}"
            )
    return merged
