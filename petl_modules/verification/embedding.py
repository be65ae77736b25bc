"""Embeddings of the windows of clips, in bounded memory."""

from functools import lru_cache

import torch
import torch.nn.functional as F

# Seconds that a model takes in one piece, as attention is quadratic
WHOLE = 160


def embed_windows(model, windows, made_by, features, lengths=None):
    """Return the embeddings of the windows of clips.

    A window of more than ``WHOLE`` seconds, such as a long whole clip, is
    split into equal parts of at most these; the mean of their directions is
    its embedding.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    windows : petl_modules.data.Windows
        Which parts of a clip are used.
    made_by : callable
        Made the features, see ``petl_modules.data.load_features``.
    features : torch.Tensor
        ``[batch, time, ...]``, or ``[batch, windows, time, ...]`` if there
        are several windows.
    lengths : torch.Tensor or None
        Relative lengths, ``[batch]``.

    Returns
    -------
    torch.Tensor
        ``[batch, windows, size]``.
    """
    several = windows.test not in (1, "whole")
    if several or features.shape[1] <= (longest := _steps(made_by)):
        return windows.each(model.embed, features, lengths)
    if lengths is None:
        lengths = torch.ones(len(features))
    return torch.stack(
        [
            _embed_parts(model, clip[: round(len(clip) * length)], longest)
            for clip, length in zip(features, lengths.tolist())
        ]
    ).unsqueeze(1)


@lru_cache(maxsize=8)
def _steps(features):
    """Return how long the features of ``WHOLE`` seconds are."""
    return len(features(torch.zeros(WHOLE * features.sample_rate)))


def _embed_parts(model, clip, longest):
    """Return the mean direction of the parts of a clip, ``[size]``."""
    parts = clip.tensor_split(-(-len(clip) // longest))
    found = [F.normalize(model.embed(part[None]), dim=-1) for part in parts]
    return torch.cat(found).mean(0)
