"""Position embeddings of AST for another number of frames.

The positions stand on a frequency x time grid, token = f * T + t, behind two
rows for the CLS and the distillation token.

Authors
 * The PETL audio recipes team 2026
"""

import torch
import torch.nn.functional as F

POSITIONS = ("center_cut", "interpolate", "zeros")


def fit_positions(positions, grid, columns, mode):
    """Position embeddings for ``columns`` steps in time.

    Arguments
    ---------
    positions : torch.Tensor
        The checkpoint's embeddings, ``[1, 2 + rows * old columns, d_model]``.
    grid : tuple of int
        The checkpoint's (rows, old columns): steps in frequency and time.
    columns : int
        Steps in time that are wanted.
    mode : str
        ``center_cut``: the middle columns, as AST does
        (https://arxiv.org/abs/2104.01778). ``interpolate``: bilinear.
        ``zeros``: no positions at all.

    Returns
    -------
    torch.Tensor
        ``[1, 2 + rows * columns, d_model]``.

    Raises
    ------
    ValueError
        If there is no such mode, if the wanted grid is longer than the
        checkpoint's in ``center_cut``, or if the checkpoint's positions are
        all zero and ``zeros`` was not asked for.

    Example
    -------
    >>> positions = torch.rand(1, 2 + 12 * 101, 768)
    >>> fit_positions(positions, (12, 101), 49, "center_cut").shape
    torch.Size([1, 590, 768])
    """
    if mode not in POSITIONS:
        raise ValueError(
            f"no mode '{mode}' for positions; modes: {', '.join(POSITIONS)}"
        )
    rows, old_columns = grid
    if mode == "zeros":
        shape = (1, 2 + rows * columns, positions.shape[-1])
        return positions.new_zeros(shape)
    if not positions.any():
        raise ValueError(
            "the position embeddings of this checkpoint are all zero: the "
            "model would not know the order of its patches. Load a trained "
            "checkpoint, or say 'positions: zeros' if that is what you want"
        )
    tokens, patches = positions[:, :2], positions[:, 2:]
    patches = patches.unflatten(1, (rows, old_columns))
    if mode == "interpolate":
        patches = F.interpolate(
            patches.permute(0, 3, 1, 2),
            size=(rows, columns),
            mode="bilinear",
            align_corners=False,
        ).permute(0, 2, 3, 1)
    elif columns <= old_columns:
        start = old_columns // 2 - columns // 2
        patches = patches[:, :, start : start + columns]
    else:
        raise ValueError(
            f"the input is {columns} patches long and the checkpoint's "
            f"position grid {old_columns}: nothing to cut from. Shorten "
            "'frames', or say 'positions: interpolate'"
        )
    return torch.cat([tokens, patches.flatten(1, 2)], dim=1)
