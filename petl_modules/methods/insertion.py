"""Insert: the one wrapper around a sublayer.

Authors
 * The PETL audio recipes team 2026
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from petl_modules.methods.norm_recompute import renormed

PLACEMENTS = ("parallel", "sequential", "before")


class Insertion(NamedTuple):
    """One thing that a method puts into a backbone.

    Arguments
    ---------
    site : str
        Where, as ``petl_modules.backbones.Sites`` names it.
    block : torch.nn.Module
        What is trained.
    wrap : callable
        ``wrap(module at the site, block)`` returns the module that takes
        its place.
    norm : str or None
        Site of the norm that feeds the block.
    """

    site: str
    block: nn.Module
    wrap: Callable
    norm: str | None = None


class Adapted(nn.Module):
    """A frozen sublayer with a block beside, behind or in front of it.

    With x the input and u = block(x):

    ========== ======================== =============================
    placement  ``residual: False``      ``residual: True``
    ========== ======================== =============================
    parallel   base(x) + u              base(x) + u + x
    sequential block(base(x))           base(x) + block(base(x))
    before     base(u)                  base(u) + u
    ========== ======================== =============================

    Of a sublayer that returns a tuple, as attention does, the first element
    is meant; the others are passed on.

    Arguments
    ---------
    base : torch.nn.Module
        The sublayer, called with the hidden states first.
    block : torch.nn.Module
        Called as ``block(hidden states, valid)``.
    placement : str
        ``parallel``, ``sequential`` or ``before``.
    residual : bool or None
        See the table. None stands for False if parallel, else True.

    Raises
    ------
    ValueError
        If there is no such placement.

    Example
    -------
    >>> import torch
    >>> from petl_modules.blocks import Bottleneck
    >>> base = nn.Linear(64, 64)
    >>> adapted = Adapted(base, Bottleneck(64, reduction=8))
    >>> x = torch.rand(2, 5, 64)
    >>> torch.equal(adapted(x), base(x))
    True
    """

    def __init__(self, base, block, *, placement="parallel", residual=None):
        super().__init__()
        if placement not in PLACEMENTS:
            raise ValueError(
                f"no placement '{placement}'; placements: "
                f"{', '.join(PLACEMENTS)}"
            )
        self.base = base
        self.block = block
        self.placement = placement
        self.residual = (
            placement != "parallel" if residual is None else residual
        )
        # Mask of real frames, set by the tuned model before each forward
        self.valid = None
        # Whether the block is in the sublayer's weights, see ``petl_modules.blocks.low_rank``
        self.merged = False

    def forward(self, x, *args, **kwargs):
        """Returns what the sublayer returns, with the block's part in it.

        Arguments
        ---------
        x : torch.Tensor
            Hidden states ``[batch, time, d_model]``.
        *args, **kwargs
            Passed on to the sublayer.

        Returns
        -------
        torch.Tensor or tuple
        """
        if self.merged:
            return self.base(x, *args, **kwargs)
        if self.placement == "before":
            with renormed(x):
                branch = x = self.block(x, self.valid)
        elif self.placement == "parallel":
            with renormed(x):
                branch = self.block(x, self.valid)
            branch = branch + x if self.residual else branch
        out = self.base(x, *args, **kwargs)
        hidden, rest = (
            (out[0], out[1:]) if isinstance(out, tuple) else (out, None)
        )
        if self.placement == "sequential":
            branch = self.block(hidden, self.valid)
            hidden = hidden + branch if self.residual else branch
        elif self.placement == "parallel" or self.residual:
            hidden = hidden + branch
        return hidden if rest is None else (hidden, *rest)


class Insert:
    """A block at sites of every layer.

    ``at: [ffn]`` is the adapter of Pfeiffer et al.,
    https://arxiv.org/abs/2005.00247, ``at: [attention, ffn]`` that of Houlsby
    et al., https://arxiv.org/abs/1902.00751.

    Arguments
    ---------
    at : list of str
        Sites, such as ``attention`` and ``ffn``.
    block : callable
        Makes one block from the hidden size, e.g. a ``!name:`` entry of a
        YAML file.
    placement : str
        ``parallel``, ``sequential`` or ``before``, see ``Adapted``.
    residual : bool or None
        See ``Adapted``.

    Example
    -------
    >>> from petl_modules.blocks import Bottleneck
    >>> Insert(at=["ffn"], block=Bottleneck).placement
    'parallel'
    """

    def __init__(self, *, at, block, placement="parallel", residual=None):
        self.at = at
        self.block = block
        self.placement = placement
        self.residual = residual

    def insertions(self, sites):
        """Yields one ``Insertion`` a site and layer."""
        wrap = partial(
            Adapted, placement=self.placement, residual=self.residual
        )
        for site in sites.in_every_layer(self.at):
            yield Insertion(
                site,
                self.block(sites.model.config.hidden_size),
                wrap,
                norm=sites.feeding_norm(site),
            )
