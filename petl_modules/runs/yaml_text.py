"""Parse and dump YAML; tags and comments are kept."""

import io

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError

from petl_modules.utils import HparamsError

# The first load_hyperpyyaml registers a resolver in ruamel.yaml, for the rest
# of the process, that reads "(0.9, 0.98)" as a tuple. A tree that is parsed
# before this call and dumped after it would get quotes around such a value.
load_hyperpyyaml("{a: 1}")


def parse_yaml(text, source):
    """Parse YAML and keep its tags and comments.

    Arguments
    ---------
    text : str
        The text.
    source : str
        Source of the text, for the error message.

    Returns
    -------
    object
        The content; mappings are those of ``ruamel.yaml``.

    Raises
    ------
    HparamsError
        If the text is not YAML.
    """
    try:
        return ruamel.yaml.YAML().load(text)
    except YAMLError as error:
        raise HparamsError(f"{source} is not valid YAML: {error}") from error


def dump_yaml(tree):
    """Return a tree of ``parse_yaml`` as text."""
    stream = io.StringIO()
    ruamel.yaml.YAML().dump(tree, stream)
    return stream.getvalue()


def one_line_values(text):
    """Return the value of each key of a recipe file as one line.

    Arguments
    ---------
    text : str
        The file's text.

    Returns
    -------
    dict
        From key to value, with tags, without comments.

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
