"""Forms of data: which keys, types and ranges a file must have.

A form is one of:

* ``str``, ``bool``, ``int``, or ``float`` (any finite number); ``None``
* ``range(1, 11)``: a whole number in it; a compiled pattern: a text it matches
* ``[form]``: a list; ``(form, other)``: either
* ``{"name": form, "name?": form}``: a mapping with these keys, the second one
  optional; further keys are free. ``{str: form}``: any keys, and
  ``{re.compile("test_.*"): form}``: all keys that match, with such values
* ``object``: anything
"""

import math
import re

WORDS = {
    None: "null",
    bool: "True or False",
    dict: "keys and values",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a text",
}


def problem(value, form, place=""):
    """Return where and how a value differs from its form.

    Arguments
    ---------
    value : object
        Plain data, as of a JSON file.
    form : object
        See the head of this file.
    place : str
        Where the value is, for the text.

    Returns
    -------
    str or None
        None: it has the form.

    Example
    -------
    >>> form = {"fold": range(1, 11), "draw?": int, str: (float, None)}
    >>> problem({"fold": 3, "loss": None}, form)
    >>> problem({"fold": 3, "loss": "low"}, form)
    "loss: expected a number or null, found 'low'"
    >>> problem({"loss": 0.5}, form)
    "the key 'fold' is missing"
    """
    if isinstance(form, dict) and isinstance(value, dict):
        return _mapping_problem(value, form, place)
    if isinstance(form, list) and isinstance(value, list):
        parts = ((f"{place}[{i}]", part) for i, part in enumerate(value))
        found = (problem(part, form[0], where) for where, part in parts)
        return next(filter(None, found), None)
    if isinstance(form, tuple):
        found = [problem(value, one, place) for one in form]
        if None in found:
            return None
        same = [one for one in form if type(one) is type(value)]
        if same and isinstance(value, (dict, list)):
            return problem(value, same[0], place)
    elif _fits(value, form):
        return None
    text = f"expected {_words(form)}, found {_short(value)}"
    return f"{place}: {text}" if place else text


def _mapping_problem(value, form, place):
    """Return the first problem of a mapping's keys and values."""
    within = f"{place}: " if place else ""
    names = [key for key in form if isinstance(key, str)]
    for name in names:
        if not name.endswith("?") and name not in value:
            return f"{within}the key {name!r} is missing"
    patterns = [key for key in form if not isinstance(key, str)]
    for key, part in value.items():
        if not isinstance(key, str):
            return f"{within}the key {_short(key)} is no text"
        known = [name for name in (key, f"{key}?") if name in names]
        known += [p for p in patterns if p is str or p.fullmatch(key)]
        where = f"{place}.{key}" if place else key
        if known and (found := problem(part, form[known[0]], where)):
            return found
    return None


def _fits(value, form):
    """Return whether a value that is no mapping or list has a form."""
    if form is object:
        return True
    if form is None:
        return value is None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(form, range):
        return whole and value in form
    if isinstance(form, re.Pattern):
        return isinstance(value, str) and bool(form.fullmatch(value))
    if form is float:
        return whole or isinstance(value, float) and math.isfinite(value)
    if form is int:
        return whole
    return isinstance(form, type) and isinstance(value, form)


def _words(form):
    """Return a form in words."""
    if isinstance(form, tuple):
        return " or ".join(map(_words, form))
    if isinstance(form, range):
        return f"a whole number from {form[0]} to {form[-1]}"
    if isinstance(form, re.Pattern):
        return f"a text like {form.pattern}"
    return WORDS[type(form) if isinstance(form, (dict, list)) else form]


def _short(value):
    """Return a value as a text of at most 40 characters or so."""
    for kind in (dict, list):
        if isinstance(value, kind):
            return WORDS[kind]
    text = ascii(value) if isinstance(value, str) else str(value)
    text = text or type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}..."
