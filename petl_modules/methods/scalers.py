"""(IA)3 and SSF: trained factors within the layers, and their shifts."""

from petl_modules.blocks import Scale
from petl_modules.methods.adapted_layer import AdaptedLayer
from petl_modules.methods.insertion import Insertion
from petl_modules.methods.lora import linear_sites


class IA3:
    """Factors of keys, values and what is inside of the feed-forwards.

    https://arxiv.org/abs/2205.05638. Of the linear layer that ends a
    feed-forward the input is scaled, of others the output.

    Arguments
    ---------
    at : list of str
        Sites that are linear layers, see ``LoRA``.
    layers : str or list of int
        ``all``, ``last_<n>``, ``all_but_last``, or numbers such as ``[0, 5]``.

    Raises
    ------
    HparamsError
        If a site is no linear layer.

    Example
    -------
    >>> IA3().at
    ['key', 'value', 'ffn_out']
    """

    def __init__(self, *, at=("key", "value", "ffn_out"), layers="all"):
        self.at = list(at)
        self.layers = layers

    def insertions(self, sites):
        """Yield one ``Insertion`` for each site and layer."""
        ends = [*sites.layout.feed_forwards.values()]
        for site in linear_sites("IA3", sites, self.at, self.layers):
            d_in, d_out = sites.widths(site)
            if site.name.rpartition(".")[2] in ends:
                block = Scale(d_in, of="input")
            else:
                block = Scale(d_out)
            yield Insertion(site, block, AdaptedLayer)


class SSF:
    """A factor and a shift of all that norms and linear layers return.

    https://arxiv.org/abs/2210.08823, within the encoder's layers. Linear
    layers without a bias have no shift: of a key, no attention would see it.

    Arguments
    ---------
    layers : str or list of int
        ``all``, ``last_<n>``, ``all_but_last``, or numbers such as ``[0, 5]``.

    Example
    -------
    >>> SSF(layers="last_4").layers
    'last_4'
    """

    def __init__(self, *, layers="all"):
        self.layers = layers

    def insertions(self, sites):
        """Yield one ``Insertion`` for each norm, linear site and layer."""
        for site in (
            *sites.select_norms(self.layers),
            *sites.select(sites.linear(), self.layers),
        ):
            _, size = sites.widths(site)
            layer = sites.model.get_submodule(site.exit)
            block = Scale(size, shift=layer.bias is not None)
            yield Insertion(site, block, AdaptedLayer)
