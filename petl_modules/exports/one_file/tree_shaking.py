"""One source file of what is used of several modules of this package.

From a few names, all names that they use are followed through the modules.
Each definition is written once, in an order that works. What nothing reads is
left out: definitions, methods, and attributes that ``__init__`` sets.
"""

import ast
import builtins
import sys

from petl_modules.exports.one_file.file_layout import import_lines, spaced
from petl_modules.exports.one_file.module_names import Key, Library, Module
from petl_modules.exports.one_file.source_text import (
    attributes_read,
    names_used,
    rename,
    trim,
)
from petl_modules.utils import ExportError

PACKAGE = "petl_modules"


class Bundle:
    """The source of a few names and of all that they use.

    Arguments
    ---------
    roots : list of Key
        What is wanted. Of the classes of their modules, everything is kept.
    replaced : dict
        From ``Key`` to the ``Key`` of what is used instead.
    values : dict
        From ``Key`` of a constant to its ``Value`` in the file.
    libraries : tuple of str
        Packages that the file may import, besides Python's own. Decorators of
        others are left out.

    Raises
    ------
    ExportError
        If another package is needed, or a name would stand for two things.
    """

    def __init__(self, roots, *, replaced, values, libraries):
        self.roots, self.replaced, self.values = roots, replaced, values
        self.libraries = libraries
        self.whole = {key.module for key in [*roots, *replaced.values()]}
        read, found = None, set()
        while read != found:
            read = found
            self.texts = self._reach(read)
            found = read.union(*map(attributes_read, self.texts.values()))
        self.uses = {key: self._uses(key) for key in self.texts}

    def __str__(self):
        """The source, without a header."""
        names = self._names()
        parts = []
        for key in self._in_order():
            new = {
                name: names[used]
                for name, used in {**self.uses[key], key.name: key}.items()
                if names.get(used, name) != name
            }
            if new.keys() & names_used(self.texts[key])[1]:
                raise ExportError(f"{key} has a local name of {sorted(new)}")
            parts.append(rename(self.texts[key], new))
        used = {u for uses in self.uses.values() for u in uses.values()}
        used = sorted((u for u in used if isinstance(u, Library)), key=repr)
        return import_lines(used) + spaced(parts)

    def _reach(self, read):
        """Return the texts of all definitions that are used, by ``Key``."""
        self.texts, waiting = {}, list(self.roots)
        while waiting:
            key = waiting.pop()
            self.texts[key] = self._text(key, read)
            used = {*self._uses(key).values()} - self.texts.keys()
            waiting += [use for use in used if isinstance(use, Key)]
            waiting = waiting or [*self._calls(read)]
        return self.texts

    def _calls(self, read):
        """Return the calls in modules that concern what is used of them."""
        calls = {
            Key(module, name)
            for module in {key.module for key in self.texts}
            for name in Module(module).statements
            if isinstance(name, int)
        }
        for call in sorted(calls - self.texts.keys()):
            names = names_used(self._text(call, read))[0]
            used = {self._resolve(call.module, name) for name in names}
            if call.module in self.whole or used & self.texts.keys():
                yield call

    def _text(self, key, read):
        if key in self.values:
            return self.values[key].text
        module = Module(key.module)
        node = module.statements[key.name]
        for decorator in getattr(node, "decorator_list", [])[:]:
            name = ast.unparse(decorator).partition(".")[0].partition("(")[0]
            place = self._resolve(key.module, name)
            if isinstance(place, Library) and not self._allows(place):
                node.decorator_list.remove(decorator)
        return trim(
            module.lines, node, None if key.module in self.whole else read
        )

    def _uses(self, key):
        """Return what the names in a definition stand for."""
        if key in self.values:
            found = {
                name: self._found(place)
                for name, place in self.values[key].uses.items()
            }
        else:
            found = {
                name: self._resolve(key.module, name)
                for name in sorted(names_used(self.texts[key])[0])
                if not hasattr(builtins, name)
            }
        for place in found.values():
            if isinstance(place, Library) and not self._allows(place):
                raise ExportError(
                    f"{key.name} of {key.module} needs {place.module}, and "
                    f"the file can import {', '.join(self.libraries)} alone"
                )
        return found

    def _resolve(self, module, name):
        """Return what a name in a module stands for."""
        while True:
            key = Key(module, name)
            if key in self.replaced:
                return self.replaced[key]
            known = Module(module)
            if name in known.statements:
                return key
            place = known.imports[name]
            if place.module.partition(".")[0] != PACKAGE:
                return place
            module, name = place.module, place.name

    def _found(self, place):
        """Return the definition of what a module of this package imports."""
        if place.module.partition(".")[0] == PACKAGE:
            return self._resolve(place.module, place.name)
        return place

    def _allows(self, place):
        allowed = {*self.libraries, *sys.stdlib_module_names}
        return place.module.partition(".")[0] in allowed

    def _names(self):
        """Return the name that each definition has in the file."""
        taken, names = {}, {}
        for uses in self.uses.values():
            for name, used in uses.items():
                if isinstance(used, Library):
                    if taken.setdefault(name, used) != used:
                        raise ExportError(f"{name} is {used} and {taken[name]}")
        for key in sorted(self.texts, key=lambda key: key not in self.roots):
            if isinstance(key.name, int):
                continue
            name = key.name
            if name in taken:
                name = f"{name}_{key.module.rpartition('.')[2]}"
            if taken.setdefault(name, key) != key:
                raise ExportError(f"{name} is {key} and {taken[name]}")
            names[key] = name
        return names

    def _in_order(self):
        """Return the definitions, those that others need at once first."""
        needs = {}
        for key, uses in self.uses.items():
            modules = {use.module for use in uses.values() if use in self.uses}
            if key.module not in self.whole:
                modules -= self.whole
            needs.setdefault(key.module, set()).update(modules)
        order = []

        def visit(module):
            needed = needs.pop(module, ())
            for other in sorted(needed):
                visit(other)
            if needed != ():
                order.append(module)

        for module in sorted(needs, key=lambda name: name in self.whole):
            visit(module)
        return sorted(
            self.texts,
            key=lambda key: (
                order.index(key.module),
                Module(key.module).statements[key.name].lineno,
            ),
        )
