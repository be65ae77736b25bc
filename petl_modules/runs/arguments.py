"""Split a command line into options, and parse their values."""

import re

from petl_modules.runs.yaml_text import parse_yaml
from petl_modules.utils import HparamsError

USAGE = (
    "usage: train.py HPARAMS.yaml [--base BASE.yaml] [--print_hparams] "
    "[--any_key value ...] [SpeechBrain's run options]"
)

# True, False, or a text; a number, or a list of names
OF_TWO_TYPES = ("train_norms", "valid_speakers")


def split_arguments(arguments):
    """Split a command line at its options.

    The forms are ``--key value``, ``--key=value`` (the value may contain
    further ``=``) and ``--flag``.

    Arguments
    ---------
    arguments : list of str
        The command line without the script.

    Returns
    -------
    tuple
        The recipe file, and a dict from option to its list of values.

    Raises
    ------
    HparamsError
        If the recipe file is missing or an option is given twice.

    Example
    -------
    >>> split_arguments(["a.yaml", "--x=1=2", "--folds", "[1,", "3]", "--debug"])
    ('a.yaml', {'x': ['1=2'], 'folds': ['[1,', '3]'], 'debug': []})
    """
    if not arguments or arguments[0].startswith("-"):
        raise HparamsError(f"no recipe file was named\n{USAGE}")
    file, *rest = arguments
    options = {}
    for argument in rest:
        if argument.startswith("--"):
            key, equals, value = argument[2:].partition("=")
            if key in options:
                raise HparamsError(f"--{key} is given twice")
            options[key] = values = [value] if equals else []
        elif options:
            values.append(argument)
        else:
            raise HparamsError(
                f"'{argument}' is no option: write --key value\n{USAGE}"
            )
    return file, options


def read_value(key, given, default):
    """Parse a value of the command line, in the type of its default.

    Arguments
    ---------
    key : str
        The value's key.
    given : list of str
        The words after ``--key``.
    default : object
        The value in the recipe file.

    Returns
    -------
    object

    Raises
    ------
    HparamsError
        If the value is missing, or has another type than the default.
    """
    if not given:
        raise HparamsError(f"--{key} lacks its value")
    text = " ".join(given)
    if isinstance(default, list) and not text.startswith("["):
        text = f"[{', '.join(text.replace(',', ' ').split())}]"
    if key in OF_TWO_TYPES:
        return parse_yaml(text, f"the value of --{key}")
    # A text is not parsed, but for a tag or numbers such as layers [0, 5]
    numbers = re.fullmatch(r"\[\s*\d+(\s*,\s*\d+)*\s*\]", text)
    if isinstance(default, str) and not text.startswith("!") and not numbers:
        if len(given) > 1:
            raise HparamsError(
                f"--{key} takes one value; '{given[1]}' is one too many "
                "(quote values with spaces)"
            )
        return text
    value = parse_yaml(text, f"the value of --{key}")
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        # In a list in brackets, {rank: 2} would be written without its braces
        value.fa.set_block_style()
    kinds = {
        bool: (bool, "True or False"),
        int: (int, "a whole number"),
        float: ((int, float), "a number"),
        list: (list, "a list, such as [1,3]"),
    }
    for kind, (accepted, words) in kinds.items():
        if isinstance(default, kind):
            right = isinstance(value, accepted)
            right &= isinstance(value, bool) == (kind is bool)
            if not right:
                raise HparamsError(f"--{key} takes {words}, not '{text}'")
            break
    return value
