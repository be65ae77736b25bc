"""Run a batch whose clips belong to several tasks of one encoder."""

from functools import partial

import torch

from petl_modules.backbones import outputs_given, run_until


def run_mixed(batch, lengths, tasks, known=()):
    """Return the outputs of each clip's own model.

    What some of the models have in common at their beginning runs once for
    all of their clips: mostly the stem of the encoder, and all layers in front
    of the first that a task changes.

    Arguments
    ---------
    batch : torch.Tensor
        What the backbone takes, ``[batch, time, ...]``.
    lengths : torch.Tensor or None
        Relative lengths, ``[batch]``. None: nothing is padded.
    tasks : list
        Of each clip its task, with ``skeleton`` and ``state``.
    known : list of list
        Of each stage that has run, the outputs of its modules.

    Returns
    -------
    list of torch.Tensor
        ``[outputs]`` for each clip, in order.
    """
    first = tasks[0].skeleton
    if all(task is tasks[0] for task in tasks):
        first.activate(tasks[0].state)
        with outputs_given(*_given(first, known)):
            return [*first.model(batch, lengths).float()]
    depth = common = len(known)
    while len({_stage(task, common) for task in tasks}) == 1:
        common += 1
    if common > depth:
        ahead = [stage.modules for stage in first.common[depth:common]]
        encode = partial(first.model.encoder, batch, lengths)
        with outputs_given(*_given(first, known)):
            found = iter(run_until([m for part in ahead for m in part], encode))
        known = [*known, *([next(found) for _ in part] for part in ahead)]
    branches = {}
    for row, task in enumerate(tasks):
        branches.setdefault(_stage(task, common), []).append(row)
    outputs = [None] * len(tasks)
    for rows in branches.values():
        place = torch.tensor(rows, device=batch.device)
        found = run_mixed(
            batch[place],
            None if lengths is None else lengths[place],
            [tasks[row] for row in rows],
            [[_select(part, place) for part in stage] for stage in known],
        )
        for row, output in zip(rows, found):
            outputs[row] = output
    return outputs


def _stage(task, number):
    """Return what a stage computes with; of a task's own stages, the task."""
    common = task.skeleton.common
    return common[number].tensors if number < len(common) else id(task)


def _given(skeleton, known):
    """Return the modules that have run, and their outputs."""
    modules = [m for stage in skeleton.common[: len(known)] for m in stage[0]]
    return modules, [output for stage in known for output in stage]


def _select(output, rows):
    """Return the rows of a module's output; of a bias for all, the whole."""
    if isinstance(output, tuple):
        return tuple(_select(part, rows) for part in output)
    if isinstance(output, torch.Tensor) and len(output) > 1:
        return output[rows]
    return output
