"""The text of a module: its import statements, and the space between parts."""

import sys


def import_lines(used):
    """Return the import statements of what is used of libraries."""
    whole, parts = [], {}
    for module, name, alias in used:
        end = f" as {alias}" if alias else ""
        if name is None:
            whole.append(f"import {module}{end}\n")
        else:
            parts.setdefault(module, []).append(f"{name}{end}")
    froms = [
        f"from {module} import (\n"
        + "".join(f"    {name},\n" for name in sorted(names))
        + ")\n"
        if len(f"from {module} import {', '.join(names)}") > 80
        else f"from {module} import {', '.join(sorted(names))}\n"
        for module, names in parts.items()
    ]
    own = [line for line in [*whole, *froms] if _is_own(line)]
    others = [line for line in [*whole, *froms] if not _is_own(line)]
    return "".join([*own, "\n" if own else "", *others])


def _is_own(line):
    """Return whether an import is of Python's own library."""
    return line.split()[1].partition(".")[0] in sys.stdlib_module_names


def spaced(parts):
    """Join definitions with the usual empty lines."""
    text, kind = "", "constant"
    for part in parts:
        before, kind = kind, "constant"
        if part.startswith(("class ", "def ", "@")):
            kind = "definition"
        text += "\n\n" if "definition" in (before, kind) else ""
        text += part
    return "\n" + text
