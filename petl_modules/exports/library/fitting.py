"""Whether a trained classifier is one of transformers' own, and equal to it."""

import torch
from torch import nn

from petl_modules.inference.trained_model import CLASSIFICATION
from petl_modules.methods import Adapted
from petl_modules.models import LayerSum, LinearHead, MeanPooling, TunedModel
from petl_modules.utils import ExportError

AST = "audio-spectrogram-transformer"
SPEECH = {
    "wav2vec2": "Wav2Vec2ForSequenceClassification",
    "hubert": "HubertForSequenceClassification",
    "wavlm": "WavLMForSequenceClassification",
    "unispeech": "UniSpeechForSequenceClassification",
    "unispeech-sat": "UniSpeechSatForSequenceClassification",
    "data2vec-audio": "Data2VecAudioForSequenceClassification",
    "wav2vec2-bert": "Wav2Vec2BertForSequenceClassification",
}
KINDS = {AST: "ASTForAudioClassification", **SPEECH}
AST_KEYS = (
    "--pooling cls+distillation --head '!name:petl_modules.models.LinearHead "
    "{out_features: !apply:len [!ref <labels>], norm: True, eps: 1.0e-12}'"
)
OURS = "--format petl, onnx, pt2 and speechbrain carry every model"
TOLERANCE = 1e-4  # of the largest logit: rounding in another order


def require_classifier(trained):
    """Refuse what is no single classifier of clips.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The trained model.

    Raises
    ------
    ExportError
        If it has another task, or averages the outputs of several folds.
    """
    if trained.task != CLASSIFICATION:
        raise ExportError(
            f"{trained.folder} is a run of {trained.task}, and this format is "
            f"for runs of {CLASSIFICATION}: take --format petl"
        )
    if type(trained.model) is not TunedModel:
        raise ExportError(
            f"{trained.folder} averages the outputs of several folds, and this "
            "format has one: export a fold, or take --format petl"
        )


def require_fitting(trained):
    """Refuse a trained model that no class of transformers computes.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The trained model, LoRA unmerged.

    Raises
    ------
    ExportError
        With all reasons, and the keys of a run that fits.
    """
    require_classifier(trained)
    model = trained.model
    kind = model.encoder.backbone.settings.get("kind")
    if kind == "whisper":
        reasons = [
            "WhisperForAudioClassification averages the silence behind a clip "
            "as well, the run's model the clip's own frames"
        ]
    elif kind not in KINDS:
        reasons = [f"transformers has no classifier on a {kind or 'new model'}"]
    else:
        reasons = [*_reasons(model, kind)]
    if reasons:
        raise ExportError(
            f"{trained.folder} is no model of transformers' own:\n  "
            + "\n  ".join(reasons)
            + f"\n{OURS}"
        )


def _reasons(model, kind):
    """Yield why a class of transformers is another model."""
    encoder = model.encoder
    mergeable = {
        id(part)
        for module in encoder.modules()
        if isinstance(module, Adapted) and module.mergeable
        for part in module.block.modules()
    }
    blocks = [encoder.get_submodule(p) for p in encoder.inserted.values()]
    others = {type(b).__name__ for b in blocks if id(b) not in mergeable}
    for name in sorted(others):
        yield (
            f"{name} is no part of its encoders, and cannot be merged into "
            "their weights as LoRA can"
        )
    if encoder.backbone_dtype != "float32":
        yield (
            f"the run computes with backbone_dtype {encoder.backbone_dtype}; "
            "train with --backbone_dtype float32"
        )
    if model.embedding is not None:
        yield "it has a layer between pooling and head"
    yield from (_of_ast if kind == AST else _of_speech)(model)


def _of_ast(model):
    """Yield what differs from ``ASTForAudioClassification``."""
    encoder, head = model.encoder, model.head
    norm = getattr(head, "norm", None)
    eps = encoder.backbone.model.config.layer_norm_eps
    if (
        encoder.tokens != "cls+distillation"
        or type(model.pooling) is not MeanPooling
        or type(head) is not LinearHead
        or getattr(norm, "eps", None) != eps
    ):
        yield (
            "its class reads the mean of CLS and distillation token through a "
            f"LayerNorm (eps {eps}) and a linear layer. A run with these keys "
            f"does so, too: {AST_KEYS}"
        )
    if encoder.layer_sum is not None:
        yield "its class reads the last layer: hidden_states last"


def _of_speech(model):
    """Yield what differs from ``Wav2Vec2ForSequenceClassification``."""
    encoder, head, total = model.encoder, model.head, model.encoder.layer_sum
    plain = type(head) is nn.Linear or (
        type(head) is LinearHead and isinstance(head.norm, nn.Identity)
    )
    if type(model.pooling) is not MeanPooling or not plain:
        yield (
            "its class has the mean of all frames and a linear layer: "
            "--pool '!new:petl_modules.models.MeanPooling' --head "
            "'!name:torch.nn.Linear {out_features: !apply:len [!ref <labels>]}'"
        )
    if encoder.tokens not in ("all", "speech"):
        yield "its class reads all frames: --pooling speech"
    if total is None:
        return
    if type(total) is not LayerSum:
        yield (
            f"its class has no {type(total).__name__}: --hidden_states last or "
            "weighted"
        )
        return
    config = encoder.backbone.model.config
    if getattr(config, "do_stable_layer_norm", False):
        yield (
            "its weighted sum has the last layer's output in front of the "
            "final norm, the run's behind it: --hidden_states last"
        )
    count = encoder.backbone.settings["layers"] + 1
    if total.places != [*range(count)] or len(total.adapters):
        yield (
            "its weighted sum is of the first layer's input and the outputs of "
            "all layers, without blocks: --hidden_states weighted"
        )


def require_same(trained, found, wanted, name):
    """Refuse what computes other outputs than the trained model.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The original.
    found, wanted : torch.Tensor
        Outputs of what was written, and of the original.
    name : str
        What was written, for the error message.

    Raises
    ------
    ExportError
        If one differs by more than ``TOLERANCE`` of the largest.
    """
    gap = (found - wanted).abs().max() / wanted.abs().max()
    if not gap < TOLERANCE:
        raise ExportError(
            f"{trained.folder}: {name} computes outputs that differ by up to "
            f"{gap:.1e} of the largest. Nothing was written. {OURS}"
        )


def noise_of(trained, clips=2):
    """Return a second of noise, the same in every call.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        At the rate of its features.
    clips : int
        How many.

    Returns
    -------
    torch.Tensor
        ``[clips, time]``.
    """
    draw = torch.Generator().manual_seed(0)
    rate = trained.features.sample_rate
    return 0.1 * torch.randn(clips, rate, generator=draw)


def sample_input(trained, clips=2):
    """Return features of noise, ``[clips, ...]``; see ``noise_of``."""
    noise = noise_of(trained, clips)
    return torch.stack([trained.features(samples) for samples in noise])
