"""Load an encoder with all of its weights, or say what is wrong with it."""

import hashlib

import torch
from transformers import ASTConfig, AutoModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import logging as transformers_logging

from petl_modules.backbones.attention import attention_of
from petl_modules.backbones.checkpoint import find_checkpoint
from petl_modules.backbones.encoder_config import (
    read_config,
    require_enough_weights,
)
from petl_modules.backbones.weight_types import other_types
from petl_modules.utils import CheckpointError, HparamsError, brief, listed

# Where the repository has a small trained one, by kind
TINY = {ASTConfig.model_type: "tiny-ast", "wav2vec2": "tiny-wav2vec2"}
# Of encoders of speech: no SpecAugment, no LayerDrop, and not the adapter that
# some checkpoints have behind the layers
ENCODER_ALONE = {
    "layerdrop": 0.0,
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "add_adapter": False,
}
# Of a whole Whisper, the encoder alone is loaded
ENCODER_PART = {r"^(model\.)?encoder\.": ""}


def load_pretrained(kinds, source, **changes):
    """Load an encoder with all of its weights, in float32.

    Arguments
    ---------
    kinds : tuple of str
        The ``model_type`` that its configuration may have.
    source : str
        Hub name, or a local folder in Hugging Face format. See
        ``petl_modules.backbones.find_checkpoint``.
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
        kind, or if a weight is missing, has another shape, has no place in
        the encoder, is no floating-point number, or is not finite.
    DownloadError
        See ``find_checkpoint``.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what is missing is below
    checkpoint = find_checkpoint(source)
    config = read_config(checkpoint, **changes)
    if config.model_type not in kinds:
        raise HparamsError(
            f"backbone '{source}' is a '{config.model_type}'; this recipe "
            "file takes "
            + " or ".join(f"'{kind}'" for kind in kinds)
            + ". Name one of that kind; in training, --base takes the file "
            "for another"
        )
    require_enough_weights(config, checkpoint)
    is_whisper = config.model_type == "whisper"
    loader = WhisperEncoder if is_whisper else AutoModel
    try:
        model, report = loader.from_pretrained(
            checkpoint.folder,
            config=config,
            attn_implementation=attention_of(config),
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with both shapes
            trust_remote_code=False,
            local_files_only=True,
            **({"key_mapping": ENCODER_PART} if is_whisper else {}),
        )
    except Exception as error:  # each loading library raises its own
        raise HparamsError(
            f"backbone '{source}' could not be loaded: {brief(error)}\nIts folder "
            f"{checkpoint.folder} must hold config.json and a whole "
            f"model.safetensors. {_small(kinds[0])}"
        ) from error
    _require_whole(model, report, source)
    _require_floating(model, checkpoint.folder, source)
    return model


def _small(kind):
    """Return where a small one of a kind comes from."""
    if kind in TINY:
        return (
            f"The repository's pretrained/{TINY[kind]} is a small one for "
            "trials"
        )
    return (
        "'python -m petl_modules.backbones --help' tells how to write a small "
        "one for trials"
    )


def _require_whole(model, report, source):
    """Refuse an encoder with weights that are not those of its files."""
    shapes = sorted(
        f"{name}: {tuple(there)} in the weights, {tuple(wanted)} by config.json"
        for name, there, wanted in report["mismatched_keys"]
    )
    if shapes:
        raise HparamsError(
            f"backbone '{source}' has weights of other shapes than its "
            "config.json describes. Take both files from one checkpoint:\n"
            + listed(shapes, limit=5)
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise HparamsError(
            f"backbone '{source}' lacks {len(missing)} of its weights, which "
            f"would be random: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
        )
    left = sorted(n for n in report["unexpected_keys"] if _is_of(model, n))
    if left:
        raise HparamsError(
            f"backbone '{source}' has {len(left)} weights that its config.json "
            "leaves out of the encoder. Take both files from one checkpoint:\n"
            + listed(left, limit=5)
        )
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise HparamsError(
                f"backbone '{source}' is damaged: {name} has values that are "
                "not finite. Copy or download it again"
            )


def _require_floating(model, folder, source):
    """Refuse weights whose files have other numbers than floating-point ones."""
    counters = tuple(  # of batch norms
        n for n, v in model.state_dict().items() if not v.is_floating_point()
    )
    wrong = {
        name: kind
        for name, kind in other_types(folder).items()
        if _is_of(model, name) and not name.endswith(counters)
    }
    if wrong:
        lines = [f"{name}: {kind}" for name, kind in sorted(wrong.items())]
        raise HparamsError(
            f"backbone '{source}' has weights that are no floating-point "
            "numbers, as of a quantised copy. Take the one in float32, "
            "float16 or bfloat16:\n" + listed(lines, limit=5)
        )


def _is_of(model, name):
    """Return whether a stored weight is the encoder's.

    Others are those of heads, of the quantizer of pretraining, of an adapter
    behind the layers, and the token that SpecAugment inserts.
    """
    name = name.removeprefix(f"{model.base_model_prefix}.")
    return name.partition(".")[0] in dict(model.named_children())


def refuse_to_save(*arguments, **options):
    """Stand in for ``save_pretrained`` of an encoder that was changed.

    Raises
    ------
    CheckpointError
        Always.
    """
    raise CheckpointError(
        "save_pretrained would write this encoder under names that no library "
        "reads back: modules were inserted or folded. Save what was trained "
        "with petl_modules.models.save_trained; the encoder itself is in the "
        "folder or on the hub, as before"
    )


def fingerprint(model):
    """Return the SHA-256 of all weights, independent of their names."""
    digests = sorted(
        hashlib.sha256(value.contiguous().numpy()).digest()
        for value in model.state_dict().values()
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()
