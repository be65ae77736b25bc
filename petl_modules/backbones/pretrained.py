"""Load an encoder with all of its weights, or say what is wrong with it."""

import hashlib
from pathlib import Path

import torch
from transformers import ASTConfig, AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from petl_modules.backbones.attention import ATTENTION
from petl_modules.utils import HparamsError

# The command that writes a small one, by kind
TINY = {ASTConfig.model_type: "tiny-ast", "wav2vec2": "tiny-wav2vec2"}


def load_pretrained(kinds, source, **changes):
    """Load an encoder with all of its weights, in float32.

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
    HparamsError
        If nothing can be loaded from there, if it is an encoder of another
        kind, or if a weight is missing, has another shape or is not finite.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # missing weights are reported below
    if Path(source).is_file():
        raise HparamsError(f"backbone '{source}' is a file: name its folder")
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise HparamsError(f"backbone '{source}' has no config.json")
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
        raise HparamsError(
            f"backbone '{source}' could not be loaded: "
            + ("" if local else "there is no such folder, and from the hub: ")
            + f"{str(error).splitlines()[0]}\nIt must be a local folder with "
            "config.json and a whole model.safetensors, or a name on the "
            "Hugging Face hub (with a connection). The repository's "
            f"pretrained/{TINY[kinds[0]]} is a small one for trials"
        ) from error
    if found not in kinds:
        raise HparamsError(
            f"backbone '{source}' is a '{found}'; this recipe file takes "
            + " or ".join(f"'{kind}'" for kind in kinds)
            + ". '--base' chooses the file for another kind"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise HparamsError(
            f"backbone '{source}' lacks {len(missing)} of its weights, which "
            f"would be random: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
        )
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise HparamsError(
                f"backbone '{source}' is damaged: {name} has values that are "
                "not finite. Copy or download it again"
            )
    return model


def fingerprint(model):
    """Return the SHA-256 of all weights, independent of their names."""
    digests = sorted(
        hashlib.sha256(value.contiguous().numpy()).digest()
        for value in model.state_dict().values()
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()
