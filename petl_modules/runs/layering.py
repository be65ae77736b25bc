"""Layer a short recipe file over its base.

A short file has the key ``base: ast.yaml``, and replaces top-level keys of that
base.
"""

import difflib
import re
from pathlib import Path
from types import NoneType

from petl_modules.runs.yaml_text import dump_yaml, parse_mapping, read_text
from petl_modules.utils import HparamsError, other_kind


def find_file(name, folders):
    """Return the first file of that name.

    Arguments
    ---------
    name : str
        A file name or path.
    folders : list of pathlib.Path
        Folders to search, in this order.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    HparamsError
        If there is no such file, or it is a folder or pipe; suggests the most
        similar name.
    """
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    for folder in folders:
        if kind := other_kind(folder / name):
            raise HparamsError(
                f"{folder / name} is {kind}, not a recipe file such as "
                "hparams/lora.yaml"
            )
    places = {(folder / name).parent for folder in folders}
    there = sorted({p.name for d in places for p in d.glob("[!.]*.yaml")})
    raise HparamsError(
        f"no file '{name}' in: {', '.join(str(d) for d in folders)}"
        + nearest(Path(name).name, there)
        + (f" Files there: {', '.join(there)}" if there else "")
    )


def nearest(word, known):
    """Return a "Did you mean" with the most similar word, or a full stop."""
    close = difflib.get_close_matches(word, known, n=1)
    return f". Did you mean '{close[0]}'?" if close else "."


def read_mapping(path):
    """Read a YAML file of keys and values."""
    return parse_mapping(read_text(path), path)


def layer_over_base(path, base=None, folders=()):
    """Read a recipe file and layer it over its base, recursively.

    A key that a file between this one and the lowest base has declared goes
    where no ``!ref`` uses it any more: a file that takes other methods has
    not the keys of those that it replaces.

    Arguments
    ---------
    path : pathlib.Path
        The file.
    base : str or None
        A complete recipe file that replaces the lowest base.
    folders : list of pathlib.Path
        Folders to search for bases, after the file's own folder.

    Returns
    -------
    ruamel.yaml.CommentedMap

    Raises
    ------
    HparamsError
        If a file is missing, is not a YAML mapping or is its own base, or has
        a key that is neither in the base nor used by a ``!ref``.
    """
    return _layer(path, base, folders, ())[0]


def _layer(path, base, folders, above):
    """Return the merged tree, and the keys that its lowest base has not.

    ``above`` are the files that are layered over this one.
    """
    tree = read_mapping(path)
    own = tree.pop("base", None)
    if not isinstance(own, (str, NoneType)):
        raise HparamsError(f"{path}: 'base' is no file name, such as ast.yaml")
    places = [path.parent, *folders]
    below = find_file(own, places) if own is not None else None
    if base and (below is None or "base" not in read_mapping(below)):
        below, base = find_file(base, places), None
    if below is None:
        return tree, []
    above = (*above, path.resolve())
    if below.resolve() in above:
        circle = " -> ".join(file.name for file in (*above, below))
        raise HparamsError(f"{path}: 'base' is circular: {circle}")
    merged, added = _layer(below, base, folders, above)
    unknown = [key for key in tree if key not in merged]
    known = list(merged)
    place = known.index("methods") if "methods" in known else len(known)
    for key in reversed(unknown):  # keys of a method, next to its other ones
        merged.insert(place, key, None)
    merged.update(tree)
    _drop_unused(merged, [key for key in added if key not in tree])
    text = dump_yaml(merged) if unknown else ""
    for key in unknown:
        if key == "methods" and not _is_used(key, text):
            _refuse_methods(path, below)
        if not _is_used(key, text):
            raise HparamsError(
                f"{path}: the key '{key}' is neither in {below.name} nor used "
                f"by a !ref{nearest(key, known)}"
            )
    return merged, [key for key in (*added, *unknown) if key in merged]


def _refuse_methods(path, base):
    """Raise the error of a method's file over a model without methods."""
    trees = {file: read_mapping(file) for file in base.parent.glob("*.yaml")}
    bases = sorted(
        file.name
        for file, tree in trees.items()
        if "methods" in tree and "base" not in tree
    )
    raise HparamsError(
        f"{path.name} adds methods to a pretrained encoder, and {base.name} "
        f"has none: it trains a model from scratch. Start {base.name} without "
        f"a method's file, or take a base with an encoder: {', '.join(bases)}"
    )


def _drop_unused(tree, keys):
    """Delete those of the keys that no ``!ref`` uses, one after the other."""
    while keys:
        text = dump_yaml(tree)
        unused = [key for key in keys if not _is_used(key, text)]
        if not unused:
            return
        for key in unused:
            del tree[key]
        keys = [key for key in keys if key not in unused]


def _is_used(key, text):
    """Return whether a ``!ref`` in a recipe's text names a key."""
    return re.search(rf"<{re.escape(key)}[>\[]", text) is not None
