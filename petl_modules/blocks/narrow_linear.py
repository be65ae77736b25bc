"""Products with narrow matrices, laid out so that they cost little.

Authors
 * The PETL audio recipes team 2026
"""

import torch.nn.functional as F


def widen(narrow, weight, bias=None):
    """A linear layer with far fewer inputs than outputs.

    As ``torch.nn.functional.linear``. On a CPU, a copy of the weight, which is
    small, gives the products of the backward pass the layout in which they
    are quick.

    Arguments
    ---------
    narrow : torch.Tensor
        ``[..., r]``.
    weight : torch.Tensor
        ``[d, r]``.
    bias : torch.Tensor or None
        ``[d]``.

    Returns
    -------
    torch.Tensor
        ``[..., d]``.
    """
    if narrow.is_cuda:
        return F.linear(narrow, weight, bias)
    return F.linear(narrow, weight.t().contiguous().t(), bias)
