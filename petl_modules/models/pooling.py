"""Pooling: from hidden states of any length to one vector a clip."""

import torch
from torch import nn

# Added to the variance: the gradient of its root is finite at 0
EPSILON = 1e-7


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


class MeanStdPooling(nn.Module):
    """Mean and standard deviation of the real tokens, side by side.

    ``[mean, sqrt(variance + 1e-7)]``, with the unbiased variance over time
    (statistics pooling, https://arxiv.org/abs/2211.02227). That of a single
    token is 0.

    Example
    -------
    >>> import torch
    >>> hidden = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> MeanStdPooling()(hidden, torch.tensor([[True, True, False]]))
    tensor([[2.0000, 1.4142]])
    """

    def width(self, d_model):
        """Return the size of the pooled vector."""
        return 2 * d_model

    def forward(self, hidden, mask=None):
        """Return ``[batch, 2 d_model]``; see ``MeanPooling.forward``."""
        if mask is None:
            mask = hidden.new_ones(hidden.shape[:2], dtype=torch.bool)
        weight = mask.unsqueeze(-1)
        count = weight.sum(1)
        mean = (hidden * weight).sum(1) / count
        squares = ((hidden - mean.unsqueeze(1)) * weight).square().sum(1)
        variance = squares / (count - 1).clamp(min=1)
        return torch.cat([mean, (variance + EPSILON).sqrt()], -1)
