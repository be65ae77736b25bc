"""LoRA: low-rank updates of linear layers.

https://arxiv.org/abs/2106.09685
"""

import math

from petl_modules.blocks import LowRank
from petl_modules.methods.adapted import Adapted
from petl_modules.methods.adapted_layer import AdaptedLayer
from petl_modules.methods.insertion import Insertion
from petl_modules.utils import HparamsError


class LoRA:
    """Low-rank updates of linear layers in every layer.

    Arguments
    ---------
    at : list of str
        Sites that are linear layers: ``query``, ``key``, ``value``,
        ``output``, ``ffn_in``, ``ffn_out``.
    rank : int
        Rank of the update (not a reduction of the hidden size).
    alpha : float
        The update is scaled by ``alpha / rank``.
    layers : str or list of int
        ``all``, ``last_<n>``, ``all_but_last``, or numbers such as ``[0, 5]``.
    form : callable
        What the update is, e.g. a ``!name:`` entry of a YAML file: ``LowRank``
        (LoRA), ``DoRA``, ``PiSSA`` or ``HiRA`` of ``petl_modules.blocks``.

    Raises
    ------
    HparamsError
        If ``rank`` is below 1, ``alpha`` is not finite, or a site is no linear
        layer.

    Example
    -------
    >>> LoRA(at=["query", "value", "ffn_in"], rank=6, alpha=6.0).rank
    6
    """

    def __init__(
        self,
        *,
        at=("query", "value"),
        rank=6,
        alpha=6.0,
        layers="all",
        form=LowRank,
    ):
        if rank < 1:
            raise HparamsError(
                f"rank is {rank}: LoRA needs a rank of 1 or more"
            )
        if not math.isfinite(alpha):
            raise HparamsError(f"alpha is {alpha}: choose a finite one")
        self.at = list(at)
        self.rank = rank
        self.alpha = alpha
        self.layers = layers
        self.form = form

    def insertions(self, sites):
        """Yield one ``Insertion`` for each site and layer."""
        for site in linear_sites("LoRA", sites, self.at, self.layers):
            widths = sites.widths(site)
            block = self.form(*widths, rank=self.rank, alpha=self.alpha)
            if hasattr(block, "start_from"):
                layer = sites.model.get_submodule(site.exit)
                block.start_from(layer.weight)
            reads_layer = getattr(block, "reads_layer", False)
            wrap = AdaptedLayer if reads_layer else Adapted
            yield Insertion(site, block, wrap)


def linear_sites(method, sites, at, layers):
    """Return the sites of these names in these layers; all are linear.

    Arguments
    ---------
    method : str
        For the error message.
    sites : petl_modules.backbones.Sites
        The encoder's.
    at, layers
        See ``LoRA``.

    Returns
    -------
    list of petl_modules.backbones.LayerSite

    Raises
    ------
    HparamsError
        If one does not exist, or is no linear layer.
    """
    chosen = sites.select(at, layers)  # names what does not exist
    for name in at:
        if name not in sites.linear():
            raise HparamsError(
                f"{method} adapts linear layers, and '{name}' is none; "
                f"choose from {', '.join(sites.linear())}"
            )
    return chosen
