"""What the wrappers in an encoder need to know about the current batch."""


class ForwardContext:
    """Mask and lengths of the batch that an encoder computes.

    Encoders call their sublayers without these. There is one context for each
    encoder: it is set before each forward pass, and all wrappers in the
    encoder hold a reference to it.

    Example
    -------
    >>> context = ForwardContext()
    >>> context.mask is None and context.lengths is None
    True
    """

    def __init__(self):
        # True for real tokens, [batch, time]; None: all are real
        self.mask = None
        # Samples of each clip, [batch]; None: nothing is padded
        self.lengths = None
        # From a norm to the site behind it, and from the first to the last
        # module of a site that has two, in the way of a stack (see
        # petl_modules.methods.adapted)
        self.carried = []

    def mask_of(self, hidden):
        """Return the mask of hidden states, or None.

        Prompts are in front of the frames and always real. In front of the
        layer that they enter at, hidden states are shorter than the mask.

        Arguments
        ---------
        hidden : torch.Tensor
            ``[batch, time, d_model]``.

        Returns
        -------
        torch.Tensor or None
            ``[batch, time]`` bool.
        """
        if self.mask is None:
            return None
        return self.mask[:, self.mask.shape[1] - hidden.shape[1] :]

    def state(self):
        """Return a copy, to be set again with ``restore``."""
        return {**vars(self), "carried": list(self.carried)}

    def restore(self, state):
        """Set what ``state`` returned."""
        vars(self).update(state)
