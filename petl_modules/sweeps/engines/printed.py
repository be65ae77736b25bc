"""Engine ``print``: one command a line, for any queue."""

import shlex

from petl_modules.utils import require_new, show, write_text


def add_options(parser):
    """Declare the options of this engine."""
    parser.add_argument(
        "--commands",
        metavar="FILE",
        help="a new file for the commands; default: the terminal",
    )


def run(cells, options):
    """Print or write the commands; see ``petl_modules.sweeps.engines``."""
    lines = [shlex.join(cell.command) for cell in cells]
    if options.commands is None:
        for line in lines:
            show(line)
    else:
        write_text(require_new(options.commands), "\n".join(lines) + "\n")
    yield from ()
