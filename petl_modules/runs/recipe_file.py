"""Recipe files: reading them, and laying a short one over its base.

A short file (``base: ast.yaml`` and what its method changes) replaces
top-level keys of its base.

Authors
 * The PETL audio recipes team 2026
"""

import difflib
import io
import re
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.error import YAMLError

from petl_modules.utils import HparamsError


def parse_yaml(text, source):
    """YAML with its tags and comments.

    Arguments
    ---------
    text : str
        The text.
    source : str
        Where it is from, for the error.

    Returns
    -------
    object
        What the text holds; mappings as ``ruamel.yaml`` ones.

    Raises
    ------
    HparamsError
        If it is no YAML.
    """
    try:
        return ruamel.yaml.YAML().load(text)
    except YAMLError as error:
        raise HparamsError(f"{source} is no valid YAML: {error}") from error


def dump_yaml(tree):
    """The text of a tree that ``parse_yaml`` gave."""
    stream = io.StringIO()
    ruamel.yaml.YAML().dump(tree, stream)
    return stream.getvalue()


def resolve(text):
    """A recipe file's text with its references put in, as a tree."""
    return parse_yaml(resolve_references(text).getvalue(), "the recipe file")


def one_line_values(text):
    """What a recipe file says, key by key.

    Arguments
    ---------
    text : str
        The file's text.

    Returns
    -------
    dict
        From key to its value on one line, with tags, without comments.

    Example
    -------
    >>> one_line_values("a: 1  # one\\nb: !name:c\\n    d: !ref <a>")
    {'a': '1', 'b': '!name:c d: !ref <a>'}
    """
    values = {}
    for key, node in (
        ruamel.yaml.YAML(typ="safe", pure=True).compose(text).value
    ):
        stream = io.StringIO()
        ruamel.yaml.YAML(typ="safe", pure=True).serialize(node, stream)
        line = " ".join(stream.getvalue().split())
        values[key.value] = line.removesuffix(" ...")
    return values


def make(text, keys):
    """Makes the objects of some keys of a recipe file, and no others.

    Arguments
    ---------
    text : str
        The recipe file's text.
    keys : list of str
        Top-level keys.

    Returns
    -------
    dict
        The objects by key.

    Example
    -------
    >>> make("{a: 0.5, b: !ref <a>, c: !new:no.such.Class {}}", ["a", "b"])
    {'a': 0.5, 'b': 0.5}
    """
    tree = resolve(text)
    return load_hyperpyyaml(dump_yaml({key: tree[key] for key in keys}))


def find_file(name, folders):
    """The first file of that name.

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
    """A question that names the nearest known word, or a full stop."""
    close = difflib.get_close_matches(word, known, n=1)
    return f". Did you mean '{close[0]}'?" if close else "."


def read_mapping(path):
    """A YAML file of keys and values."""
    tree = parse_yaml(path.read_text(encoding="utf-8"), path)
    if not isinstance(tree, dict):
        raise HparamsError(f"{path} is no YAML mapping of keys to values")
    return tree


def merge(path, base=None, folders=(), above=()):
    """A recipe file on top of its base, and that on its own.

    Arguments
    ---------
    path : pathlib.Path
        The file.
    base : str or None
        A complete recipe file to stand at the bottom, instead of the one
        that the files name.
    folders : list of pathlib.Path
        Where bases are looked up, after the file's own folder.
    above : tuple of pathlib.Path
        The files that stand on this one.

    Returns
    -------
    ruamel.yaml.CommentedMap

    Raises
    ------
    HparamsError
        If a file is missing, no YAML mapping or its own base, or if it has
        a key that is neither in the base nor used by a ``!ref``.
    """
    tree = read_mapping(path)
    own = tree.pop("base", None)
    folders_here = [path.parent, *folders]
    if own is not None:
        found = find_file(own, folders_here)
    if base and (own is None or "base" not in read_mapping(found)):
        found, base = find_file(base, folders_here), None
    elif own is None:
        return tree
    above = (*above, path.resolve())
    if found.resolve() in above:
        raise HparamsError(f"{path}: by 'base' it stands on itself")
    merged = merge(found, base, folders, above)
    known = list(merged)
    merged.update(tree)
    text = dump_yaml(merged)
    for key in tree:
        if key not in known and not re.search(rf"<{re.escape(key)}[>\[]", text):
            raise HparamsError(
                f"{path}: the key '{key}' is neither in {found.name} nor used "
                f"by a !ref{nearest(key, known)}"
            )
    return merged
