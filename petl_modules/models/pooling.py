"""Pooling: from hidden states of any length to one vector a clip."""

from torch import nn


class MeanPooling(nn.Module):
    """Average the real tokens.

    A pooling of another kind has the same two methods: ``width``, and
    ``forward`` with hidden states and mask.

    Example
    -------
    >>> import torch
    >>> hidden = torch.tensor([[[1.0], [3.0], [5.0]]])
    >>> MeanPooling()(hidden)
    tensor([[3.]])
    >>> MeanPooling()(hidden, torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """

    def width(self, d_model):
        """Return the size of the pooled vector."""
        return d_model

    def forward(self, hidden, mask=None):
        """Return the mean over time.

        Arguments
        ---------
        hidden : torch.Tensor
            Hidden states, ``[batch, time, d_model]``.
        mask : torch.Tensor or None
            True for real tokens, ``[batch, time]``. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, d_model]``.
        """
        if mask is None:
            return hidden.mean(1)
        weight = mask.unsqueeze(-1)
        return (hidden * weight).sum(1) / weight.sum(1)
