"""Read, parse and dump YAML; tags and comments are kept."""

import io
from itertools import accumulate

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    NodeEvent,
)

from petl_modules.utils import HparamsError, UserError, read_bytes

LONGEST = 1_000_000  # characters
MOST_NODES = 100_000  # keys and values, those that aliases repeat included
DEEPEST = 50  # levels of nesting
BRACKETS = {"[": 1, "{": 1, "]": -1, "}": -1}

# The first load_hyperpyyaml registers a resolver in ruamel.yaml, for the rest
# of the process, that reads "(0.9, 0.98)" as a tuple. A tree that is parsed
# before this call and dumped after it would get quotes around such a value.
load_hyperpyyaml("{a: 1}")


def read_text(path):
    """Return the text of a recipe file.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    str

    Raises
    ------
    DataError
        See ``petl_modules.utils.read_bytes``.
    HparamsError
        It is not UTF-8.
    """
    content = read_bytes(path, "Restore it, or write it again")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HparamsError(f"{path} is not a text in UTF-8: {error}") from error


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
        If the text is not YAML, or too large or deep.

    Example
    -------
    >>> parse_yaml("a: &x [*x]", "short.yaml")
    Traceback (most recent call last):
    petl_modules.utils.errors.HparamsError: short.yaml: the alias *x is part of itself
    """
    return _naming(source, text, lambda: ruamel.yaml.YAML().load(text))


def parse_mapping(text, source):
    """Parse YAML that maps names to values, see ``parse_yaml``."""
    tree = parse_yaml(text, source)
    if not isinstance(tree, dict):
        raise HparamsError(f"{source} is not a YAML mapping of keys to values")
    for key in tree:
        if not isinstance(key, str):
            raise HparamsError(
                f"{source}: the key {key} is no text; write it in quotes"
            )
    return tree


def dump_yaml(tree):
    """Return a tree of ``parse_yaml`` as text."""
    stream = io.StringIO()
    try:
        ruamel.yaml.YAML().dump(tree, stream)
    except Exception as error:  # as when a text is parsed
        raise HparamsError(
            f"the recipe file cannot be written as YAML: {error}"
        ) from error
    return stream.getvalue()


def one_line_values(text, source="the recipe file"):
    """Return the value of each key of a recipe file as one line.

    Arguments
    ---------
    text : str
        The file's text.
    source : str
        Source of the text, for the error message.

    Returns
    -------
    dict
        From key to value, with tags, without comments.

    Raises
    ------
    HparamsError
        If it is no YAML mapping; see ``parse_yaml``.

    Example
    -------
    >>> one_line_values("a: 1  # one\\nb: !name:c\\n    d: !ref <a>", "x.yaml")
    {'a': '1', 'b': '!name:c d: !ref <a>'}
    """
    return _naming(source, text, lambda: dict(_lines(text, source)))


def _lines(text, source):
    """Yield the keys of a mapping, and their values as one line."""
    root = ruamel.yaml.YAML(typ="safe", pure=True).compose(text)
    if not isinstance(root, ruamel.yaml.MappingNode):
        raise HparamsError(f"{source} is not a YAML mapping of keys to values")
    for key, node in root.value:
        stream = io.StringIO()
        ruamel.yaml.YAML(typ="safe", pure=True).serialize(node, stream)
        line = " ".join(stream.getvalue().split())
        # What is left of an empty value is the mark of a document's end
        line = "null" if line == "..." else line.removesuffix(" ...")
        yield str(key.value), line


def _naming(source, text, parse):
    """Parse a text that is not too large; errors of YAML name its source.

    On damaged texts the library raises exceptions of many kinds.
    """
    try:
        _check_size(text, source)
        return parse()
    except UserError:
        raise
    except Exception as error:
        raise HparamsError(
            f"{source} is not valid YAML: {_reason(error)}"
        ) from error


def _reason(error):
    """Return what the library says is wrong, and in which lines."""
    if not isinstance(error, ruamel.yaml.error.MarkedYAMLError):
        return str(error) or type(error).__name__
    parts = (
        (error.context, error.context_mark),
        (error.problem, error.problem_mark),
    )
    return ": ".join(
        f"{text} (line {mark.line + 1})" if mark else text
        for text, mark in parts
        if text
    )


def _check_size(text, source):
    """Refuse a text that is too large or deep, which would take hours."""
    steps = (BRACKETS.get(character, 0) for character in text)
    # The scanner alone takes seconds for thousands of open brackets
    if len(text) > LONGEST or max(accumulate(steps), default=0) > 10 * DEEPEST:
        raise HparamsError(
            f"{source} is too large: it has more than {LONGEST} characters, or "
            f"{10 * DEEPEST} open brackets"
        )
    sizes = {}  # from anchor to number of nodes
    above = []  # anchor and size so far of each collection around a node
    total = 0
    for event in ruamel.yaml.YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, CollectionStartEvent):
            above.append([event.anchor, 1])
            continue
        if isinstance(event, CollectionEndEvent):
            anchor, size = above.pop()
        elif isinstance(event, AliasEvent):
            anchor, size = None, sizes.get(event.anchor, 1)
            if event.anchor in (name for name, _ in above):
                raise HparamsError(
                    f"{source}: the alias *{event.anchor} is part of itself"
                )
        elif isinstance(event, NodeEvent):
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        if above:
            above[-1][1] += size
        total = max(total, size)
        if total > MOST_NODES or len(above) > DEEPEST:
            raise HparamsError(
                f"{source} is too large: it has more than {MOST_NODES} values, "
                f"those of its aliases included, or {DEEPEST} levels"
            )
