"""Run a batch whose clips belong to several tasks of one encoder."""

from functools import partial
from itertools import takewhile

import torch

from petl_modules.backbones import outputs_given, run_until


def run_mixed(batch, lengths, tasks):
    """Return the outputs of each clip's own model.

    What all of the models have in common at their beginning, at least the
    stem of the encoder unless a task trains it, runs once for the whole batch.

    Arguments
    ---------
    batch : torch.Tensor
        What the backbone takes, ``[batch, time, ...]``.
    lengths : torch.Tensor or None
        Relative lengths, ``[batch]``. None: nothing is padded.
    tasks : list
        Of each clip its task, with ``skeleton`` and ``state``.

    Returns
    -------
    list of torch.Tensor
        ``[outputs]`` for each clip, in order.
    """
    rows_of = {}
    for row, task in enumerate(tasks):
        rows_of.setdefault(id(task), (task, []))[1].append(row)
    groups = [*rows_of.values()]
    skeletons = [task.skeleton for task, _ in groups]
    depth = _common_stages(skeletons) if len(groups) > 1 else 0
    known = []
    if depth:
        encode = partial(skeletons[0].model.encoder, batch, lengths)
        known = run_until(_modules(skeletons[0], depth), encode)
    outputs = [None] * len(batch)
    for task, rows in groups:
        place = torch.tensor(rows, device=batch.device)
        task.skeleton.activate(task.state)
        given = [_select(output, place, len(batch)) for output in known]
        with outputs_given(_modules(task.skeleton, depth), given):
            found = task.skeleton.model(
                batch[place], None if lengths is None else lengths[place]
            )
        for row, output in zip(rows, found.float()):
            outputs[row] = output
    return outputs


def _common_stages(skeletons):
    """Return how many stages compute the same in all of the models."""
    together = zip(*(skeleton.common for skeleton in skeletons))
    return sum(1 for _ in takewhile(_are_equal, together))


def _are_equal(stage):
    (_, first), *others = stage
    return all(tensors == first for _, tensors in others)


def _modules(skeleton, depth):
    return [m for modules, _ in skeleton.common[:depth] for m in modules]


def _select(output, rows, size):
    """Return the rows of a module's output; what has no rows, as it is."""
    if isinstance(output, tuple):
        return tuple(_select(part, rows, size) for part in output)
    if isinstance(output, torch.Tensor) and len(output) == size:
        return output[rows]
    return output
