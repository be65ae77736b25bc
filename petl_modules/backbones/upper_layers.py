"""The upper layers of an encoder alone, on hidden states of the lower ones."""

import contextlib

from transformers.masking_utils import create_bidirectional_mask

from petl_modules.backbones.stages import Reached, run_until

# Kinds whose attention sees a clip's padding, which is silence
WITHOUT_MASK = ("audio-spectrogram-transformer", "whisper")


def lowest_trained(sites):
    """Return the number of the lowest layer in which anything is trained.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's, with all that is inserted in it.

    Returns
    -------
    int or None
        The number of layers, if nothing is trained in them. None: what is in
        front of the layers is trained.
    """
    trained = {id(p) for p in sites.model.parameters() if p.requires_grad}
    layers = [sites.module(name) for name in sites.layers]
    inside = [{id(p) for p in layer.parameters()} for layer in layers]
    behind = set()
    if sites.layout.pre_norm:
        behind.update(id(p) for p in sites.final_norm.parameters())
    if trained - behind.union(*inside):
        return None
    places = [place for place, own in enumerate(inside) if own & trained]
    return places[0] if places else len(layers)


def states_entering(sites, numbers, encode):
    """Return the hidden states that enter layers; nothing above them runs.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    numbers : list of int
        The layers' numbers, from 0, ascending. The number of layers: what
        leaves the last.
    encode : callable
        Runs the encoder.

    Returns
    -------
    dict
        From number to ``[batch, time, d_model]``.
    """
    found = []

    def keep(layer, args, kwargs):
        found.append(args[0] if args else kwargs["hidden_states"])
        if len(numbers) == 1:
            raise Reached

    first = sites.module(sites.layers[0])
    before = [sites.module(sites.layers[n - 1]) for n in numbers if n]
    hooks = []
    if 0 in numbers:
        hooks.append(first.register_forward_pre_hook(keep, with_kwargs=True))
    try:
        with contextlib.suppress(Reached):
            outputs = run_until(before, encode)
            found += [x[0] if isinstance(x, tuple) else x for x in outputs]
    finally:
        for hook in hooks:
            hook.remove()
    return dict(zip(numbers, found, strict=True))


def run_layers(sites, number, states, mask=None):
    """Return what an encoder returns, from the states that enter a layer.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.
    number : int
        The layer's number, see ``states_entering``.
    states : torch.Tensor
        ``[batch, time, d_model]``.
    mask : torch.Tensor or None
        True for a clip's own frames, ``[batch, time]``. None: all are.

    Returns
    -------
    torch.Tensor
        ``[batch, time, d_model]``. Prompts, if there are any, are in front.

    Example
    -------
    >>> import tempfile, torch
    >>> from functools import partial
    >>> from petl_modules.backbones import AST, write_tiny_ast
    >>> folder = tempfile.mkdtemp() + "/tiny-ast"
    >>> write_tiny_ast(folder)
    >>> ast, clips = AST(folder, frames=100), torch.rand(2, 100, 128)
    >>> entered = states_entering(ast.sites, [2], partial(ast, clips))
    >>> torch.equal(run_layers(ast.sites, 2, entered[2]), ast(clips))
    True
    """
    kind, layout = sites.model.config.model_type, sites.layout
    given = {"attention_mask": mask}
    if kind == "wavlm":
        given["position_bias"] = None  # its first layer makes it
    elif kind in WITHOUT_MASK:
        given["attention_mask"] = None
    else:
        config = sites.model.config
        keys = create_bidirectional_mask(config, states, mask)
        given["attention_mask"] = keys
    if kind == "wav2vec2-bert":
        given["conv_attention_mask"] = mask
    for name in sites.layers[number:]:
        states = sites.module(name)(states, **given)
        if kind == "wavlm":
            states, given["position_bias"] = states
    inside = layout.outside["final_norm"].startswith(f"{layout.layers}.")
    behind = layout.pre_norm and not inside
    return sites.final_norm(states) if behind else states
