"""The wrappers that hold a block at a site.

The placements, with x the input of a sublayer (attention or feed-forward)::

     parallel             sequential           before

        x                    x                    x
        ├─────────┐          │                  block
     sublayer   block     sublayer                ├─────────┐
        │         │          ├─────────┐       sublayer     │
        │         │          │       block        │         │
       (+)────────┘         (+)────────┘         (+)────────┘
        │                    │                    │

The layer's own residual connection comes behind it. "Sublayer" is the module at
a site; at a site with an entry and an exit (a feed-forward of two linear
layers), it is everything from the one to the other.
"""

from torch import nn

from petl_modules.blocks import ForwardContext


class Adapted(nn.Module):
    """A frozen sublayer with a block parallel to it, behind it or before it.

    With x the input and u = block(x):

    ========== ======================== =============================
    placement  ``residual: False``      ``residual: True``
    ========== ======================== =============================
    parallel   base(x) + u              base(x) + u + x
    sequential block(base(x))           base(x) + block(base(x))
    before     base(u)                  base(u) + u
    ========== ======================== =============================

    If the sublayer returns a tuple (attention does), the block acts on its
    first element; the rest is returned unchanged.

    Arguments
    ---------
    base : torch.nn.Module
        The sublayer, called with the hidden states first.
    block : torch.nn.Module
        Called as ``block(hidden states, mask)``.
    context : petl_modules.blocks.ForwardContext or None
        Where the mask comes from. None: there is never one.
    placement : str
        ``parallel``, ``sequential`` or ``before``.
    residual : bool or None
        See the table. None: False if parallel, else True.
    reads : str
        What a parallel block reads: ``input``, or ``stream``, which is what a
        ``Tap`` has carried here. It is the x of block and residual in the
        table, while the sublayer keeps its own input.

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

    def __init__(
        self,
        base,
        block,
        context=None,
        *,
        placement="parallel",
        residual=None,
        reads="input",
    ):
        super().__init__()
        self.base = base
        self.block = block
        self.context = ForwardContext() if context is None else context
        self.placement = placement
        self.reads = reads
        self.residual = (
            placement != "parallel" if residual is None else residual
        )
        # Whether the block is in the weight of the base
        self.merged = False

    def forward(self, hidden_states, *args, **kwargs):
        """Return what the sublayer returns, with the block's part in it.

        Arguments
        ---------
        hidden_states : torch.Tensor
            ``[batch, time, d_in]``.
        *args, **kwargs
            Passed on to the sublayer.

        Returns
        -------
        torch.Tensor or tuple
        """
        if self.merged:
            return self.base(hidden_states, *args, **kwargs)
        hidden_states, branch = self.enter(hidden_states)
        out = self.base(hidden_states, *args, **kwargs)
        if isinstance(out, tuple):
            return self.leave(out[0], branch), *out[1:]
        return self.leave(out, branch)

    def enter(self, x):
        """Return the sublayer's input, and what will be added to its output.

        Arguments
        ---------
        x : torch.Tensor
            The site's input, ``[batch, time, d_in]``.

        Returns
        -------
        tuple of torch.Tensor
        """
        if self.placement == "sequential":
            return x, None
        read = x if self.reads == "input" else self.context.carried.pop()
        branch = self.block(read, self.context.mask_of(read))
        if self.placement == "before":
            return branch, branch if self.residual else None
        return x, branch + read if self.residual else branch

    def leave(self, out, branch):
        """Return the site's output.

        Arguments
        ---------
        out : torch.Tensor
            The sublayer's output, ``[batch, time, d_out]``.
        branch : torch.Tensor or None
            What ``enter`` returned.

        Returns
        -------
        torch.Tensor
        """
        if self.placement == "sequential":
            branch = self.block(out, self.context.mask_of(out))
            return out + branch if self.residual else branch
        return out if branch is None else out + branch

    @property
    def mergeable(self):
        """Whether the block can be added to the weight of the base."""
        return (
            getattr(self.block, "mergeable", False)
            and self.placement == "parallel"
            and self.reads == "input"
            and not self.residual
            and getattr(self.base, "weight", None) is not None
        )

    @property
    def weight(self):
        """The adapted weight, for encoders that read it from a linear layer.

        Some attention functions take the weights of their projections instead
        of calling them.
        """
        if not self.mergeable:
            raise AttributeError("the block is not mergeable into a weight")
        return self._merged()[0]

    @property
    def bias(self):
        """The bias that belongs to ``weight``."""
        return self._merged()[1] if self.mergeable else self.base.bias

    def _merged(self):
        """Return weight and bias of the base with the block in them."""
        own = self.base.weight, self.base.bias
        return own if self.merged else self.block.merge(*own)


class Exit(Adapted):
    """The last module of a site, whose input comes from an ``Entry``."""

    mergeable = False

    def forward(self, hidden_states):
        """Return the site's output."""
        out = self.base(hidden_states)
        return self.leave(out, self.context.carried.pop())


class Tap(nn.Module):
    """A norm whose input is what the block behind it reads.

    The input goes to the block through the context, see ``Entry``.

    Arguments
    ---------
    base : torch.nn.Module
        The norm.
    context : petl_modules.blocks.ForwardContext
        The encoder's.
    """

    def __init__(self, base, context):
        super().__init__()
        self.base = base
        self.context = context

    def forward(self, hidden_states):
        """Return the output of the norm."""
        self.context.carried.append(hidden_states)
        return self.base(hidden_states)


class Entry(nn.Module):
    """The first module of a site whose last one is another.

    What it hands to the last one goes through the context: the layer between
    them does not know of it. (A compiler refuses that within activation
    checkpointing, unless ``torch._dynamo.config`` has
    ``skip_fwd_side_effects_in_bwd_under_checkpoint`` set.)

    Arguments
    ---------
    base : torch.nn.Module
        The first module.
    exit : Exit
        The last module, which holds the block.
    """

    def __init__(self, base, exit):
        super().__init__()
        self.base = base
        self.exit = (exit,)  # in a tuple: it is no submodule of this one

    def forward(self, hidden_states):
        """Return the output of the first module."""
        (exit,) = self.exit
        hidden_states, branch = exit.enter(hidden_states)
        exit.context.carried.append(branch)
        return self.base(hidden_states)
