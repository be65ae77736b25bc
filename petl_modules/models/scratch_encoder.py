"""An encoder that no checkpoint starts: all of it is trained."""

from torch import nn

from petl_modules.models.settings import describe


class ScratchEncoder(nn.Module):
    """A network that maps a clip to one vector, as an encoder of one token.

    It stands where ``TunedEncoder`` stands, for models that are trained whole.

    Arguments
    ---------
    network : callable
        Makes a module with ``embedding_size``, which maps features
        ``[batch, time, ...]`` and relative lengths to ``[batch,
        embedding_size]``: a ``!name:`` entry.

    Example
    -------
    >>> import torch
    >>> from functools import partial
    >>> from petl_modules.speaker_models import EcapaPartition
    >>> encoder = ScratchEncoder(partial(EcapaPartition, channels=64))
    >>> hidden, mask = encoder(torch.rand(2, 100, 80))
    >>> hidden.shape, mask
    (torch.Size([2, 1, 192]), None)
    """

    methods = ()
    layer_sum = None
    train_backbone = "all"
    inserted = {"network": "network"}  # what a checkpoint holds
    trained_weights = {}

    def __init__(self, network):
        super().__init__()
        self._network = describe(network)
        self.network = network()
        self.d_model = self.d_out = self.network.embedding_size

    def forward(self, inputs, lengths=None):
        """Return ``[batch, 1, d_model]``, and no mask."""
        return self.network(inputs, lengths).unsqueeze(1), None

    def settings(self):
        """Return what a checkpoint has to fit, as plain data."""
        return {"backbone": {"network": self._network}, "methods": []}
