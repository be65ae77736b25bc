"""Run one cell: start its command, and leave what became of it in files."""

BUSY = 75  # exit code of a cell that another process is at (EX_TEMPFAIL)


def run_cell(cell):
    """Run a cell: start its command line and wait for its end.

    A finished cell is left as it is. A failed one is tried again, and resumes
    from its last checkpoint. The output is appended to ``output.txt`` in the
    cell's folder.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell.

    Returns
    -------
    int
        0: it is finished. ``BUSY``: another process is at it. Else the
        command's exit code (below 0: the signal that ended it), and
        ``error.json`` says why.
    """
    raise NotImplementedError
