"""Weights of a finished fold, verified by what its result says of them."""

from petl_modules.models import WEIGHTS, read_trained
from petl_modules.utils import DataError, read_json


def recorded_sha256(folder):
    """Return the digest of a fold's weights that its result has.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.

    Returns
    -------
    str or None
        None: there is no result, or it is of an earlier version.

    Raises
    ------
    DataError
        If the result is damaged.
    """
    file = folder / "result.json"
    if not file.exists():
        return None
    try:
        return read_json(file)["fold"].get("weights_sha256")
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is damaged: it has no fold. Delete it: the same command "
            "makes it again"
        ) from error


def require_weights(folder):
    """Refuse a finished fold whose weights are not those of its result.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.

    Raises
    ------
    UserError
        If the result or the weights are missing, damaged or changed.
    """
    read_trained(folder / WEIGHTS, recorded_sha256(folder))
