"""Files of embeddings, which say what model they are of."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from petl_modules.utils import DataError, write_bytes


def write_embeddings(path, vectors, run):
    """Write embeddings, in safetensors format.

    Arguments
    ---------
    path : pathlib.Path
        The file: ``embeddings``, float32 of shape [files, size], and in its
        metadata the files' names and the model's SHA-256.
    vectors : dict
        A unit vector for each file.
    run : petl_modules.inference.trained_model.TrainedModel
        The run that made them.
    """
    about = {
        "files": json.dumps([*vectors]),
        "weights_sha256": run.weights_sha256,
    }
    stacked = np.stack([*vectors.values()]).astype(np.float32)
    write_bytes(Path(path), save({"embeddings": stacked}, about))


def read_embeddings(*paths):
    """Read files of embeddings, all of one model.

    Arguments
    ---------
    *paths : str or pathlib.Path
        Files that ``write_embeddings`` wrote.

    Returns
    -------
    dict
        A unit vector for each audio file, float32 of shape [size].

    Raises
    ------
    DataError
        A file cannot be read, is of another model than the first, whose
        embeddings cannot be compared with its own, or has an audio file of
        another one.
    """
    vectors, models, places = {}, {}, {}
    for path in paths:
        try:
            with safe_open(str(path), "np") as file:
                about = file.metadata()
                rows = file.get_tensor("embeddings")
            names = json.loads(about["files"])
            models[path] = about["weights_sha256"]
        except (SafetensorError, OSError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} cannot be read as embeddings: {error}. "
                "python -m petl_modules.embed writes such files"
            ) from error
        if models[path] != models[paths[0]]:
            raise DataError(
                f"{path} holds embeddings of another model than {paths[0]}: "
                "their directions cannot be compared. Embed all files by one "
                "run"
            )
        for name in names:
            if name in vectors:
                raise DataError(
                    f"{places[name]} and {path} both have an embedding of "
                    f"{name}: leave one out, or embed the file under another "
                    "name"
                )
            places[name] = path
        vectors.update(zip(names, rows))
    return vectors
