"""Values of a sweep file: as words of a command line, and in names."""

import hashlib
import json
import math
import re

from ruamel.yaml.scalarbool import ScalarBoolean

from petl_modules.utils import HparamsError

# A text that YAML reads as itself, without quotes
NAME = re.compile(r"(?!(?i:null|true|false)$)[A-Za-z_][\w.-]*")
LONGEST = 120  # characters of a folder's name


def text_of(value, place):
    """Return a value as the word of a command line that gives it.

    Arguments
    ---------
    value : object
        As YAML gives it: a text, number, True, False, null, or a list or
        mapping of such values.
    place : str
        Where it stands, for the error message.

    Returns
    -------
    str
        Equal numbers have equal texts.

    Raises
    ------
    HparamsError
        It is another object, such as one with a tag; or a text of several
        lines.

    Example
    -------
    >>> text_of(1.0e-3, "lr"), text_of([0, 5], "layers"), text_of("all", "layers")
    ('0.001', '[0, 5]', 'all')
    """
    if not isinstance(value, str):
        return _flow(value, place)
    if not value.isprintable():
        raise HparamsError(
            f"{place} is {value!r}: write it in one line, of what can be read"
        )
    return str(value)


def _flow(value, place):
    """Return a value as YAML in one line."""
    if getattr(getattr(value, "tag", None), "value", None) is not None:
        raise HparamsError(
            f"{place} has a tag, {value.tag.value}: write the value in quotes, "
            "as on a command line"
        )
    if value is None:
        return "null"
    if isinstance(value, (bool, ScalarBoolean)):  # with an anchor
        return str(bool(value))
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        plain = NAME.fullmatch(value)
        return str(value) if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(_flow(part, place) for part in value)}]"
    if isinstance(value, dict):
        parts = [
            f"{_flow(k, place)}: {_flow(v, place)}" for k, v in value.items()
        ]
        return f"{{{', '.join(parts)}}}"
    raise HparamsError(
        f"{place} is {value}: write the value in quotes, as on a command line"
    )


def _number(value):
    """Return a number as YAML 1.2 reads it again."""
    if math.isfinite(value):
        text = f"{value:.12g}"
        if float(text) != value:
            text = repr(float(value))
        return text.replace("e", ".0e") if re.match(r"-?\d+e", text) else text
    return ".nan" if math.isnan(value) else f"{'-' * (value < 0)}.inf"


def folder_part(name, values):
    """Return the name of a folder that tells values.

    Arguments
    ---------
    name : str
        What it begins with.
    values : dict
        Texts by key.

    Returns
    -------
    str
        The keys sorted, without what file systems do not take. A long name is
        cut, and ends with a hash of all of it.

    Example
    -------
    >>> folder_part("lora", {"lr": "0.001", "layers": "[0, 5]"})
    'lora-layers=0,5-lr=0.001'
    """
    parts = [f"-{key}={_safe(values[key])}" for key in sorted(values)]
    text = _safe(name) + "".join(parts)
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(str(sorted(values.items())).encode()).hexdigest()
    return f"{text[: LONGEST - 9]}-{digest[:8]}"


def _safe(text):
    """Return a text without the characters that a name must not have."""
    text = re.sub(r",\s+", ",", text).strip("[]{}")
    return re.sub(r"[^\w.,+@-]+", "_", text, flags=re.ASCII)
