"""Experts of a mixture, stacked into a few parameters.

Experts are initialised independently. As separate tensors they would cost a
step more time than the products with them: the forward pass would stack them,
the backward pass split their gradients, and the optimiser update each alone.
"""

import torch
from torch import nn


def draw_experts(d_in, d_out, expert, experts):
    """Return independently initialised experts.

    Arguments
    ---------
    d_in, d_out : int
        Widths of the input and of the output.
    expert : callable
        Makes one block from ``d_in`` and ``d_out``, e.g. a class or a
        ``!name:`` entry of a YAML file.
    experts : int
        How many.

    Returns
    -------
    list of torch.nn.Module

    Raises
    ------
    ValueError
        If ``experts`` is below 1, or an expert needs the weight of a layer.
    """
    if experts < 1:
        raise ValueError(
            f"experts is {experts}: a mixture needs at least one expert"
        )
    drawn = [expert(d_in, d_out) for _ in range(experts)]
    for block in drawn:
        if hasattr(block, "start_from") or hasattr(block, "reads_layer"):
            raise ValueError(
                f"{type(block).__name__} needs the weight of a linear layer, "
                "which no mixture gives its experts: take LowRank"
            )
    return drawn


def groupable(experts):
    """Return whether ``GroupedExperts`` can hold these experts.

    They must be of one class, and that class itself must be ``groupable``: a
    subclass may compute something else. So must each of them.
    """
    first, *others = {type(expert) for expert in experts}
    alike = not others and vars(first).get("groupable", False)
    return alike and all(expert.groupable for expert in experts)


class GroupedExperts(nn.Module):
    """Experts ``up_proj(inner(down_proj(x)))`` in a few parameters.

    Laid out as the products of a mixture need them. With n experts of width r:

    - ``down_proj`` ``[n r, d_in]``, expert by expert; with a router
      ``[n r + n, d_in]``, whose rows come last;
    - ``down_proj_bias`` ``[n r]`` or ``[n r + n]``, as ``down_proj``;
    - ``up_proj`` ``[n r + n, d_out]``, transposed, expert by expert; the n
      biases come last. Experts without biases (``LowRank``) have ``[n r,
      d_out]``, and ``down_proj_bias`` is the router's ``[n]`` or None;
    - ``inner``, the first expert's module with the parameters of all,
      concatenated along the first dimension. Its input are the hidden values
      of all experts, concatenated along the last dimension.

    Arguments
    ---------
    experts : list of torch.nn.Module
        The experts, of one ``groupable`` class. They are consumed: the first
        one's ``inner`` is reused and modified in place.
    router : torch.nn.Linear or None
        A layer with the same input as the experts.

    Example
    -------
    >>> from petl_modules.blocks import Bottleneck
    >>> experts = [Bottleneck(768, reduction=128) for _ in range(7)]
    >>> GroupedExperts(experts, router=nn.Linear(768, 7)).down_proj.shape
    torch.Size([49, 768])
    """

    def __init__(self, experts, router=None):
        super().__init__()
        self.n = len(experts)
        down = [expert.down_proj for expert in experts]
        down += [] if router is None else [router]
        up = [expert.up_proj for expert in experts]
        self.biased = up[0].bias is not None
        self.down_proj = _concatenated([layer.weight for layer in down])
        self.down_proj_bias = _concatenated(_biases(down))
        self.up_proj = _concatenated(
            [layer.weight.t() for layer in up]
            + [bias.unsqueeze(0) for bias in _biases(up)]
        )
        self.inner = experts[0].inner
        for own in zip(*(expert.inner.parameters() for expert in experts)):
            own[0].data = torch.cat(own).detach()


def _biases(layers):
    return [layer.bias for layer in layers if layer.bias is not None]


def _concatenated(tensors):
    return nn.Parameter(torch.cat(tensors).detach()) if tensors else None
