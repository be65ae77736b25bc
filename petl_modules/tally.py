"""Loss, accuracy and predictions of one pass over a dataset.

Authors
 * The PETL audio recipes team 2026
"""

import torch
from speechbrain.utils.distributed import ddp_all_reduce


class Tally:
    """Counts what a classifier gets right.

    Everything stays on the device until it is asked for, and every clip
    weighs the same, whatever the sizes of the batches.

    Arguments
    ---------
    labels : list of str
        Class names in the order of the logits.

    Example
    -------
    >>> tally = Tally(["cat", "dog"])
    >>> logits, targets = torch.eye(2), torch.tensor([0, 0])
    >>> tally.add(["a", "b"], logits, targets, torch.tensor(0.5))
    >>> tally.result()
    {'loss': 0.5, 'accuracy': 0.5}
    >>> tally.predictions()[1]["predicted"]
    'dog'
    """

    def __init__(self, labels):
        self.labels = labels
        self.batches = []
        self.sums = 0

    def add(self, clips, logits, targets, loss):
        """Counts one batch.

        Arguments
        ---------
        clips : list of str
            Their ids.
        logits : torch.Tensor
            ``[batch, classes]``.
        targets : torch.Tensor
            Class indices, ``[batch]``.
        loss : torch.Tensor
            Mean loss of the batch.
        """
        best = logits.detach().float().softmax(-1).max(-1)
        correct = (best.indices == targets).sum()
        size = targets.new_tensor(len(targets))
        sums = torch.stack([loss.detach() * size, correct, size])
        self.sums = self.sums + sums.float()
        self.batches.append((clips, targets, best.indices, best.values))

    def result(self, shared_out=False):
        """Mean loss and accuracy.

        Arguments
        ---------
        shared_out : bool
            Whether the processes of a distributed run saw different clips.

        Returns
        -------
        dict
            ``loss`` and ``accuracy`` (0 to 1).
        """
        sums = self.sums
        if shared_out:
            sums = ddp_all_reduce(sums, torch.distributed.ReduceOp.SUM)
        loss, correct, size = sums.tolist()
        return {"loss": loss / size, "accuracy": correct / size}

    def predictions(self):
        """One row a clip.

        Returns
        -------
        list of dict
            ``id``, ``label``, ``predicted`` and ``probability``.
        """
        return [
            {
                "id": clip,
                "label": self.labels[target],
                "predicted": self.labels[index],
                "probability": round(value, 6),
            }
            for clips, *tensors in self.batches
            for clip, target, index, value in zip(
                clips, *(tensor.tolist() for tensor in tensors)
            )
        ]
