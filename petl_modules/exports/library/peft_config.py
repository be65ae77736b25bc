"""What of a trained model is an adapter of peft, and its configuration."""

from petl_modules.blocks import DoRA, LowRank, PiSSA
from petl_modules.exports.library.fitting import AST
from petl_modules.utils import ExportError

MERGED = "--format transformers carries it, merged"


def require_peft(trained, blocks, published):
    """Refuse what peft has no place for, or does not compute.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        One that is a classifier of transformers.
    blocks : dict
        See ``petl_modules.exports.library.library_classifier.lora_sites``.
    published : transformers.PretrainedConfig
        The base's own configuration.

    Raises
    ------
    ExportError
        With the reason, and the door that is open.
    """
    encoder = trained.model.encoder
    settings = encoder.backbone.settings
    forms = {type(b) for at_site in blocks.values() for b in at_site}
    others = sorted(f.__name__ for f in forms - {LowRank, PiSSA, DoRA})
    reason = None
    if others:
        reason = (
            f"{' and '.join(others)} is none of what this format writes: LoRA, "
            "PiSSA as LoRA of twice the rank, and DoRA"
        )
    elif DoRA in forms and len(forms) > 1:
        reason = "one adapter of peft has DoRA at all of its sites or at none"
    elif encoder.train_backbone not in ("none", "biases"):
        reason = (
            f"train_backbone {encoder.train_backbone} trained matrices of the "
            "encoder, for which peft has no adapter"
        )
    elif encoder.layer_sum is not None:
        reason = (
            "peft's files have no place for the weights of what reads all "
            "layers (hidden_states)"
        )
    elif any(len(at_site) > 1 for at_site in blocks.values()):
        reason = "one adapter of peft has one LoRA at a site, and the run two"
    elif settings["kind"] == "wavlm" and any("attention" in p for p in blocks):
        reason = (
            "WavLM's attention in transformers takes the weights of its "
            "projections, and passes LoRA by while it is not merged"
        )
    elif settings["kind"] == AST and not _keeps_positions(encoder, published):
        reason = (
            f"the run has {settings['frames']} frames with positions: "
            f"{settings['positions']}, and peft's files have no positions. A "
            f"run with --frames {published.max_length} has the base's own"
        )
    if reason:
        raise ExportError(f"{trained.folder}: {reason}. {MERGED}")


def _keeps_positions(encoder, published):
    """Return whether the positions of an AST are those of its base."""
    embeddings = encoder.backbone.model.embeddings
    grid = embeddings.get_shape(published)
    same = grid == embeddings.get_shape(encoder.backbone.model.config)
    return same and encoder.backbone.settings["positions"] != "zeros"


def lora_options(trained, blocks, whole):
    """Return the arguments of peft's configuration.

    Arguments
    ---------
    trained, blocks
        See ``require_peft``.
    whole : transformers.PreTrainedModel
        The classifier that the adapter is put on.

    Returns
    -------
    dict
        Without LoRA in the run, one of rank 1 is at the first query; peft
        starts it so that it changes nothing.
    """
    sites, root = trained.model.encoder.backbone.sites, whole.base_model_prefix
    norms, biases = _trained(trained.model.encoder)
    saved = [f"{root}.{sites.path(norm)}" for norm in norms]
    saved += [
        name for name in ("projector", "classifier") if hasattr(whole, name)
    ]
    sizes = {
        f"{root}.{path}": (len(a), scaling)
        for path, (a, _, scaling) in (
            (path, lora_of(block)) for path, (block,) in blocks.items()
        )
    }
    if not sizes:
        sizes = {f"{root}.{sites.path('layers.0.query')}": (1, 1.0)}
    rank, _ = next(iter(sizes.values()))
    alphas = {path: _alpha(*size) for path, size in sizes.items()}
    alpha = alphas[next(iter(alphas))]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": _targets(sizes, sites, root),
        "rank_pattern": {p: r for p, (r, _) in sizes.items() if r != rank},
        "alpha_pattern": {p: a for p, a in alphas.items() if a != alpha},
        "use_dora": any(isinstance(b, DoRA) for (b,) in blocks.values()),
        "bias": "all" if biases else "none",
        "modules_to_save": saved,
    }


def lora_of(block):
    """Return A, B and the scaling of the low-rank update in a block.

    Arguments
    ---------
    block : LowRank, PiSSA or DoRA
        Of ``petl_modules.blocks``.

    Returns
    -------
    a : torch.Tensor
        ``[rank, d_in]``; PiSSA's rank is twice its own.
    b : torch.Tensor
        ``[d_out, rank]``.
    scaling : float
    """
    low_rank = getattr(block, "low_rank", block)
    if isinstance(block, PiSSA):
        return *block.factors(), low_rank.scaling
    return low_rank.lora_a.weight, low_rank.lora_b.weight, low_rank.scaling


def _alpha(rank, scaling):
    """Return alpha, of which the block keeps alpha / rank."""
    return round(rank * scaling, 12)


def _trained(encoder):
    """Return the norms that are trained, and whether other biases are."""
    names = [name.rpartition(".") for name in encoder.trained_weights]
    norms = [module for module, _, last in names if last == "weight"]
    return norms, any(module not in norms for module, _, _ in names)


def _targets(paths, sites, root):
    """Return the modules with LoRA: short names, if each layer has them."""
    layers = f"{root}.{sites.layout.layers}."
    within = {path.removeprefix(layers).partition(".")[2] for path in paths}
    if len(paths) == len(within) * sites.n_layers:
        return sorted(within)
    return sorted(paths)
