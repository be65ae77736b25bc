"""The top level of a module of this package: what its names stand for."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Key(NamedTuple):
    """A definition: the module that has it, and its name there."""

    module: str
    name: str


class Library(NamedTuple):
    """What an import brings from another package; ``name`` None: all of it."""

    module: str
    name: str | None
    alias: str | None = None


class Value(NamedTuple):
    """A constant of its own: its text, and what the names in it stand for."""

    text: str
    uses: dict


@cache
class Module:
    """The top level of one module.

    Arguments
    ---------
    name : str
        Its dotted name.

    Attributes
    ----------
    lines : list of str
        Its source.
    statements : dict
        From name to the statement that defines it. Calls, such as a
        registration, have a number as their name.
    imports : dict
        From name to ``Library``.
    """

    def __init__(self, name):
        text = Path(find_spec(name).origin).read_text(encoding="utf-8")
        self.lines = text.splitlines(keepends=True)
        self.statements, self.imports = {}, {}
        for node in ast.parse(text).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                self.statements[node.name] = node
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self.statements[getattr(target, "id", None)] = node
            elif isinstance(getattr(node, "value", None), ast.Call):
                self.statements[node.lineno] = node
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self._add_import(node)

    def _add_import(self, node):
        for each in node.names:
            if isinstance(node, ast.ImportFrom):
                found = Library(node.module, each.name, each.asname)
            else:
                found = Library(each.name, None, each.asname)
            local = each.asname or each.name.partition(".")[0]
            self.imports[local] = found
