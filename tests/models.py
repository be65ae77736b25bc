"""Models as the classification recipes put them together."""

from functools import partial

from torch import nn

from petl_modules.models import MeanPooling, TunedEncoder, TunedModel


def classifier(backbone, labels, methods=(), *, pooling="all", **settings):
    """Return a tuned encoder with mean pooling and a linear head.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``.
    labels : list of str
        Class names.
    methods : list
        What is inserted.
    pooling : str
        The tokens that are averaged.
    **settings : object
        Others of ``TunedEncoder``.

    Returns
    -------
    petl_modules.models.TunedModel
    """
    encoder = TunedEncoder(backbone, methods, tokens=pooling, **settings)
    head = partial(nn.Linear, out_features=len(labels))
    return TunedModel(encoder, head, MeanPooling(), {"labels": list(labels)})
