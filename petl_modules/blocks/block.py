"""The contract that every block keeps."""

from typing import Protocol

import torch


class Block(Protocol):
    """An adapter module, made as ``block(d_in, d_out=None, *, ...)``.

    ``d_out`` is the width of the output; None: as wide as the input. The
    keyword arguments are the block's own and come from the recipe file. At
    the start the output is zero, so that training starts from the frozen
    model. The residual connection belongs to the method, not to the block.

    Other attributes are optional:

    - ``mergeable = True``: ``merge(weight, bias)`` returns weight and bias of a
      linear layer that computes the same as layer and block;
    - ``reads_layer = True``: ``block(x, layer)`` returns what a linear layer (or
      norm) returns with the block in it, instead of a branch (``DoRA``);
    - ``start_from(weight)`` is called with the weight of the linear layer that
      the block adapts, before training starts (``PiSSA``);
    - ``groupable = True``: the block is ``up_proj(inner(down_proj(x)))``, and
      a mixture may compute many of them at once (see ``GroupedExperts``);
    - ``grid``, of the block or of a module in it: the method sets it to the
      rows and columns of the encoder's patches, and refuses an encoder that
      has none.
    """

    def __call__(self, x, mask=None) -> torch.Tensor:
        """Return the branch of ``x``, ``[batch, time, d_out]``.

        ``mask`` is True for real frames, ``[batch, time]``; padded frames
        must not change the output of the others. None: all are real.
        """
