"""A trained classifier as one of transformers' own classes, where it is one."""

import torch
import transformers
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from petl_modules.backbones import ENCODER_ALONE, Sites, load_pretrained
from petl_modules.exports.library.fitting import AST, KINDS


@torch.no_grad()
def library_classifier(trained):
    """Return the class of transformers with all that is trained but LoRA.

    The encoder is loaded anew from its checkpoint: it has the library's own
    modules and names.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        One that ``require_fitting`` lets pass, LoRA unmerged.

    Returns
    -------
    transformers.PreTrainedModel
        In eval mode.
    """
    ours = trained.model.encoder
    kind = ours.backbone.settings["kind"]
    encoder = load_pretrained((kind,), trained.backbone, **ENCODER_ALONE)
    config = encoder.config
    config.id2label = dict(enumerate(trained.labels))
    config.label2id = {name: i for i, name in enumerate(trained.labels)}
    config.problem_type = "single_label_classification"
    if kind == AST:
        own = ours.backbone.model
        config.max_length = own.config.max_length
        encoder.embeddings.position_embeddings = nn.Parameter(
            own.embeddings.position_embeddings.detach().clone()
        )
    else:
        config.classifier_proj_size = config.hidden_size
        config.use_weighted_layer_sum = ours.layer_sum is not None
    _copy_trained(ours, encoder)
    with torch.device("meta"):  # its random encoder gives way to this one
        model = getattr(transformers, KINDS[kind])(config)
    setattr(model, model.base_model_prefix, encoder)
    _fill_head(model, trained.model)
    return model.eval()


def _copy_trained(ours, encoder):
    """Give an encoder of the library the trained weights of ours."""
    paths = {n: p for p, n in Sites(encoder).parameter_names().items()}
    sites = ours.backbone.sites
    for name, path in ours.trained_weights.items():
        value = ours.get_parameter(path)
        if name in paths:
            encoder.get_parameter(paths[name]).copy_(value)
            continue
        # Ours is folded or has a wrapper: the names of parts outside the layers
        root, _, rest = name.partition(".")
        *modules, last = rest.split(".")
        owner = encoder.get_submodule(sites.path(root))
        for part in modules:
            owner = getattr(owner, part, owner)
        if is_parametrized(owner, last):
            setattr(owner, last, value.detach().clone())  # folds it out
        else:
            owner.get_parameter(last).copy_(value)


def _fill_head(model, ours):
    """Set the head's weights, which are on the meta device."""
    head, config = ours.head, model.config
    linear = head if isinstance(head, nn.Linear) else head.linear
    bias = linear.bias
    if bias is None:
        bias = torch.zeros(len(linear.weight))
    state = {"weight": linear.weight, "bias": bias}
    if config.model_type == AST:
        _fill(model.classifier.dense, state)
        _fill(model.classifier.layernorm, head.norm.state_dict())
        return
    _fill(model.classifier, state)
    eye, zeros = torch.eye(config.hidden_size), torch.zeros(config.hidden_size)
    _fill(model.projector, {"weight": eye, "bias": zeros})
    if config.use_weighted_layer_sum:
        weights = ours.encoder.layer_sum.weights
        model.layer_weights = nn.Parameter(weights.detach().clone())


def _fill(module, state):
    state = {key: value.detach().clone() for key, value in state.items()}
    module.load_state_dict(state, assign=True)


def lora_sites(trained):
    """Return the mergeable blocks of a trained model, such as LoRA.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        One that ``require_fitting`` lets pass.

    Returns
    -------
    dict
        From the path of a linear layer or norm, within the library's encoder,
        to a list of blocks with ``merge``.
    """
    encoder, found = trained.model.encoder, {}
    for name, path in encoder.inserted.items():
        site = name.partition(".")[2]
        block = encoder.get_submodule(path)
        found.setdefault(encoder.backbone.sites.path(site), []).append(block)
    return found
