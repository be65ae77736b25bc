"""Arithmetic on what several models of one encoder have learnt.

The weighted sum of trained states, as far as it means something:

=================== ======================================================
trained             weighted sum
=================== ======================================================
LoRA                of the products B A, exactly, or cut to a rank by SVD
weights of the      of the changes since pretraining
encoder
head, pooling, sum  of the tensors, if the weights sum to 1 and the classes
of layers           are the same; or those of one of the models
other blocks        of the tensors, if the weights sum to 1
=================== ======================================================

LoRA's updates and changed weights start at zero, so they can be added, taken
away and negated (https://arxiv.org/abs/2212.04089). Other blocks, and poolings,
are nonlinear and mostly start at random: of models that did not start alike, the
mean may be as bad as chance. Evaluate it.
"""

import copy
import json
import math
from typing import NamedTuple

import torch

from petl_modules.models.low_rank_sums import A, B, low_rank_of, sum_products
from petl_modules.models.settings import differences
from petl_modules.utils import HparamsError

POOLING = "pooling."  # queries, prototypes, networks: none is linear
BEHIND = ("head.", POOLING, "embedding.", "layer_")
BACKBONE = "backbone."


class Combined(NamedTuple):
    """A weighted sum of trained states.

    Arguments
    ---------
    state : dict
        Tensors by name.
    settings : dict
        What a model must share to load them.
    error : float
        Of LoRA cut to a rank: the norm of what is left out of all products,
        relative to that of the products.
    nonlinear : bool
        Whether tensors of nonlinear blocks were summed, so that the result
        has to be evaluated.
    """

    state: dict
    settings: dict
    error: float
    nonlinear: bool


def combine(models, weights, *, rank=None, head=None, base=None):
    """Return the weighted sum of the trained states of models.

    Arguments
    ---------
    models : list of tuple
        Of each model its trained state and its settings. They may differ in
        the rank and alpha of LoRA.
    weights : list of float
        One for each model; 0.5, 0.5 is the mean, -1 the negation.
    rank : int or None
        The rank of LoRA in the result. None: the sum of the models' ranks,
        with which nothing is lost, as far as the layers are wide enough.
    head : int or None
        The number of the model, from 0, whose head, pooling and sum of layers
        are kept. None: they are summed.
    base : dict or None
        The encoder's weights before training, by their names in the states.
        They are needed where the encoder's own weights are trained and the
        weights do not sum to 1.

    Returns
    -------
    Combined

    Raises
    ------
    HparamsError
        If the models do not fit each other, or their sum would mean nothing.

    Example
    -------
    >>> head = torch.eye(2)
    >>> settings = {"encoder": {"methods": []}, "head": {"out_features": 2}}
    >>> models = [({"head.weight": x * head}, settings) for x in (1.0, 3.0)]
    >>> combine(models, [0.25, 0.75]).state["head.weight"]
    tensor([[2.5000, 0.0000],
            [0.0000, 2.5000]])
    """
    _require_weights(models, weights)
    _require_alike(models, head)
    states = [state for state, _ in models]
    affine = math.isclose(sum(weights), 1.0, abs_tol=1e-6)
    if head is None and not affine:
        raise HparamsError(
            f"the weights sum to {sum(weights):g}, and such a sum of heads "
            "means nothing: name the model whose head is kept"
        )
    settings = copy.deepcopy(models[head or 0][1])
    products, rank = sum_products(models, weights, rank)
    for method in map(low_rank_of, settings["encoder"]["methods"]):
        if method:  # no factor between the product and what is added
            method.update(rank=rank, alpha=float(rank))
    state, nonlinear, lost, whole = {}, False, 0.0, 0.0
    for name in states[0]:
        values = [state[name] for state in states]
        if name.endswith((A, B)):
            if name.endswith(A):
                root = name.removesuffix(A)
                state[root + A], state[root + B], parts = products[root]
                lost, whole = lost + parts[0], whole + parts[1]
        elif name.startswith(BEHIND) and head is not None:
            state[name] = values[head].clone()
        elif name.startswith(BACKBONE):
            origin = None if affine else _origin(base, name)
            state[name] = _sum(values, weights, origin)
        else:
            nonlinear |= name.startswith(POOLING) or not name.startswith(BEHIND)
            if not affine:
                raise HparamsError(
                    f"the weights sum to {sum(weights):g}, and {name} is of a "
                    "nonlinear block, which does not start at zero: give "
                    "weights that sum to 1, or combine LoRA"
                )
            state[name] = _sum(values, weights)
            if name.endswith("running_var") and (state[name] < 0).any():
                raise HparamsError(
                    f"weights {weights} make negative variances of {name}: "
                    "give none below 0 to models with a batch norm"
                )
    error = math.sqrt(lost / whole) if whole else 0.0
    return Combined(state, settings, error, nonlinear)


def _require_weights(models, weights):
    if len(models) != len(weights) or not models:
        raise HparamsError(
            f"there are {len(models)} models and {len(weights)} weights: give "
            "one for each"
        )
    if not all(math.isfinite(weight) for weight in weights) or not any(weights):
        raise HparamsError(f"weights {weights}: give finite ones, not all 0")


def _require_alike(models, head):
    """Refuse models that differ in more than what was trained."""
    if head is not None and not 0 <= head < len(models):
        raise HparamsError(
            f"head is {head}: the models are 0 to {len(models) - 1}"
        )
    for number, (state, settings) in enumerate(models):
        where = f"model {number}", "model 0"
        found = differences(
            *(_comparable(s, head) for s in (settings, models[0][1])),
            where=where,
        )
        if found:
            raise HparamsError(
                "these models cannot be combined, they differ in\n  "
                + "\n  ".join(found)
                + (
                    "\nIf only the classes differ, name the model whose head "
                    "is kept"
                    if head is None
                    else ""
                )
            )
        shapes = [
            {k: v.shape for k, v in s.items() if not k.endswith((A, B))}
            for s in (state, models[0][0])
        ]
        for name in [*shapes[0].keys() | shapes[1].keys()]:
            kept = head is not None and name.startswith(BEHIND)
            if not kept and shapes[0].get(name) != shapes[1].get(name):
                raise HparamsError(
                    f"model {number} and model 0 differ in the shape of {name}"
                )


def _comparable(settings, head):
    """Return the settings that models must have in common."""
    settings = json.loads(json.dumps(settings))
    for method in map(low_rank_of, settings["encoder"]["methods"]):
        for key in ("rank", "alpha") if method else ():
            method.pop(key, None)
    if head is not None:
        for key in ("head", "pooling", "embedding", "must_match"):
            settings.pop(key, None)
    return settings


def _origin(base, name):
    """Return a weight of the encoder before training."""
    if base is None:
        raise HparamsError(
            f"{name} is a weight of the encoder, and the weights do not sum to "
            "1: what was learnt is its change, so the encoder's own is needed"
        )
    return base[name]


def _sum(values, weights, origin=None):
    """Return a weighted sum, of what differs from the origin if there is one.

    A counter, as of a batch norm, is the largest.
    """
    if not values[0].is_floating_point():
        return torch.stack(values).amax(0)
    total = sum(w * v.double() for w, v in zip(weights, values))
    if origin is not None:
        total = total + (1 - sum(weights)) * origin.double()
    return total.to(values[0].dtype)
