"""Averages of neighbouring patches, in front of the layers."""

import torch
import torch.nn.functional as F

from petl_modules.utils import HparamsError


def pool_patches(tokens, grid, size):
    """Average neighbouring patches in time.

    All layers compute on fewer tokens. Patches of different frequencies stay
    apart, and so do CLS and distillation token.

    Arguments
    ---------
    tokens : torch.Tensor
        ``[batch, leading + rows * columns, d_model]``, frequency-major.
    grid : tuple of int
        Rows and columns: patches in frequency and in time.
    size : int
        How many patches are averaged; the last of a row may be fewer.

    Returns
    -------
    torch.Tensor
        ``[batch, leading + rows * ceil(columns / size), d_model]``.

    Example
    -------
    >>> tokens = torch.tensor([[[9.0], [1.0], [3.0], [5.0], [2.0], [4.0], [6.0]]])
    >>> pool_patches(tokens, (2, 3), 2).flatten().tolist()
    [9.0, 2.0, 5.0, 3.0, 6.0]
    """
    rows, columns = grid
    leading = tokens.shape[1] - rows * columns
    patches = tokens[:, leading:].unflatten(1, grid).flatten(0, 1)
    pooled = F.avg_pool1d(patches.transpose(1, 2), size, ceil_mode=True)
    pooled = pooled.transpose(1, 2).unflatten(0, (-1, rows)).flatten(1, 2)
    return torch.cat([tokens[:, :leading], pooled], 1)


class PatchPooling:
    """Pool the patches that an AST's embeddings return: their forward hook.

    Arguments
    ---------
    grid, size
        See ``pool_patches``.

    Raises
    ------
    HparamsError
        If there are not so many patches in time.
    """

    def __init__(self, grid, size):
        if type(size) is not int or not 1 <= size <= grid[1]:
            raise HparamsError(
                f"pool_patches is {size}: of {grid[1]} patches in time, 1 (no "
                f"pooling) to {grid[1]} can be averaged"
            )
        self.grid, self.size = grid, size

    def __call__(self, embeddings, args, tokens):
        """Return the pooled tokens; see ``torch.nn.Module``'s hooks."""
        return pool_patches(tokens, self.grid, self.size)

    @property
    def pooled_grid(self):
        """Rows and columns behind the pooling."""
        rows, columns = self.grid
        return rows, -(-columns // self.size)
