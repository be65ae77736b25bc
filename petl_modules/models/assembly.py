"""Put the methods' blocks and activation checkpointing into a backbone."""

from functools import partial

from petl_modules.backbones import refuse_to_save
from petl_modules.models.activation_checkpointing import (
    not_recomputed,
    recomputations,
)
from petl_modules.models.norm_recompute import (
    norms_to_recompute,
    recompute_norms,
)
from petl_modules.utils import HparamsError


def insert_methods(backbone, methods, *, train_norms, recompute):
    """Insert what the methods add, and wrap what is recomputed.

    All sites are resolved on the untouched encoder. Then modules are wrapped,
    the deepest first: what is inside a wrapper must be wrapped before it.

    Arguments
    ---------
    backbone : torch.nn.Module
        See ``petl_modules.backbones``. Frozen; it is changed in place.
    methods : list of petl_modules.methods.Method
        The methods.
    train_norms : bool
        Whether to train the norms that feed blocks.
    recompute : str
        See ``petl_modules.models.activation_checkpointing``.

    Returns
    -------
    list of tuple
        Each block, after its name in checkpoints: the index of the method and
        the site, such as ``0.layers.3.attention``.

    Raises
    ------
    HparamsError
        If one of the methods is none.
    """
    sites, model, context = backbone.sites, backbone.model, backbone.context
    for method in methods:
        if not hasattr(method, "insertions"):
            raise HparamsError(
                f"'methods' takes a list of methods such as !new:petl_modules."
                f"methods.LoRA, and {method!r} is none"
            )
    plan = [
        (f"{index}.{insertion.site.name}", insertion)
        for index, method in enumerate(methods)
        for insertion in method.insertions(sites)
    ]
    insertions = [insertion for _, insertion in plan]
    for insertion in insertions:
        if train_norms and insertion.norm:
            model.get_submodule(insertion.norm).requires_grad_()
    norms = norms_to_recompute(sites, recompute)
    inside = not_recomputed(sites, recompute)
    outside = recomputations(sites, recompute, context)
    steps = [
        *((path, partial(_replace, path, wrap)) for path, wrap in inside),
        # A site with an entry and an exit encloses sites at the same depth
        *(
            (insertion.site.exit, partial(insertion.apply, context=context))
            for insertion in sorted(insertions, key=lambda i: i.site.is_split)
        ),
        *((path, partial(_replace, path, wrap)) for path, wrap in outside),
    ]
    for _, step in sorted(steps, key=lambda step: -step[0].count(".")):
        step(model)
    recompute_norms(model, norms)
    if steps:
        model.save_pretrained = refuse_to_save  # names have changed
    return [(name, insertion.block) for name, insertion in plan]


def _replace(path, wrap, model):
    model.set_submodule(path, wrap(model.get_submodule(path)))
