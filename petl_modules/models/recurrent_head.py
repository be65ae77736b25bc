"""A recurrent head, which reads all frames of a clip."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class RecurrentHead(nn.Module):
    """A linear layer, bidirectional LSTMs, and the outputs of each frame.

    The head of recognition in SUPERB, https://arxiv.org/abs/2105.01051. What
    a frame gives is that of the clip alone, whatever its batch.

    Arguments
    ---------
    d_in : int
        Width of the input.
    out_features : int
        Number of outputs.
    width : int
        Width of the linear layer, and of the LSTMs in each direction.
    layers : int
        Number of LSTMs.
    dropout : float
        Between them.

    Example
    -------
    >>> head = RecurrentHead(768, out_features=29, width=16)
    >>> mask = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
    >>> head(torch.rand(2, 9, 768), mask).shape
    torch.Size([2, 9, 29])
    """

    takes_mask = True

    def __init__(
        self, d_in, *, out_features, width=1024, layers=2, dropout=0.2
    ):
        super().__init__()
        self.projection = nn.Linear(d_in, width)
        self.recurrent = nn.LSTM(
            width,
            width,
            layers,
            batch_first=True,
            dropout=dropout,
            bidirectional=True,
        )
        self.output = nn.Linear(2 * width, out_features)

    def forward(self, x, mask=None):
        """Return the outputs of each frame.

        Arguments
        ---------
        x : torch.Tensor
            ``[batch, time, d_in]``.
        mask : torch.Tensor or None
            True for real frames, which come first, ``[batch, time]``. None:
            all are real.

        Returns
        -------
        torch.Tensor
            ``[batch, time, out_features]``.
        """
        frames = x.shape[1]
        counts = torch.full((len(x),), frames)
        if mask is not None:
            counts = mask.sum(1).cpu()
        packed = pack_padded_sequence(
            self.projection(x), counts, batch_first=True, enforce_sorted=False
        )
        states, _ = self.recurrent(packed)
        states, _ = pad_packed_sequence(
            states, batch_first=True, total_length=frames
        )
        return self.output(states)
