"""Packages that a part of the project alone needs."""

from importlib import import_module

from petl_modules.utils.errors import UserError


def require_extra(package, extra):
    """Import a package that an extra of this project brings.

    Arguments
    ---------
    package : str
        Its name.
    extra : str
        The extra's name, which is that of what needs the package.

    Returns
    -------
    module

    Raises
    ------
    UserError
        It is not installed, or does not import.

    Example
    -------
    >>> require_extra("no_such_package", "slurm")
    Traceback (most recent call last):
    petl_modules.utils.errors.UserError: slurm needs the package no_such_package (No module named 'no_such_package'): pip install 'petl_modules[slurm]', in a checkout: python -m pip install -r requirements-slurm.txt
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(
            f"{extra} needs the package {package} ({error}): pip "
            f"install 'petl_modules[{extra}]', in a checkout: python -m pip "
            f"install -r requirements-{extra}.txt"
        ) from error
