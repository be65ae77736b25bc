"""YAML texts and trees; tags and comments are kept."""

import io

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError

from petl_modules.utils import HparamsError

# HyperPyYAML's first load teaches ruamel.yaml to read "(0.9, 0.98)" as a tuple,
# for the rest of the process. A text that was parsed before would be dumped
# with quotes after it.
load_hyperpyyaml("{a: 1}")


def parse_yaml(text, source):
    """Parse YAML and keep its tags and comments.

    Arguments
    ---------
    text : str
        The text.
    source : str
        Where it is from, for the error.

    Returns
    -------
    object
        The content; mappings as ``ruamel.yaml`` ones.

    Raises
    ------
    HparamsError
        If it is not YAML.
    """
    try:
        return ruamel.yaml.YAML().load(text)
    except YAMLError as error:
        raise HparamsError(f"{source} is not valid YAML: {error}") from error


def dump_yaml(tree):
    """Return the text of a tree that ``parse_yaml`` gave."""
    stream = io.StringIO()
    ruamel.yaml.YAML().dump(tree, stream)
    return stream.getvalue()


def one_line_values(text):
    """Return the value of each key of a recipe file on one line.

    Arguments
    ---------
    text : str
        The file's text.

    Returns
    -------
    dict
        From key to its value, with tags, without comments.

    Raises
    ------
    HparamsError
        If it is no YAML mapping.

    Example
    -------
    >>> one_line_values("a: 1  # one\\nb: !name:c\\n    d: !ref <a>")
    {'a': '1', 'b': '!name:c d: !ref <a>'}
    """
    try:
        root = ruamel.yaml.YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise HparamsError(f"not valid YAML: {error}") from error
    if not isinstance(root, ruamel.yaml.MappingNode):
        raise HparamsError("not a YAML mapping of keys to values")
    values = {}
    for key, node in root.value:
        stream = io.StringIO()
        ruamel.yaml.YAML(typ="safe", pure=True).serialize(node, stream)
        line = " ".join(stream.getvalue().split())
        values[key.value] = line.removesuffix(" ...")
    return values
