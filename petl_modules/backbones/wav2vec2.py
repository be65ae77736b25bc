"""wav2vec 2.0 and its relatives behind the common interface.

https://arxiv.org/abs/2006.11477
"""

from functools import partial

from torch import nn

from petl_modules.backbones.channel_norm import MaskedChannelNorm
from petl_modules.backbones.conv_positions import (
    MaskedLayer,
    without_weight_norm,
)
from petl_modules.backbones.encoder_config import forward_settings
from petl_modules.backbones.layouts import WAVEFORM_KINDS
from petl_modules.backbones.masks import in_samples, mask_of_lengths
from petl_modules.backbones.pretrained import (
    ENCODER_ALONE,
    fingerprint,
    load_pretrained,
    refuse_to_save,
)
from petl_modules.backbones.sites import Sites
from petl_modules.backbones.wavlm import call_projections
from petl_modules.blocks import ForwardContext
from petl_modules.utils import HparamsError


class Wav2Vec2(nn.Module):
    """wav2vec 2.0, https://arxiv.org/abs/2006.11477, or a relative of it.

    HuBERT, WavLM, UniSpeech, UniSpeech-SAT and data2vec-audio have the same
    modules; XLS-R and MMS are wav2vec 2.0.

    SpecAugment and LayerDrop are off, and so is the adapter that some
    checkpoints have behind the layers (``add_adapter``). The weight
    normalisation of the position convolution is folded into its weight. Padded
    frames are masked, and the group norm of encoders that have one
    (``feat_extract_norm: group``, as base and base-960h) leaves them out: a
    padded clip equals the clip alone.

    Arguments
    ---------
    source : str
        Hub name or local folder.

    Raises
    ------
    HparamsError
        See ``load_pretrained``; if the encoder normalises in front of its
        position convolution (``conv_pos_batch_norm``).

    Example
    -------
    >>> import tempfile, torch
    >>> from petl_modules.backbones import write_tiny_wav2vec2
    >>> folder = tempfile.mkdtemp() + "/tiny-wav2vec2"
    >>> write_tiny_wav2vec2(folder)
    >>> backbone = Wav2Vec2(folder)
    >>> backbone(torch.rand(2, 16_000)).shape
    torch.Size([2, 49, 128])
    """

    def __init__(self, source):
        super().__init__()
        self.model = load_pretrained(
            WAVEFORM_KINDS,
            source,
            **ENCODER_ALONE,
        )
        # UniSpeech-SAT makes the token of SpecAugment even where that is off
        if hasattr(self.model, "masked_spec_embed"):
            del self.model.masked_spec_embed
        config = self.model.config
        if getattr(config, "conv_pos_batch_norm", False):
            raise HparamsError(
                f"{source} has conv_pos_batch_norm: its BatchNorm in front of "
                "the position convolution makes sounds of padding. Choose an "
                "encoder without it, e.g. facebook/hubert-base-ls960"
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
        self.model.save_pretrained = refuse_to_save  # names have changed
        if config.model_type == "wavlm":
            call_projections(self.model.encoder.layers)
        positions = self.sites.module("positions")
        if config.model_type == "data2vec-audio":
            for index, layer in enumerate(positions.layers):
                positions.layers[index] = MaskedLayer(
                    layer, self.context, partial(count_frames, config)
                )
        else:
            positions.conv = without_weight_norm(positions.conv)
        if getattr(config, "feat_extract_norm", "layer") == "group":
            first = self.model.feature_extractor.conv_layers[0]
            first.layer_norm = MaskedChannelNorm(
                first.layer_norm,
                self.context,
                config.conv_kernel[0],
                config.conv_stride[0],
            )

    def frames(self, samples):
        """Return how many frames the convolutions make of so many samples.

        Arguments
        ---------
        samples : int or torch.Tensor
            Numbers of samples.

        Returns
        -------
        int or torch.Tensor
        """
        return count_frames(self.model.config, samples)

    def _samples(self, lengths, inputs):
        """Return the samples of each clip, at least those of one frame."""
        config, shortest = self.model.config, 1
        for kernel, stride in zip(
            reversed(config.conv_kernel), reversed(config.conv_stride)
        ):
            shortest = (shortest - 1) * stride + kernel
        return in_samples(lengths, inputs).clamp(min=shortest)

    def mask(self, inputs, lengths=None):
        """Return the mask of real frames.

        Arguments
        ---------
        inputs : torch.Tensor
            Waveforms ``[batch, samples]``.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor or None
            ``[batch, frames]`` bool; of each clip at least one frame.
        """
        if lengths is None:
            return None
        real = self.frames(self._samples(lengths, inputs))
        return mask_of_lengths(real, self.frames(inputs.shape[1]))

    def forward(self, inputs, lengths=None):
        """Return the last hidden states, ``[batch, frames, d_model]``.

        Arguments
        ---------
        inputs : torch.Tensor
            Waveforms ``[batch, samples]``, padded with zeros.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor
            Prompts, if there are any, are in front of the frames.

        Raises
        ------
        HparamsError
            If the waveforms are too short for one frame.
        """
        if inputs.dim() != 2 or self.frames(inputs.shape[1]) < 1:
            raise HparamsError(
                f"waveforms are {tuple(inputs.shape)} (batch, samples): too "
                "short for one frame, or of another shape"
            )
        samples = mask = None
        if lengths is not None:
            samples = self._samples(lengths, inputs)
            mask = mask_of_lengths(samples, inputs.shape[1])
        self.context.lengths = samples
        return self.model(inputs, attention_mask=mask).last_hidden_state


def count_frames(config, samples):
    """Return how many frames an encoder makes of so many samples.

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The encoder's.
    samples : int or torch.Tensor
        Numbers of samples.

    Returns
    -------
    int or torch.Tensor
    """
    for kernel, stride in zip(config.conv_kernel, config.conv_stride):
        samples = (samples - kernel) // stride + 1
    return samples
