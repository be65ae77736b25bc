"""Forms of data: which keys, types and ranges a file must have.

A form is one of:

* ``str``, ``bool``, ``int``, or ``float`` (any finite number); ``None``
* ``range(1, 11)``: a whole number from 1 to 10
* ``re.compile("[a-f]+")``: a text that matches completely
* ``[form]``: a list; ``(form, other)``: either
* ``{"name": form, "name?": form}``: a mapping with these keys, the second one
  optional; further keys are free. ``{str: form}``: any keys, and
  ``{re.compile("test_.*"): form}``: all keys that match, with such values
* ``object``: anything
"""

import re
import sys

WORDS = {
    None: "null",
    bool: "True or False",
    dict: "keys and values",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a text",
}


def problem(value, form):
    """Return where and how a value differs from its form.

    Arguments
    ---------
    value : object
        Plain data, as of a JSON file.
    form : object
        See the head of this file.

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
    if found := _checker(form)(value):
        place, text = found
        return f"{place}: {text}" if place else text
    return None


def _checker(form):
    """Return a function of a value: None, or place and text of a problem.

    It is made once for all values of a form: a manifest has 100,000 records.
    """
    if isinstance(form, dict):
        return _mapping_checker(form)
    if isinstance(form, list):
        return _list_checker(form)
    if isinstance(form, tuple):
        return _either_checker(form)
    return lambda value: None if _fits(value, form) else _other(value, form)


def _other(value, form):
    """Return the problem of a value that has another form, without a place."""
    return "", f"expected {_words(form)}, found {_short(value)}"


def _inside(key, found):
    """Return the problem of a part as one of the whole, in which it has a key."""
    place, text = found
    dot = "." if place and not place.startswith("[") else ""
    return f"{key}{dot}{place}", text


def _mapping_checker(form):
    """Return the ``_checker`` of a mapping."""
    names = [key for key in form if isinstance(key, str)]
    needed = [name for name in names if not name.endswith("?")]
    rules = {name.removesuffix("?"): _checker(form[name]) for name in names}
    patterns = [(key, _checker(form[key])) for key in form if key not in names]

    def find_rule(key):
        for pattern, rule in patterns:
            if pattern is str or pattern.fullmatch(key):
                return rule
        return None  # a free key

    def check(value):
        if not isinstance(value, dict):
            return _other(value, form)
        for name in needed:
            if name not in value:
                return "", f"the key {name!r} is missing"
        for key, part in value.items():
            if not isinstance(key, str):
                return "", f"the key {_short(key)} is no text"
            rule = rules.get(key) or find_rule(key)
            if rule and (found := rule(part)):
                return _inside(key, found)
        return None

    return check


def _list_checker(form):
    """Return the ``_checker`` of a list."""
    rule = _checker(form[0])

    def check(value):
        if not isinstance(value, list):
            return _other(value, form)
        for number, part in enumerate(value):
            if found := rule(part):
                return _inside(f"[{number}]", found)
        return None

    return check


def _either_checker(form):
    """Return the ``_checker`` of several forms."""
    rules = [(one, _checker(one)) for one in form]

    def check(value):
        found = [rule(value) for _, rule in rules]
        if None in found:
            return None
        for (one, _), one_found in zip(rules, found):
            if isinstance(value, (dict, list)) and type(one) is type(value):
                return one_found
        return _other(value, form)

    return check


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
        number = whole or isinstance(value, float)
        return number and abs(value) <= sys.float_info.max  # not inf, nan
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
