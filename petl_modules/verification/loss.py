"""Loss of training by speakers: cross-entropy with an angular margin."""

import torch.nn.functional as F
from speechbrain.nnet.losses import AdditiveAngularMargin


def angular_margin_loss(
    cosines, targets, *, margin=0.2, scale=30.0, reduction="mean"
):
    """Return the cross-entropy with an additive angular margin.

    The angle between an embedding and its speaker's weights grows by the
    margin before the softmax: ``scale * cos(angle + margin)``
    (https://arxiv.org/abs/1801.07698, equation 3). Where the sum would exceed
    a half turn, ``cos(angle) - margin * sin(margin)`` keeps it monotonic.

    Arguments
    ---------
    cosines : torch.Tensor
        Between embeddings and speakers, ``[batch, speakers]`` or, as
        SpeechBrain's ``Classifier`` gives them, ``[batch, 1, speakers]``.
    targets : torch.Tensor
        Indices of the speakers, ``[batch]``.
    margin : float
        In radians.
    scale : float
        Factor of the cosines.
    reduction : str
        See ``torch.nn.functional.cross_entropy``.

    Returns
    -------
    torch.Tensor
        A scalar, or ``[batch]`` with the reduction ``none``.

    Example
    -------
    >>> import torch
    >>> cosines, target = torch.tensor([[0.5, 0.1, -0.2]]), torch.tensor([0])
    >>> f"{angular_margin_loss(cosines, target):.6f}"
    '0.001444'
    """
    cosines = cosines.flatten(1).float()
    chosen = F.one_hot(targets, cosines.shape[1]).to(cosines.dtype)
    logits = AdditiveAngularMargin(margin, scale)(cosines, chosen)
    return F.cross_entropy(logits, targets, reduction=reduction)
