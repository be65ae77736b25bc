"""A recipe file: its text, its values and its objects."""

from functools import cached_property

from hyperpyyaml import load_hyperpyyaml, resolve_references

from petl_modules.runs.layering import layer_over_base
from petl_modules.runs.yaml_text import dump_yaml, parse_yaml
from petl_modules.utils import HparamsError, UserError


class RecipeFile:
    """A complete recipe file: its text, its values and its objects.

    Arguments
    ---------
    tree : ruamel.yaml.CommentedMap
        Keys and values, with tags and references, as ``parse_yaml`` gives
        them.

    Example
    -------
    >>> recipe = RecipeFile.parse("{a: 0.5, b: !ref <a>, c: !new:no.Class {}}")
    >>> recipe["b"]
    0.5
    >>> recipe.update({"a": 2})
    >>> recipe.settings["b"]
    2
    """

    def __init__(self, tree):
        self.tree = tree

    @classmethod
    def read(cls, path, base=None, folders=()):
        """Read a file and lay it over its base, see ``layer_over_base``."""
        return cls(layer_over_base(path, base, folders))

    @classmethod
    def parse(cls, text, source="the recipe file"):
        """Parse the text of a complete file; errors name its source."""
        return cls(parse_yaml(text, source))

    @cached_property
    def text(self):
        """The YAML text, references unresolved."""
        return dump_yaml(self.tree)

    @cached_property
    def settings(self):
        """All values by key, references resolved, no objects made."""
        return _resolve(self.text)

    def update(self, values):
        """Replace or add top-level keys.

        Arguments
        ---------
        values : dict
            New values by key.
        """
        self.tree.update(values)
        for cached in ("text", "settings"):
            self.__dict__.pop(cached, None)

    def __getitem__(self, key):
        """Make the object of one key."""
        return self.make([key])[key]

    def make(self, keys):
        """Make the objects of some keys, and no others.

        Arguments
        ---------
        keys : list of str
            Top-level keys.

        Returns
        -------
        dict
            The objects by key.

        Raises
        ------
        UserError
            See ``make_all``.
        """
        return _load(dump_yaml({key: self.settings[key] for key in keys}))

    def make_all(self, **overrides):
        """Make the objects of all keys.

        Arguments
        ---------
        **overrides
            Values of top-level keys that replace those of the file.

        Returns
        -------
        dict
            The objects by key.

        Raises
        ------
        UserError
            If an object cannot be made of the file's values.
        """
        return _load(self.text, overrides)


def _resolve(text):
    """Parse a text and resolve its references."""
    try:
        resolved = resolve_references(text).getvalue()
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise HparamsError(
            f"a !ref of the recipe file cannot be resolved: {_message(error)}"
        ) from error
    return dict(parse_yaml(resolved, "the recipe file"))


def _load(text, overrides=None):
    """Make the objects of a text. Errors of their classes are the user's."""
    try:
        return load_hyperpyyaml(text, overrides)
    except UserError:
        raise
    except (ValueError, ImportError, TypeError) as error:
        raise HparamsError(
            f"an object of the recipe file cannot be made: {_message(error)}"
        ) from error


def _message(error):
    """Return the arguments of an exception as one text."""
    return " ".join(map(str, error.args))
