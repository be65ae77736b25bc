"""Fusion of feature subsets: what each learns of the others.

Our reading of the abstract of https://arxiv.org/abs/2312.03324, which names
the operations, not their sizes: no released code or full text was available.
"""

import torch
import torch.nn.functional as F
from torch import nn

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class PartitionFusion(nn.Module):
    """Add what all subsets have in common to each of them.

    With K subsets x_k of width d: ``z_k = W x_k + b`` (d/2 wide, the same W for
    all subsets), ``m = pool(mean_k z_k)``, ``x_k + BatchNorm([z_k; m])``.
    ``pool`` is the average of three neighbours in each direction, edges and
    padding left out. It is linear, so the mean over subsets comes first.

    Arguments
    ---------
    width : int
        d, the channels of a subset; even.
    dims : int
        1: frames. 2: frames and mels.

    Example
    -------
    >>> fusion = PartitionFusion(64, 1)
    >>> fusion(torch.rand(2, 8, 64, 50)).shape
    torch.Size([2, 8, 64, 50])
    """

    def __init__(self, width, dims):
        super().__init__()
        self.reduce = CONVOLUTIONS[dims](width, width // 2, 1)
        self.norm = NORMS[dims](2 * (width // 2))

    def forward(self, x, mask=None):
        """Fuse subsets.

        Arguments
        ---------
        x : torch.Tensor
            ``[batch, subsets, width, frames, ...]``.
        mask : torch.Tensor or None
            True for real frames, ``[batch, frames]``. None: all are real.

        Returns
        -------
        torch.Tensor
            As ``x``.
        """
        subsets = x.shape[:2]
        own = self.reduce(x.flatten(0, 1)).unflatten(0, subsets)
        common = local_mean(own.mean(1), mask).unsqueeze(1).expand_as(own)
        both = torch.cat([own, common], dim=2).flatten(0, 1)
        return x + self.norm(both).unflatten(0, subsets)


class TacFusion(nn.Module):
    """Transform, average and concatenate, in a narrow form.

    https://arxiv.org/abs/2011.08397. With h = max(d/4, 4):
    ``z_k = ReLU(W x_k + b)`` (h wide), ``q = mean_k z_k``, ``g`` the mean of q
    over the clip, ``x_k + BatchNorm(V [z_k; q; g] + c)``.

    Arguments
    ---------
    width : int
        d, the channels of a subset.
    dims : int
        1: frames. 2: frames and mels.

    Example
    -------
    >>> fusion = TacFusion(64, 1)
    >>> fusion(torch.rand(2, 8, 64, 50)).shape
    torch.Size([2, 8, 64, 50])
    """

    def __init__(self, width, dims):
        super().__init__()
        hidden = max(width // 4, 4)
        self.transform = CONVOLUTIONS[dims](width, hidden, 1)
        self.merge = CONVOLUTIONS[dims](3 * hidden, width, 1)
        self.norm = NORMS[dims](width)

    def forward(self, x, mask=None):
        """Fuse subsets (shapes as in ``PartitionFusion.forward``)."""
        subsets = x.shape[:2]
        own = F.relu(self.transform(x.flatten(0, 1))).unflatten(0, subsets)
        common = own.mean(1, keepdim=True)
        clip = clip_mean(common.squeeze(1), mask).unsqueeze(1)
        parts = [own, common.expand_as(own), clip.expand_as(own)]
        merged = self.merge(torch.cat(parts, dim=2).flatten(0, 1))
        return x + self.norm(merged).unflatten(0, subsets)


def local_mean(x, mask=None):
    """Return the mean of each place and its real neighbours.

    Example
    -------
    >>> x = torch.tensor([[[1.0, 3.0, 8.0, 9.0]]])
    >>> local_mean(x)
    tensor([[[2.0000, 4.0000, 6.6667, 8.5000]]])
    >>> local_mean(x, torch.tensor([[True, True, False, False]]))
    tensor([[[2., 2., 3., 0.]]])
    """
    pool = F.avg_pool1d if x.dim() == 3 else F.avg_pool2d
    if mask is None:
        return pool(x, 3, 1, 1, count_include_pad=False)
    real = _as_wide(mask, x)
    total = pool(x.masked_fill(~real, 0), 3, 1, 1)
    share = pool(real.expand(-1, 1, *x.shape[2:]).to(x.dtype), 3, 1, 1)
    # a share is a multiple of 1/9, or 0 far behind the clip's end
    return total / share.clamp(min=0.1)


def clip_mean(x, mask=None):
    """Return the mean over the real frames of a clip and over mels.

    Example
    -------
    >>> x = torch.tensor([[[1.0, 3.0, 8.0]]])
    >>> clip_mean(x), clip_mean(x, torch.tensor([[True, True, False]]))
    (tensor([[[4.]]]), tensor([[[2.]]]))
    """
    over = tuple(range(2, x.dim()))
    if mask is None:
        return x.mean(over, keepdim=True)
    real = _as_wide(mask, x)
    total = x.masked_fill(~real, 0).mean(over, keepdim=True)
    return total * mask.shape[1] / real.sum(2, keepdim=True)


def _as_wide(mask, x):
    """Return a mask ``[batch, 1, frames, 1 ...]`` for ``x``."""
    return mask.reshape(len(mask), 1, -1, *[1] * (x.dim() - 3))
