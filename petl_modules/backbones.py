"""Frozen Hugging Face encoders behind one interface.

A backbone has ``model`` (the encoder), ``sites`` (where things are in it),
``settings`` (what a checkpoint has to fit) and ``valid`` (which tokens are
real).

``python -m petl_modules.backbones tiny-ast DIR`` writes a small random
encoder for trials and tests.

Authors
 * The PETL audio recipes team 2026
"""

import argparse
import hashlib
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import ASTConfig, ASTModel, AutoConfig
from transformers.utils import logging as transformers_logging

from petl_modules.attention import ATTENTION
from petl_modules.files import build_folder, is_taken
from petl_modules.positions import fit_positions
from petl_modules.sites import Sites


def load_encoder(model_class, source):
    """An encoder with all of its weights, in float32.

    Arguments
    ---------
    model_class : type
        The Hugging Face class, e.g. ``transformers.ASTModel``.
    source : str
        Hub name, or a local folder in Hugging Face format.

    Returns
    -------
    transformers.PreTrainedModel
        With sdpa attention that takes prompts and prefixes.

    Raises
    ------
    ValueError
        If nothing can be loaded from there, if it is an encoder of another
        kind, or if a weight is missing or has another shape.
    """
    wanted = model_class.config_class.model_type
    transformers_logging.disable_progress_bar()
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise ValueError(f"backbone '{source}' has no config.json")
    try:
        found = AutoConfig.from_pretrained(source).model_type
        if found == wanted:
            model, report = model_class.from_pretrained(
                source,
                attn_implementation=ATTENTION,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # each loading library raises its own
        local = Path(source).is_dir()
        raise ValueError(
            f"backbone '{source}' could not be loaded: "
            + ("" if local else "there is no such folder, and from the hub: ")
            + f"{str(error).splitlines()[0]}\nIt must be a local folder with "
            "config.json and model.safetensors, or a name on the Hugging Face "
            "hub (with a connection). 'python -m petl_modules.backbones "
            "tiny-ast DIR' writes a small one for trials"
        ) from error
    if found != wanted:
        raise ValueError(
            f"backbone '{source}' is a '{found}'; this recipe file takes a "
            f"'{wanted}'"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"backbone '{source}' lacks {len(missing)} of its weights, which "
            f"would be random: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
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
        self.model = load_encoder(ASTModel, source)
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


def write_tiny_ast(folder, seed=0):
    """Writes a small random AST in Hugging Face format, whole or not at all.

    Positions, tokens and biases are drawn too, so that tests see them, and
    the position grid is that of 1024 frames, as the original's.

    Arguments
    ---------
    folder : str or pathlib.Path
        A new folder.
    seed : int
        Seed of the weights.

    Raises
    ------
    FileExistsError
        If the folder holds something already.
    """
    folder = Path(folder)
    if is_taken(folder):
        raise FileExistsError(
            f"{folder} is there already and not empty: name a new folder"
        )
    config = ASTConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        frequency_stride=16,
        time_stride=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ASTModel(config)
        for name, weight in model.named_parameters():
            norm_weight = name.endswith("weight") and weight.dim() == 1
            nn.init.normal_(weight, mean=float(norm_weight), std=0.05)
    build_folder(folder, model.save_pretrained)


def main(arguments=None):
    """The command line: ``tiny-ast DIR [--seed N]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.backbones")
    kinds = parser.add_subparsers(dest="kind", required=True)
    tiny = kinds.add_parser(
        "tiny-ast", help="write a small random AST for trials and tests"
    )
    tiny.add_argument("folder", metavar="DIR", help="a new folder")
    tiny.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    try:
        write_tiny_ast(chosen.folder, chosen.seed)
    except OSError as error:
        sys.exit(f"error: {error}")
    print(f"a small random AST is in {chosen.folder}")


if __name__ == "__main__":
    main()
