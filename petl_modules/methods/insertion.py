"""Insert: a block at sites of every layer."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from petl_modules.methods.adapted import Adapted, Entry, Exit, Tap
from petl_modules.methods.patch_grid import give_grid
from petl_modules.methods.sharing import share_module
from petl_modules.utils import HparamsError

PLACEMENTS = ("parallel", "sequential", "before")
READS = ("input", "stream")


class Insertion(NamedTuple):
    """One block that a method puts into an encoder.

    Arguments
    ---------
    site : petl_modules.backbones.LayerSite
        Where.
    block : torch.nn.Module
        What is trained.
    wrap : callable
        ``wrap(module at the site's exit, block, context)`` returns the module
        that replaces it; ``context`` is the encoder's ``ForwardContext``.
    norm : str or None
        Path of the norm that feeds the site and is trained with the block.
    reads : str
        What the block reads: ``input`` of the site, or ``stream``, the input
        of that norm.
    """

    site: tuple
    block: nn.Module
    wrap: Callable
    norm: str | None = None
    reads: str = "input"

    def apply(self, model, context):
        """Put the block into the encoder.

        Arguments
        ---------
        model : torch.nn.Module
            The encoder, changed in place.
        context : petl_modules.blocks.ForwardContext
            The encoder's.
        """
        site = self.site
        last = self.wrap(model.get_submodule(site.exit), self.block, context)
        model.set_submodule(site.exit, last)
        if site.is_split:
            first = Entry(model.get_submodule(site.entry), last)
            model.set_submodule(site.entry, first)
        if self.reads == "stream":
            tap = Tap(model.get_submodule(self.norm), context)
            model.set_submodule(self.norm, tap)


class Insert:
    """A block at sites of every layer.

    ``at: [ffn]`` is the adapter of Pfeiffer et al.,
    https://arxiv.org/abs/2005.00247, ``at: [attention, ffn]`` that of Houlsby
    et al., https://arxiv.org/abs/1902.00751.

    Arguments
    ---------
    at : list of str
        Sites (target modules), such as ``attention`` and ``ffn``.
    block : callable
        Makes one block from the widths of input and output, e.g. a
        ``!name:`` entry of a YAML file.
    placement : str
        ``parallel``, ``sequential`` or ``before``, see ``Adapted``.
    residual : bool or None
        See ``Adapted``.
    layers : str or list of int
        ``all``, ``last_<n>``, ``all_but_last``, or numbers such as ``[0, 5]``.
    reads : str
        What the block reads: ``input``, that of the site, or ``stream``: the
        hidden states in front of the norm that feeds the site. On AST that is
        the residual stream; on wav2vec 2.0, which normalises behind its
        sublayers, the sum that the norm in front of the feed-forward
        normalises (https://arxiv.org/abs/2211.02227).
    share : list of str
        Sub-modules of a block that all places have in common, such as
        ``[down_proj, up_proj]`` of a ``Bottleneck``: those of the first block.
        They are trained, counted and stored once.

    Raises
    ------
    HparamsError
        If there is no such placement, nothing of that kind to read, or
        nothing of that name to share.

    Example
    -------
    >>> from petl_modules.blocks import Bottleneck
    >>> Insert(at=["ffn"], block=Bottleneck, layers="last_4").placement
    'parallel'
    """

    def __init__(
        self,
        *,
        at,
        block,
        placement="parallel",
        residual=None,
        layers="all",
        reads="input",
        share=(),
    ):
        if placement not in PLACEMENTS:
            raise HparamsError(
                f"no placement '{placement}'; placements: "
                f"{', '.join(PLACEMENTS)}"
            )
        if reads not in READS:
            raise HparamsError(
                f"reads '{reads}' is none of: {', '.join(READS)}"
            )
        if reads == "stream" and placement != "parallel":
            raise HparamsError(
                f"reads 'stream' is for placement 'parallel', not '{placement}'"
            )
        self.at = at
        self.block = block
        self.placement = placement
        self.residual = residual
        self.layers = layers
        self.reads = reads
        self.share = [share] if isinstance(share, str) else list(share)

    def insertions(self, sites):
        """Yield one ``Insertion`` for each site and layer."""
        first = None
        for site in sites.select(self.at, self.layers):
            if self.reads == "stream" and site.norm is None:
                raise HparamsError(
                    f"reads 'stream': no norm of its layer feeds '{site.name}'"
                    f" of a {sites.kind}. Choose another site, such as ffn, "
                    "or 'reads: input'"
                )
            wrap = partial(
                Exit if site.is_split else Adapted,
                placement=self.placement,
                residual=self.residual,
                reads=self.reads,
            )
            block = self.block(*self._block_widths(site, sites.widths(site)))
            if hasattr(block, "start_from") or hasattr(block, "reads_layer"):
                raise HparamsError(
                    f"{type(block).__name__} needs the weight of a linear "
                    "layer, which Insert does not give: name it as the 'form' "
                    "of LoRA"
                )
            give_grid(block, sites)
            first = block if first is None else first
            for name in self.share:
                share_module(block, first, name, site.name)
            yield Insertion(site, block, wrap, site.norm, self.reads)

    def _block_widths(self, site, widths):
        """Return the widths of the block's input and output."""
        d_in, d_out = widths
        if d_in != d_out and self.residual and self.placement == "parallel":
            raise HparamsError(
                f"'{site.name}' maps {d_in} values to {d_out}: its input "
                "cannot be added to its output. Set 'residual: False'"
            )
        if self.placement == "before":
            if d_in != d_out and self.residual is not False:
                raise HparamsError(
                    f"'{site.name}' maps {d_in} values to {d_out}: what is in "
                    "front of it cannot be added to its output. Set "
                    "'residual: False', or another placement"
                )
            return d_in, d_in
        return (d_in if self.placement == "parallel" else d_out), d_out
