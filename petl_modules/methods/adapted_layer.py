"""The wrapper that holds a block which computes a layer anew."""

from petl_modules.methods.adapted import Adapted
from petl_modules.utils import HparamsError


class AdaptedLayer(Adapted):
    """A frozen linear layer or norm, computed by a block that reads it.

    Arguments
    ---------
    base : torch.nn.Module
        The layer.
    block : torch.nn.Module
        Called as ``block(hidden states, layer)``; it returns what the layer
        returns with the block in it.
    context : petl_modules.blocks.ForwardContext or None
        Not used.

    Raises
    ------
    HparamsError
        If the layer has no weight: another method has wrapped it.

    Example
    -------
    >>> import torch
    >>> from petl_modules.blocks import DoRA
    >>> base = torch.nn.Linear(64, 64)
    >>> adapted = AdaptedLayer(base, DoRA(64))
    >>> x = torch.rand(2, 5, 64)
    >>> torch.equal(adapted(x), base(x))
    True
    """

    def __init__(self, base, block, context=None):
        super().__init__(base, block, context)
        if not self.mergeable:
            raise HparamsError(
                f"{type(block).__name__} reads the weight of a linear layer or "
                "norm, and another method has put a block there that is in no "
                "weight: name that method behind this one"
            )

    def forward(self, hidden_states):
        """Return the layer's output, ``[batch, time, d_out]``.

        Arguments
        ---------
        hidden_states : torch.Tensor
            ``[batch, time, d_in]``.
        """
        if self.merged:
            return self.base(hidden_states)
        return self.block(hidden_states, self.base)
