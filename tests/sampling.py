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
