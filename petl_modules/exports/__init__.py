"""Formats that a trained model is written in, one file each.

``to_<format>.py`` has ``write(trained, folder)``: it writes the files of a
trained model into a new folder, and raises ``ExportError`` for a model that the
format cannot carry. What several of these need is in the rooms: ``cards`` (model
cards), ``library`` (classes of transformers, adapters of peft), ``graphs`` (onnx,
pt2) and ``one_file`` (``modeling_petl.py``).
"""

from importlib import import_module

from petl_modules.utils import ExportError

FORMATS = ("petl", "transformers", "peft", "onnx", "pt2", "speechbrain")

__all__ = ["FORMATS", "writer"]


def writer(format):
    """Return the function that writes a format; its libraries are imported.

    Arguments
    ---------
    format : str
        One of ``FORMATS``.

    Returns
    -------
    callable
        ``write(trained, folder)``, with a
        ``petl_modules.inference.trained_model.TrainedModel`` and the
        ``pathlib.Path`` of a folder that is there and empty.

    Raises
    ------
    ExportError
        If a library that the format needs is not installed.
    """
    try:
        return import_module(f"petl_modules.exports.to_{format}").write
    except ModuleNotFoundError as error:
        raise ExportError(
            f"--format {format} needs {error.name}: install the extra 'export' "
            "(in a checkout: python -m pip install -r requirements-export.txt)"
        ) from error
