"""Engine ``print``: one command a line, for any queue."""

import shlex

from petl_modules.utils import (
    UserError,
    printable,
    require_new,
    show,
    write_text,
)

PREPARES = False  # nothing is started, and data are the queue's


def add_options(parser):
    """Declare the options of this engine."""
    parser.add_argument(
        "--commands",
        metavar="FILE",
        help="a new file for the commands; default: the terminal",
    )


def run(cells, options):
    """Print or write the commands; see ``petl_modules.sweeps.engines``.

    Raises
    ------
    UserError
        Data are in archives alone, or a folder's name has a line break.
    """
    for cell in cells:
        if "data_folder" not in cell.options:
            raise UserError(
                f"engine print does not unpack {cell.archives[0]}: name the "
                f"unpacked data of {cell.dataset} under 'data'"
            )
    lines = [
        f"cd {shlex.quote(cell.directory)} && {shlex.join(cell.command)}"
        for cell in cells
    ]
    for cell, line in zip(cells, lines):
        if "\n" in line:  # of a folder's name
            raise UserError(
                f"engine print writes a command a line, and that of "
                f"{printable(str(cell.place))} has several: name folders "
                "without line breaks"
            )
    if options.commands is None:
        for line in lines:
            show(line)
    else:
        file = require_new(options.commands, "--commands")
        write_text(file, "\n".join(lines) + "\n")
    yield from ()
