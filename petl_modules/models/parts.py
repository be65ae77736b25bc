"""The parts of a model that are trained, by the names of ``lr_by_part``."""

from petl_modules.models.probe import Probe
from petl_modules.models.scratch_encoder import ScratchEncoder
from petl_modules.models.tuned_encoder import TunedEncoder

PARTS = ("head", "layers", "adapters", "lora_b", "norms", "backbone")


def trained_parts(modules, lora_b=False):
    """Return the trained parameters of each part.

    ============ ==========================================================
    part         trained parameters
    ============ ==========================================================
    ``head``     behind the encoder: pooling, embedding and head
    ``layers``   the sum of the layers, with its L-adapters; or the ladder
    ``adapters`` the blocks that methods insert
    ``lora_b``   LoRA's matrices B, if they are apart (LoRA+,
                 https://arxiv.org/abs/2402.12354); else in ``adapters``
    ``norms``    norms of the encoder, if ``train_norms`` trains any
    ``backbone`` other weights of the encoder, which ``train_backbone`` trains
    ============ ==========================================================

    Arguments
    ---------
    modules : torch.nn.Module
        With a ``TunedModel``, or what is trained of one, somewhere in it.
    lora_b : bool
        Whether LoRA's matrices B are a part of their own.

    Returns
    -------
    dict
        From part to a list of parameters, which may be empty.
    """
    part_of = {}
    for module in modules.modules():
        if isinstance(module, TunedEncoder):
            part_of.update(_of_encoder(module, lora_b))
        elif isinstance(module, ScratchEncoder):
            part_of.update(_all(module, "backbone"))
        elif isinstance(module, Probe):
            part_of.update(_of_probe(module))
    parts = {part: [] for part in PARTS}
    for parameter in modules.parameters():
        if parameter.requires_grad:
            parts[part_of.get(id(parameter), "head")].append(parameter)
    return parts


def _of_encoder(encoder, lora_b):
    """Return the parts within a tuned encoder, by the ids of parameters."""
    part_of = {}
    norms = {*encoder.backbone.sites.layout.norms, "final_norm"}
    for name, path in encoder.trained_weights.items():
        module = name.rpartition(".")[0].rpartition(".")[2]
        norm = encoder.train_norms and module in norms
        parameter = encoder.get_parameter(path)
        part_of[id(parameter)] = "norms" if norm else "backbone"
    for path in encoder.inserted.values():
        for name, parameter in encoder.get_submodule(path).named_parameters():
            apart = lora_b and name.endswith("lora_b.weight")
            part_of[id(parameter)] = "lora_b" if apart else "adapters"
    if encoder.layer_sum is not None:
        part_of.update(_all(encoder.layer_sum, "layers"))
    return part_of


def _of_probe(probe):
    """Return the parts of a linear probe, by the ids of parameters."""
    part_of = {}
    for part, module in (("norms", probe.norm), ("layers", probe.layer_sum)):
        if module is not None:
            part_of.update(_all(module, part))
    return part_of


def _all(module, part):
    return {id(parameter): part for parameter in module.parameters()}
