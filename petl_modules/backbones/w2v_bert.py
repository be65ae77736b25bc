"""w2v-BERT 2.0 behind the common interface.

https://arxiv.org/abs/2312.05187, section 3.2.1; conformer layers,
https://arxiv.org/abs/2005.08100.
"""

import torch.nn.functional as F
from torch import nn

from petl_modules.backbones.encoder_config import forward_settings
from petl_modules.backbones.masks import in_samples, mask_of_lengths
from petl_modules.backbones.pretrained import (
    ENCODER_ALONE,
    fingerprint,
    load_pretrained,
    refuse_to_save,
)
from petl_modules.backbones.sites import Sites
from petl_modules.blocks import ForwardContext
from petl_modules.utils import HparamsError


class W2vBert(nn.Module):
    """w2v-BERT 2.0, https://arxiv.org/abs/2312.05187.

    SpecAugment and LayerDrop are off, and so is the adapter that some
    checkpoints have behind the layers (``add_adapter``). Padded frames are
    masked: a padded clip equals the clip alone. Prompts are in front of the
    frames, and at that distance; the causal convolutions of the layers mix
    them into the first frames.

    Arguments
    ---------
    source : str
        Hub name or local folder.

    Raises
    ------
    HparamsError
        See ``load_pretrained``; if its positions are not relative to the key
        (``position_embeddings_type: relative_key``).

    Example
    -------
    >>> import tempfile, torch
    >>> from petl_modules.backbones import write_tiny_w2v_bert
    >>> folder = tempfile.mkdtemp() + "/tiny-w2v-bert"
    >>> write_tiny_w2v_bert(folder)
    >>> backbone = W2vBert(folder)
    >>> backbone(torch.rand(2, 49, 160)).shape
    torch.Size([2, 49, 128])
    """

    def __init__(self, source):
        super().__init__()
        self.model = load_pretrained(
            ("wav2vec2-bert",),
            source,
            **ENCODER_ALONE,
        )
        config = self.model.config
        if config.position_embeddings_type != "relative_key":
            raise HparamsError(
                f"{source} has position_embeddings_type "
                f"'{config.position_embeddings_type}', with which prompts have "
                "no place; take one with 'relative_key', e.g. "
                "facebook/w2v-bert-2.0"
            )
        self.settings = {
            "kind": config.model_type,
            "d_model": config.hidden_size,
            "layers": config.num_hidden_layers,
            "weights": fingerprint(self.model),
            "config": forward_settings(config),
        }
        self.sites = Sites(self.model)
        self.context = ForwardContext()
        self.model.save_pretrained = refuse_to_save  # as the others
        for layer in self.model.encoder.layers:
            layer.conv_module.register_forward_pre_hook(
                widen_mask, with_kwargs=True
            )

    def mask(self, inputs, lengths=None):
        """Return the mask of real frames.

        Arguments
        ---------
        inputs : torch.Tensor
            Features ``[batch, frames, features]``.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor or None
            ``[batch, frames]`` bool; of each clip at least one frame.
        """
        if lengths is None:
            return None
        real = in_samples(lengths, inputs).clamp(min=1)
        return mask_of_lengths(real, inputs.shape[1])

    def forward(self, inputs, lengths=None):
        """Return the last hidden states, ``[batch, frames, d_model]``.

        Arguments
        ---------
        inputs : torch.Tensor
            Features ``[batch, frames, features]``, see
            ``petl_modules.data.StackedFilterBank``.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor
            Prompts, if there are any, are in front of the frames.

        Raises
        ------
        HparamsError
            If the features have another width.
        """
        width = self.model.config.feature_projection_input_dim
        if inputs.dim() != 3 or inputs.shape[2] != width:
            raise HparamsError(
                f"features are {tuple(inputs.shape)} (batch, frames, "
                f"features), and this backbone takes {width} for each frame"
            )
        mask = self.mask(inputs, lengths)
        return self.model(inputs, attention_mask=mask).last_hidden_state


def widen_mask(conv, args, kwargs):
    """Let the mask of a convolution cover prompts, which are always real.

    A forward pre-hook.

    Arguments
    ---------
    conv : torch.nn.Module
        The convolution module of a layer.
    args : tuple
        Its first argument: hidden states ``[batch, time, d_model]``.
    kwargs : dict
        ``attention_mask``: ``[batch, frames]`` bool or None.

    Returns
    -------
    tuple
        The arguments to use.
    """
    mask = kwargs.get("attention_mask")
    if mask is None:
        return args, kwargs
    added = args[0].shape[1] - mask.shape[1]
    return args, {"attention_mask": F.pad(mask, (added, 0), value=True)}
