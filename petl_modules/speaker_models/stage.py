"""A stage of a model, applied to each feature subset."""

import torch
from torch import nn

from petl_modules.utils import HparamsError

WEIGHTS = ("shared", "separate")


class PartitionStage(nn.Module):
    """Fuse subsets, then apply a block of their width to each.

    Arguments
    ---------
    make_block : callable
        Returns a block, ``[batch, width, frames, ...]`` to
        ``[batch, width_out, frames, ...]``.
    make_fusion : callable
        Returns a fusion as ``PartitionFusion``; one subset has none.
    subsets : int
        Number of subsets.
    weights : str
        ``shared``: one block, all subsets are rows of its batch.
        ``separate``: a block for each subset.

    Example
    -------
    >>> from functools import partial
    >>> block = partial(nn.Conv1d, 8, 16, 1)
    >>> stage = PartitionStage(block, nn.Identity, 1, "shared")
    >>> stage(torch.rand(2, 1, 8, 50)).shape
    torch.Size([2, 1, 16, 50])
    """

    def __init__(self, make_block, make_fusion, subsets, weights):
        super().__init__()
        copies = 1 if weights == "shared" else subsets
        self.fusion = make_fusion() if subsets > 1 else None
        self.blocks = nn.ModuleList(make_block() for _ in range(copies))

    def forward(self, x, mask=None):
        """Return ``[batch, subsets, width_out, frames, ...]``.

        Arguments
        ---------
        x : torch.Tensor
            ``[batch, subsets, width, frames, ...]``.
        mask : torch.Tensor or None
            True for real frames, ``[batch, frames]``. None: all are real.

        Returns
        -------
        torch.Tensor
        """
        if self.fusion is not None:
            x = self.fusion(x, mask)
        if len(self.blocks) == 1:
            return self.blocks[0](x.flatten(0, 1)).unflatten(0, x.shape[:2])
        subsets = zip(self.blocks, x.unbind(1))
        return torch.stack([block(part) for block, part in subsets], dim=1)


def check_choice(key, value, choices):
    """Raise an error for a value that is none of the choices.

    Raises
    ------
    HparamsError
    """
    if value not in choices:
        raise HparamsError(
            f"'{key}' is {value!r}; choices: {', '.join(choices)}"
        )


def check_divides(subsets, multiple, **sizes):
    """Raise an error if subsets of a size would not fit their layers.

    Arguments
    ---------
    subsets : int
        Number of subsets.
    multiple : int
        What the width of a subset must be a multiple of.
    **sizes : int
        The sizes to divide, by name.

    Raises
    ------
    HparamsError

    Example
    -------
    >>> check_divides(3, 1, channels=512)
    Traceback (most recent call last):
    petl_modules.utils.errors.HparamsError: 'subsets' is 3: 512 channels do not \
divide into 3 subsets whose width is a multiple of 1
    """
    for name, size in sizes.items():
        if subsets < 1 or size % (subsets * multiple):
            raise HparamsError(
                f"'subsets' is {subsets}: {size} {name.replace('_', ' ')} do "
                f"not divide into {subsets} subsets whose width is a multiple "
                f"of {multiple}"
            )
