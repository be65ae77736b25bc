"""Edit the text of definitions: keep its comments and its layout."""

import ast
import re
import symtable
from functools import cache

# What is raised where an argument is refused
REFUSALS = ("HparamsError", "ValueError")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Methods that others call: those of Python, and of torch.nn.Module
CALLED = re.compile(r"__\w+__|forward|train")


@cache
def names_used(text):
    """Return the global names that a text uses, and those that it binds.

    Arguments
    ---------
    text : str
        Statements of a module.

    Returns
    -------
    tuple of set
        Names that must come from elsewhere in the module (or are Python's
        own), and local names of functions.

    Example
    -------
    >>> used, local = names_used("def f(x):\\n    y = g(x)\\n    return y\\n")
    >>> sorted(used), sorted(local)
    (['g'], ['x', 'y'])
    """
    top = symtable.symtable(text, "definition", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned()}
    used, local, tables = set(), set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if symbol.is_global() or table is top:
                used |= {name} if symbol.is_referenced() else set()
            elif table.get_type() != "class":
                local.add(name)
    return used - bound, local


@cache
def attributes_read(text):
    """Return the attributes that a text reads, also by ``getattr``.

    Example
    -------
    >>> sorted(attributes_read("self.a = x.b\\nhasattr(x, 'c')"))
    ['b', 'c']
    """
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            if not isinstance(node.ctx, ast.Store):
                found.add(node.attr)
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            name, literal = getattr(node.func, "id", None), node.args[1]
            if name in ("getattr", "hasattr"):
                found.add(getattr(literal, "value", None))
    return found


def trim(lines, node, read=None):
    """Return a definition without what a trained model does not need.

    Of docstrings the first line is kept.

    Arguments
    ---------
    lines : list of str
        The lines of its module.
    node : ast.stmt
        The definition.
    read : set or None
        The attributes that are read: of a class, methods of other names are
        left out, and so are other attributes that ``__init__`` sets; and so
        are checks of arguments outside of ``forward``, which the training has
        passed. None: all are kept.

    Returns
    -------
    str
    """
    lines = list(lines)
    for each in ast.walk(node):
        if isinstance(each, (ast.ClassDef, *FUNCTIONS)):
            _shorten_docstring(lines, each)
    if read is not None:
        needless = [*_unread(node, read), *_checks(node)]
        for statement in needless:
            _remove(lines, statement)
        for each in ast.walk(node):
            if isinstance(each, FUNCTIONS) and {*each.body} <= {*needless}:
                place = each.body[-1]
                lines[place.end_lineno - 1] = " " * place.col_offset + "pass\n"
    first = _first_line(node)
    text = "".join(lines[first - 1 : node.end_lineno])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def rename(text, names):
    """Return a text with other global names.

    Arguments
    ---------
    text : str
        Statements of a module.
    names : dict
        From old to new name.

    Example
    -------
    >>> rename("def f():\\n    return g", {"f": "f_2", "g": "g_2"})
    'def f_2():\\n    return g_2'
    """
    places = []
    for node in ast.walk(ast.parse(text)):
        name = getattr(node, "id", None) or getattr(node, "name", None)
        if isinstance(node, (ast.Name, ast.ClassDef, *FUNCTIONS)):
            if name in names:
                places.append((node.lineno, node.col_offset, name))
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for number, start, name in sorted(places, reverse=True):
        line = lines[number - 1]
        word = re.compile(rb"\b%s\b" % name.encode()).search(line, start)
        front, back = line[: word.start()], line[word.end() :]
        lines[number - 1] = front + names[name].encode() + back
    return b"".join(lines).decode()


def _unread(node, read):
    """Yield the statements of a class that nothing needs."""
    if not isinstance(node, ast.ClassDef):
        return
    for member in node.body:
        if not isinstance(member, FUNCTIONS):
            continue
        if not CALLED.fullmatch(member.name) and member.name not in read:
            yield member
        elif member.name == "__init__":
            yield from (s for s in member.body if _sets_unread(s, read))


def _sets_unread(statement, read):
    """Return whether a statement sets an attribute that nothing reads."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) > 1:
        return False
    (target,) = statement.targets
    return (
        isinstance(target, ast.Attribute)
        and getattr(target.value, "id", None) == "self"
        and target.attr not in read
    )


def _checks(node):
    """Yield statements that do nothing but raise an error."""
    if getattr(node, "name", None) == "forward":
        return
    for statement in getattr(node, "body", ()):
        if _is_check(statement) and not isinstance(statement, ast.Raise):
            yield statement
        else:
            yield from _checks(statement)


def _is_check(node):
    """Return whether a statement only refuses an argument."""
    if isinstance(node, ast.Raise):
        return getattr(getattr(node.exc, "func", None), "id", None) in REFUSALS
    if not isinstance(node, (ast.If, ast.For)) or node.orelse:
        return False
    return all(map(_is_check, node.body))


def _first_line(node):
    return min([node.lineno, *(d.lineno for d in _decorators(node))])


def _decorators(node):
    return getattr(node, "decorator_list", [])


def _remove(lines, node):
    """Remove a statement, with comments directly above it."""
    first = _first_line(node) - 1
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    for number in range(first, node.end_lineno):
        lines[number] = ""


def _shorten_docstring(lines, node):
    """Leave the first line of a docstring."""
    if ast.get_docstring(node) is None:
        return
    place = node.body[0]
    first, last = place.lineno - 1, place.end_lineno - 1
    if first == last:
        return
    lines[first] = lines[first].rstrip() + '"""\n'
    for number in range(first + 1, last + 1):
        lines[number] = ""
