"""The stages of an encoder, so that what two have in common is run once."""

import contextlib
from functools import partial
from typing import NamedTuple


class Stage(NamedTuple):
    """A part of an encoder's forward pass.

    Arguments
    ---------
    modules : list of torch.nn.Module
        Their outputs are all that the next stages get of the input.
    tensors : list of torch.Tensor
        Parameters and buffers that this stage computes with.
    """

    modules: list
    tensors: list


def stages(sites):
    """Return the stages of an encoder, with all that is inserted in it.

    The first is the stem, if one is known; then each layer is one. What lies
    between them belongs to the first layer. A norm behind the layers belongs
    to none.

    Arguments
    ---------
    sites : petl_modules.backbones.Sites
        The encoder's.

    Returns
    -------
    list of Stage
    """
    model, layout = sites.model, sites.layout
    stem = [model.get_submodule(path) for path in layout.stem]
    layers = [sites.module(name) for name in sites.layers]
    behind = [sites.final_norm] if layout.pre_norm else []
    elsewhere = {
        id(tensor)
        for module in (*stem, *layers, *behind)
        for tensor in _tensors(module)
    }
    between = [t for t in _tensors(model) if id(t) not in elsewhere]
    found = []
    if stem:
        found.append(Stage(stem, [t for m in stem for t in _tensors(m)]))
    for layer in layers:
        found.append(Stage([layer], [*between, *_tensors(layer)]))
        between = []
    return found


def _tensors(module):
    return [*module.parameters(), *module.buffers()]


class Reached(Exception):
    """The forward pass has come to the end of the modules."""


def run_until(modules, encode):
    """Return the outputs of modules that run one after another.

    The forward pass ends there.

    Arguments
    ---------
    modules : list of torch.nn.Module
        In the order in which they run.
    encode : callable
        Runs the encoder.

    Returns
    -------
    list
        What each of them has returned.
    """
    found = []

    def keep(module, args, output):
        found.append(output)
        if len(found) == len(modules):
            raise Reached

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        encode()
    except Reached:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextlib.contextmanager
def outputs_given(modules, outputs):
    """Let modules return what is known already, without computing it.

    Arguments
    ---------
    modules : list of torch.nn.Module
        Modules that run one after another, from the first on.
    outputs : list
        See ``run_until``.

    Example
    -------
    >>> from torch import nn, ones
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.ReLU())
    >>> known = run_until(model[:2], partial(model, ones(1, 8)))
    >>> with outputs_given(model[:2], known):
    ...     model(None).shape
    torch.Size([1, 4])
    """
    for module, output in zip(modules, outputs):
        module.forward = partial(_return, output)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def _return(output, *args, **kwargs):
    return output
