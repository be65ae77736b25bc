"""A recipe file: its text, its values and its objects."""

from functools import cached_property

from hyperpyyaml import load_hyperpyyaml, resolve_references

from petl_modules.runs.layering import layer_over_base
from petl_modules.runs.yaml_text import dump_yaml, parse_mapping
from petl_modules.utils import HparamsError, naming, problem


class Values(dict):
    """Values or objects by top-level key; an absent key is the user's error."""

    def __missing__(self, key):
        raise HparamsError(
            f"the recipe file has no key '{key}'. A base of your own needs "
            "all keys of the recipe's ast.yaml: copy that one from there"
        )


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
        return cls(parse_mapping(text, source))

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

    def require(self, form, source):
        """Check the form of some values.

        Arguments
        ---------
        form : dict
            See ``petl_modules.utils.forms``.
        source : str or pathlib.Path
            The file, for the error message.

        Raises
        ------
        HparamsError
            A value has another form.
        """
        if reason := problem(self.settings, form):
            raise HparamsError(f"{source}: {reason}")

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
    with naming("a !ref of the recipe file cannot be resolved"):
        resolved = resolve_references(text).getvalue()
    return Values(parse_mapping(resolved, "the recipe file"))


def _load(text, overrides=None):
    """Make the objects of a text."""
    with naming("an object of the recipe file cannot be made"):
        return Values(load_hyperpyyaml(text, overrides))
