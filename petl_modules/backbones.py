"""Frozen Hugging Face encoders behind one interface.

A backbone has ``model`` (the encoder), ``sites`` (where things are in it),
``settings`` (what a checkpoint has to fit) and ``valid`` (which tokens are
real). A clip's output does not depend on the others of its batch.

``python -m petl_modules.backbones tiny-ast DIR`` and ``tiny-wav2vec2 DIR`` write
small random encoders for trials and tests.

Authors
 * The PETL audio recipes team 2026
"""

import argparse
import hashlib
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import ASTConfig, AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from petl_modules.attention import ATTENTION
from petl_modules.lengths import ChannelNorm, in_samples, mask
from petl_modules.positions import fit_positions
from petl_modules.sites import Sites
from petl_modules.tiny_backbones import (
    NORMS,
    write_tiny_ast,
    write_tiny_wav2vec2,
)

# The command that writes a small one, by kind
TINY = {ASTConfig.model_type: "tiny-ast", "wav2vec2": "tiny-wav2vec2"}


def load_encoder(kinds, source, **changes):
    """An encoder with all of its weights, in float32.

    Arguments
    ---------
    kinds : tuple of str
        The ``model_type`` that its configuration may have.
    source : str
        Hub name, or a local folder in Hugging Face format.
    **changes : object
        Values of the configuration to change.

    Returns
    -------
    transformers.PreTrainedModel
        With sdpa attention that takes prompts and prefixes.

    Raises
    ------
    ValueError
        If nothing can be loaded from there, if it is an encoder of another
        kind, or if a weight is missing, has another shape or is not finite.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what lacks is told below
    if Path(source).is_file():
        raise ValueError(f"backbone '{source}' is a file: name its folder")
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise ValueError(f"backbone '{source}' has no config.json")
    try:
        found = AutoConfig.from_pretrained(source).model_type
        if found in kinds:
            model, report = AutoModel.from_pretrained(
                source,
                attn_implementation=ATTENTION,
                dtype=torch.float32,
                output_loading_info=True,
                **changes,
            )
    except Exception as error:  # each loading library raises its own
        local = Path(source).is_dir()
        raise ValueError(
            f"backbone '{source}' could not be loaded: "
            + ("" if local else "there is no such folder, and from the hub: ")
            + f"{str(error).splitlines()[0]}\nIt must be a local folder with "
            "config.json and a whole model.safetensors, or a name on the "
            "Hugging Face hub (with a connection). The repository's "
            f"pretrained/{TINY[kinds[0]]} is a small one for trials"
        ) from error
    if found not in kinds:
        raise ValueError(
            f"backbone '{source}' is a '{found}'; this recipe file takes "
            + " or ".join(f"'{kind}'" for kind in kinds)
            + ". '--base' chooses the file for another kind"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"backbone '{source}' lacks {len(missing)} of its weights, which "
            f"would be random: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
        )
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise ValueError(
                f"backbone '{source}' is damaged: {name} has values that are "
                "not finite. Copy or download it again"
            )
    return model


def fingerprint(model):
    """SHA-256 of all weights, whatever their names, to know an encoder by."""
    digests = sorted(
        hashlib.sha256(value.contiguous().numpy()).digest()
        for value in model.state_dict().values()
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()


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
        ``petl_modules.positions``.

    Raises
    ------
    ValueError
        See ``load_encoder`` and ``fit_positions``; if ``frames`` is shorter
        than one patch.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "tiny-ast"
    >>> write_tiny_ast(folder)
    >>> backbone = AST(str(folder), frames=100)
    >>> backbone(torch.rand(2, 100, 128)).shape
    torch.Size([2, 50, 128])
    """

    def __init__(self, source, frames, positions="center_cut"):
        super().__init__()
        self.model = load_encoder((ASTConfig.model_type,), source)
        config, embeddings = self.model.config, self.model.embeddings
        if frames < config.patch_size:
            raise ValueError(
                f"frames is {frames}: a patch alone is {config.patch_size} long"
            )
        self.settings = {
            "kind": config.model_type,
            "d_model": config.hidden_size,
            "layers": config.num_hidden_layers,
            "weights": fingerprint(self.model),
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
        self.sites = Sites(self.model)

    def valid(self, inputs, lengths=None):
        """Mask of real tokens: None, since AST pads with silence it sees."""
        return None

    def forward(self, inputs, lengths=None):
        """Returns the hidden states behind the final norm.

        Arguments
        ---------
        inputs : torch.Tensor
            Normalised log-mel spectrograms ``[batch, frames, mel]``.
        lengths : None
            For backbones that mask what is padded.

        Returns
        -------
        torch.Tensor
            ``[batch, tokens, d_model]``: CLS, distillation token or prompts,
            patches (frequency-major).

        Raises
        ------
        ValueError
            If the spectrograms have another size.
        """
        config = self.model.config
        wanted = (config.max_length, config.num_mel_bins)
        if inputs.shape[1:] != wanted:
            raise ValueError(
                f"spectrograms are {tuple(inputs.shape[1:])} (frames, mel "
                f"bins), and this backbone takes {wanted}"
            )
        return self.model(inputs).last_hidden_state


def without_weight_norm(conv):
    """The same convolution as a plain one, which can be pickled."""
    plain = nn.Conv1d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        padding=conv.padding,
        groups=conv.groups,
    )
    plain.load_state_dict({"weight": conv.weight, "bias": conv.bias})
    return plain


class Wav2Vec2(nn.Module):
    """wav2vec 2.0, https://arxiv.org/abs/2006.11477, or HuBERT.

    Its own masking and layer dropping are off, and the weight norm of the
    position convolution is worked into its weight. Padded frames are masked,
    and the group norm of encoders that have one (``feat_extract_norm: group``,
    as base and base-960h) leaves them out: a padded clip equals the clip alone.

    Arguments
    ---------
    source : str
        Hub name or local folder.

    Raises
    ------
    ValueError
        See ``load_encoder``; if the encoder normalises in front of its
        position convolution (``conv_pos_batch_norm``).

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "tiny-wav2vec2"
    >>> write_tiny_wav2vec2(folder)
    >>> backbone = Wav2Vec2(str(folder))
    >>> backbone(torch.rand(2, 16_000)).shape
    torch.Size([2, 49, 128])
    """

    def __init__(self, source):
        super().__init__()
        self.model = load_encoder(
            ("wav2vec2", "hubert"),
            source,
            layerdrop=0.0,
            apply_spec_augment=False,
            mask_time_prob=0.0,
            mask_feature_prob=0.0,
        )
        config = self.model.config
        if getattr(config, "conv_pos_batch_norm", False):
            raise ValueError(
                f"{source} has conv_pos_batch_norm: its BatchNorm in front of "
                "the position convolution makes sounds of padding. Choose an "
                "encoder without it, e.g. facebook/hubert-base-ls960"
            )
        self.settings = {
            "kind": config.model_type,
            "d_model": config.hidden_size,
            "layers": config.num_hidden_layers,
            "weights": fingerprint(self.model),
        }
        self.sites = Sites(self.model)
        positions = self.sites.module("positions")
        positions.conv = without_weight_norm(positions.conv)
        if config.feat_extract_norm == "group":
            first = self.model.feature_extractor.conv_layers[0]
            first.layer_norm = ChannelNorm(first.layer_norm)

    def frames(self, samples, layers=None):
        """How many frames the convolutions make of so many samples.

        Arguments
        ---------
        samples : int or torch.Tensor
            Numbers of samples.
        layers : int or None
            Only the first so many convolutions; None: all.

        Returns
        -------
        int or torch.Tensor
        """
        config = self.model.config
        sizes = [*zip(config.conv_kernel, config.conv_stride)]
        for kernel, stride in sizes[:layers]:
            samples = (samples - kernel) // stride + 1
        return samples

    def _samples(self, lengths, inputs):
        """Samples of each clip, at least those of one frame."""
        config, shortest = self.model.config, 1
        for kernel, stride in zip(
            reversed(config.conv_kernel), reversed(config.conv_stride)
        ):
            shortest = (shortest - 1) * stride + kernel
        return in_samples(lengths, inputs).clamp(min=shortest)

    def valid(self, inputs, lengths=None):
        """Mask of real frames.

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
        return mask(real, self.frames(inputs.shape[1]))

    def forward(self, inputs, lengths=None):
        """Returns the last hidden states, ``[batch, frames, d_model]``.

        Arguments
        ---------
        inputs : torch.Tensor
            Waveforms ``[batch, samples]``, padded with zeros.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor
            Prompts, where there are any, stand in front of the frames.

        Raises
        ------
        ValueError
            If the waveforms are too short for one frame.
        """
        if inputs.dim() != 2 or self.frames(inputs.shape[1]) < 1:
            raise ValueError(
                f"waveforms are {tuple(inputs.shape)} (batch, samples): too "
                "short for one frame, or of another shape"
            )
        real = first = None
        if lengths is not None:
            samples = self._samples(lengths, inputs)
            real = mask(samples, inputs.shape[1])
            first = self.frames(samples, layers=1)
        norm = self.model.feature_extractor.conv_layers[0].layer_norm
        if isinstance(norm, ChannelNorm):
            norm.lengths = first
        return self.model(inputs, attention_mask=real).last_hidden_state


def main(arguments=None):
    """The command line: ``tiny-ast DIR`` and ``tiny-wav2vec2 DIR``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.backbones")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in TINY.values():
        tiny = kinds.add_parser(
            kind, help="write a small random one for trials and tests"
        )
        tiny.add_argument("folder", metavar="DIR", help="a new folder")
        tiny.add_argument("--seed", type=int, default=0)
        if kind == "tiny-wav2vec2":
            tiny.add_argument("--norm", choices=NORMS, default=NORMS[0])
    chosen = vars(parser.parse_args(arguments))
    kind, folder = chosen.pop("kind"), chosen.pop("folder")
    write = write_tiny_ast if kind == "tiny-ast" else write_tiny_wav2vec2
    try:
        write(folder, **chosen)
    except OSError as error:
        sys.exit(f"error: {error}")
    print(f"a small random encoder is in {folder}")


if __name__ == "__main__":
    main()
