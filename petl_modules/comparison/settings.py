"""Settings in which runs differ, found without parsing thousands of files."""

import re
from functools import lru_cache

from petl_modules.runs.run_folder import FREE_KEYS
from petl_modules.runs.yaml_text import one_line_values
from petl_modules.utils import UserError

# Keys with columns of their own, or that follow from others
KNOWN = {
    *("dataset", "method", "seed", "__set_seed", "backbone_name", "protocol"),
    *("fold", "labels"),
}
ABSENT = "-"
START = re.compile(r"\n(?=[^\s#-])")  # of a key, but for the first


def keys_of(text):
    """Return the text of each key of a run's merged recipe file.

    Arguments
    ---------
    text : str
        The file's text, as ``petl_modules.runs.yaml_text.dump_yaml`` gives it:
        a key stands at the start of its line, and its value is indented.

    Returns
    -------
    dict
        From key to its lines, comments included.

    Example
    -------
    >>> keys_of("# note\\nlr: 0.1\\nat:\\n- query\\nseed: 1\\n")
    {'lr': 'lr: 0.1', 'at': 'at:\\n- query'}
    """
    texts = START.split("\n" + text)[1:]
    found = {part.partition(":")[0]: part.rstrip() for part in texts}
    return {
        key: part
        for key, part in found.items()
        if key not in KNOWN and key not in FREE_KEYS
    }


@lru_cache(1 << 16)
def value_of(part):
    """Return the value of a key's text as one line; equal numbers are equal.

    Example
    -------
    >>> value_of("lr: 1.0e-3   # of all parts"), value_of("at:\\n- query")
    ('0.001', '- query')
    """
    if part is None:
        return ABSENT
    key = part.partition(":")[0]
    try:
        value = one_line_values(part)[key]
    except (UserError, KeyError):  # an alias of another key, for one
        return " ".join(part.split())
    if value.lower() in ("true", "false"):
        return value.capitalize()
    try:
        return f"{float(value):.12g}"
    except ValueError:
        return value


class Settings:
    """Settings of runs of the same kind, as differences from the first one.

    Ten thousand runs of a sweep then take no more room than what they differ
    in.
    """

    def __init__(self):
        self.first = {}  # by kind
        self.texts = {}  # each text once

    def add(self, kind, text):
        """Keep the settings of a run.

        Arguments
        ---------
        kind : object
            Runs of one kind are compared: such as those of one method.
        text : str
            See ``keys_of``.

        Returns
        -------
        dict
            The text of each key in which the run differs from the first of
            its kind; None where it has not that key.
        """
        found = keys_of(text)
        first = self.first.setdefault(kind, found)
        return {
            key: self.texts.setdefault(found.get(key), found.get(key))
            for key in {**first, **found}
            if first.get(key) != found.get(key)
        }

    def value(self, kind, differences, key):
        """Return the value of a key of a run, as one line."""
        if key in differences:
            return value_of(differences[key])
        return value_of(self.first[kind].get(key))

    def varying(self, kind, runs):
        """Return the keys that have several values.

        Arguments
        ---------
        kind : object
            See ``add``.
        runs : list of dict
            The differences of runs of this kind.

        Returns
        -------
        list of str
            Sorted.
        """
        keys = sorted(set().union(*runs))
        return [
            key
            for key in keys
            if len({self.value(kind, run, key) for run in runs}) > 1
        ]
