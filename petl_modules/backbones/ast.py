"""Audio Spectrogram Transformer (AST) behind the common interface.

https://arxiv.org/abs/2104.01778
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import ASTConfig

from petl_modules.backbones.encoder_config import forward_settings
from petl_modules.backbones.pretrained import fingerprint, load_pretrained
from petl_modules.backbones.sites import Sites
from petl_modules.blocks import ForwardContext
from petl_modules.utils import HparamsError

POSITIONS = ("center_cut", "interpolate", "zeros")


class AST(nn.Module):
    """Audio Spectrogram Transformer, https://arxiv.org/abs/2104.01778.

    Arguments
    ---------
    source : str
        Hub name or local folder.
    frames : int
        Length of the spectrograms in frames of 10 ms.
    positions : str
        ``center_cut``, ``interpolate`` or ``zeros``, see
        ``petl_modules.backbones.ast``.

    Raises
    ------
    HparamsError
        See ``load_pretrained`` and ``fit_positions``; if ``frames`` is shorter
        than one patch.

    Example
    -------
    >>> import tempfile
    >>> from petl_modules.backbones import write_tiny_ast
    >>> folder = tempfile.mkdtemp() + "/tiny-ast"
    >>> write_tiny_ast(folder)
    >>> backbone = AST(folder, frames=100)
    >>> backbone(torch.rand(2, 100, 128)).shape
    torch.Size([2, 50, 128])
    """

    def __init__(self, source, frames, positions="center_cut"):
        super().__init__()
        self.model = load_pretrained((ASTConfig.model_type,), source)
        config, embeddings = self.model.config, self.model.embeddings
        if frames < config.patch_size:
            raise HparamsError(
                f"frames is {frames}: a patch alone is {config.patch_size} long"
            )
        self.settings = {
            "kind": config.model_type,
            "d_model": config.hidden_size,
            "layers": config.num_hidden_layers,
            "weights": fingerprint(self.model),
            "config": forward_settings(config),
            "frames": frames,
            "positions": positions,
        }
        grid = embeddings.get_shape(config)
        config.max_length = frames
        columns = embeddings.get_shape(config)[1]
        embeddings.position_embeddings = nn.Parameter(
            fit_positions(
                embeddings.position_embeddings.data, grid, columns, positions
            )
        )
        self.sites = Sites(self.model, grid=(grid[0], columns))
        self.context = ForwardContext()

    def mask(self, inputs, lengths=None):
        """Return None, no mask: AST pads with silence, and sees it."""
        return None

    def forward(self, inputs, lengths=None):
        """Return the hidden states behind the final norm.

        Arguments
        ---------
        inputs : torch.Tensor
            Normalised log-mel spectrograms ``[batch, frames, mel]``.
        lengths : None
            Not used. Other backbones mask padded frames.

        Returns
        -------
        torch.Tensor
            ``[batch, tokens, d_model]``: CLS, distillation token or prompts,
            patches (frequency-major).

        Raises
        ------
        HparamsError
            If the spectrograms have another size.
        """
        config = self.model.config
        wanted = (config.max_length, config.num_mel_bins)
        if inputs.shape[1:] != wanted:
            raise HparamsError(
                f"spectrograms are {tuple(inputs.shape[1:])} (frames, mel "
                f"bins), and this backbone takes {wanted}"
            )
        return self.model(inputs).last_hidden_state


def fit_positions(positions, grid, columns, mode):
    """Return position embeddings for ``columns`` steps in time.

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
    HparamsError
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
        raise HparamsError(
            f"no mode '{mode}' for positions; modes: {', '.join(POSITIONS)}"
        )
    rows, old_columns = grid
    if mode == "zeros":
        shape = (1, 2 + rows * columns, positions.shape[-1])
        return positions.new_zeros(shape)
    if not positions.any():
        raise HparamsError(
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
        raise HparamsError(
            f"the input is {columns} patches long and the checkpoint's "
            f"position grid {old_columns}: nothing to cut from. Shorten "
            "'frames', or say 'positions: interpolate'"
        )
    return torch.cat([tokens, patches.flatten(1, 2)], dim=1)
