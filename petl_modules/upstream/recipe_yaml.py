"""A complete recipe file by the rules of SpeechBrain's repository."""

import io
import re
from itertools import takewhile

import ruamel.yaml

from petl_modules.runs.yaml_text import dump_yaml


def recipe_yaml(tree, header, backbone):
    """Return a merged recipe file as text, below a header.

    Arguments
    ---------
    tree : ruamel.yaml.CommentedMap
        The merged recipe file; its keys are put in order.
    header : str
        A text that begins with the header's comment lines.
    backbone : str
        The backbone in words, for the header.

    Returns
    -------
    str
    """
    lines = [*takewhile(lambda x: x.startswith("#"), header.splitlines())]
    lines[-1:-1] = [
        f"# Data: {tree['dataset']}. Backbone: {backbone}",
        "# Any key can be changed on the command line: --seed 11 --lr 1e-4",
    ]
    _put_in_order(tree)
    tree.ca.comment = None
    yaml, stream = ruamel.yaml.YAML(), io.StringIO()
    yaml.indent(mapping=4, sequence=6, offset=4)
    yaml.dump(tree, stream)
    text = "\n".join([*lines, "", stream.getvalue().strip(), ""])
    return re.sub(r": (true|false)\b", lambda x: x[0].title(), text)


def _put_in_order(tree):
    """Move each key behind those that its value refers to, in place.

    SpeechBrain's check reads line by line: a key is used if a later line has
    a ``!ref`` to it.
    """
    order, seen = [], set()

    def place(key):
        if key in tree and key not in seen:
            seen.add(key)
            for name in re.findall(r"<(\w+)", dump_yaml({key: tree[key]})):
                place(name)
            order.append(key)

    for key in tree:
        place(key)
    for key in order:
        tree.move_to_end(key)
