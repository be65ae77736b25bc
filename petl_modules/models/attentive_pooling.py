"""Poolings with trained weights of the tokens.

Attention pooling by queries (https://arxiv.org/abs/2506.10178), and attentive
statistics (https://arxiv.org/abs/1803.10963).
"""

import math

import torch
from speechbrain.lobes.models.ECAPA_TDNN import AttentiveStatisticsPooling
from torch import nn

from petl_modules.blocks import MaskedBatchNorm
from petl_modules.utils import HparamsError


class AttentionPooling(nn.Module):
    """Weighted means of the real tokens, one for each trained query.

    A query q weighs the token h of time t by ``softmax_t(q h / sqrt(d_model))``.
    The means stand side by side. All queries start at 0, where each mean is
    that of ``MeanPooling``.

    Arguments
    ---------
    d_model : int
        Size of the hidden states.
    queries : int
        How many weighted means.

    Raises
    ------
    HparamsError
        If ``queries`` is below 1.

    Example
    -------
    >>> pooling = AttentionPooling(2, queries=3)
    >>> hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    >>> pooling(hidden, torch.tensor([[True, True, False]])).tolist()
    [[2.0, 3.0, 2.0, 3.0, 2.0, 3.0]]
    """

    def __init__(self, d_model, *, queries=1):
        super().__init__()
        if queries < 1:
            raise HparamsError(
                f"queries is {queries}: attention pooling needs at least one"
            )
        self.queries = nn.Parameter(torch.zeros(queries, d_model))

    def width(self, d_model):
        """Return the size of the pooled vector."""
        return len(self.queries) * d_model

    def forward(self, hidden, mask=None):
        """Return the pooled vectors.

        Arguments
        ---------
        hidden : torch.Tensor
            Hidden states, ``[batch, time, d_model]``.
        mask : torch.Tensor or None
            True for real tokens, ``[batch, time]``. None: all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, queries * d_model]``.
        """
        queries = self.queries / math.sqrt(hidden.shape[-1])
        scores = queries @ hidden.transpose(1, 2)  # [batch, queries, time]
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(1), -math.inf)
        return (scores.softmax(-1) @ hidden).flatten(1)


class AttentiveStatistics(nn.Module):
    """Concatenate a weighted mean and a weighted standard deviation.

    The weights, one for each token and feature, come from a small network
    that sees the token and the clip's mean and deviation. A norm follows.

    Arguments
    ---------
    d_model : int
        Size of the hidden states.
    channels : int
        Width of the small network.

    Example
    -------
    >>> import torch
    >>> AttentiveStatistics(8, channels=4)(torch.rand(2, 5, 8)).shape
    torch.Size([2, 16])
    """

    def __init__(self, d_model, *, channels=128):
        super().__init__()
        self.attention = AttentiveStatisticsPooling(d_model, channels)
        # SpeechBrain would turn its own into SyncBatchNorm: GPUs only, no mask
        self.attention.tdnn.norm = ChannelsFirstNorm(channels)
        self.norm = nn.LayerNorm(self.width(d_model))

    def width(self, d_model):
        """Return the size of the pooled vector."""
        return 2 * d_model

    def forward(self, hidden, mask=None):
        """Return the pooled vectors.

        Arguments
        ---------
        hidden : torch.Tensor
            Hidden states, ``[batch, time, d_model]``.
        mask : torch.Tensor or None
            True for real tokens, which come first, ``[batch, time]``. None:
            all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, 2 * d_model]``.
        """
        lengths = None
        if mask is not None:
            # Half a token less: rounding must not add one
            lengths = (mask.sum(1) - 0.5) / mask.shape[1]
        self.attention.tdnn.norm.mask = mask
        pooled = self.attention(hidden.transpose(1, 2), lengths)
        self.attention.tdnn.norm.mask = None
        return self.norm(pooled.squeeze(2))


class ChannelsFirstNorm(nn.Module):
    """Batch normalisation of ``[batch, channels, time]`` over real frames.

    Arguments
    ---------
    channels : int
        Number of channels.

    Attributes
    ----------
    mask : torch.Tensor or None
        Of the current batch, see ``AttentiveStatistics.forward``.
    """

    def __init__(self, channels):
        super().__init__()
        self.norm = MaskedBatchNorm(channels)
        self.mask = None

    def forward(self, x):
        """Return ``[batch, channels, time]``."""
        return self.norm(x.transpose(1, 2), self.mask).transpose(1, 2)
