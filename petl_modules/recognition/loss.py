"""The loss of recognition: connectionist temporal classification (CTC)."""

import torch
import torch.nn.functional as F

from petl_modules.utils import DataError, listed


def ctc_losses(logits, mask, targets, counts, ids=None):
    """Return the CTC loss of each clip, per unit, in float32.

    https://www.cs.toronto.edu/~graves/icml_2006.pdf. It is that of the clip
    alone, whatever its batch. The blank is the output 0.

    Arguments
    ---------
    logits : torch.Tensor
        ``[batch, time, units]``.
    mask : torch.Tensor or None
        True for real frames, which come first, ``[batch, time]``. None: all
        are real.
    targets : torch.Tensor
        Indices of units, padded, ``[batch, longest]``.
    counts : torch.Tensor
        Number of units of each clip, ``[batch]``.
    ids : list of str or None
        Ids of the clips, for the error.

    Returns
    -------
    torch.Tensor
        ``[batch]``, each divided by its count.

    Raises
    ------
    DataError
        A clip has fewer frames than its units need; names all such clips.

    Example
    -------
    >>> logits, targets = torch.zeros(1, 2, 3), torch.tensor([[1]])
    >>> ctc_losses(logits, None, targets, torch.tensor([1])).exp()  # 9 / 3
    tensor([3.])
    """
    frames = torch.full_like(counts, logits.shape[1])
    if mask is not None:
        frames = mask.sum(1)
    real = torch.arange(targets.shape[1], device=targets.device)
    real = real[1:] < counts.unsqueeze(1)
    repeats = ((targets[:, 1:] == targets[:, :-1]) & real).sum(1)
    # One copy to the host, which PyTorch's function would make, too
    facts = torch.stack([frames, counts, counts + repeats]).cpu()
    _require_enough(*facts.tolist(), ids)
    losses = F.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1),
        targets,
        facts[0],
        facts[1],
        reduction="none",
    )
    return losses / counts


def _require_enough(frames, counts, needed, ids):
    """Refuse clips without units, or with too few frames for them."""
    ids = ids or [f"clip {i + 1} of the batch" for i in range(len(counts))]
    problems = [
        f"{clip}: {count} units need {least} frames, and it has {there}"
        for clip, there, count, least in zip(ids, frames, counts, needed)
        if there < least or not count
    ]
    if problems:
        raise DataError(
            "these clips are too short for their transcripts, so no output "
            f"can be theirs:\n{listed(problems, limit=20)}\nAre their "
            "transcripts right? Correct them, leave the clips out, or choose "
            "units of which a text has fewer, such as sentencepiece"
        )
