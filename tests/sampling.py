"""Tables of cases of which ``make test`` runs a fixed sample."""

import pytest


def sample(cases, kept):
    """Return the cases of a test; those that are not kept are ``whole``.

    Arguments
    ---------
    cases : list
        Arguments of a test: values, or tuples of them.
    kept : callable or list
        Which of them ``make test`` runs, too.

    Returns
    -------
    list
        For ``pytest.mark.parametrize``.
    """
    is_kept = kept if callable(kept) else kept.__contains__
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[] if is_kept(case) else [pytest.mark.whole],
        )
        for case in cases
    ]


def off_the_diagonals(items):
    """Return the tests that a covering sample of their table leaves out.

    The mark ``covering`` names two parameters of a test, the rows and the
    columns of its table. Of each row one column is kept: another one in the
    next row, and in the next test.

    Arguments
    ---------
    items : list of pytest.Item
        All that were collected.

    Returns
    -------
    set of pytest.Item
    """
    tables = {}
    for item in items:
        mark = item.get_closest_marker("covering")
        params = getattr(item, "callspec", None) and item.callspec.params
        if mark and params and {*mark.args} <= params.keys():
            test = item.nodeid.partition("[")[0]
            rows, columns, places = tables.setdefault(test, ({}, {}, {}))
            row, column = (repr(params[name]) for name in mark.args)
            places[item] = (
                rows.setdefault(row, len(rows)),
                columns.setdefault(column, len(columns)),
            )
    return {
        item
        for test, (_, columns, places) in tables.items()
        for item, (row, column) in places.items()
        if (row + len(test) - column) % len(columns)
    }
