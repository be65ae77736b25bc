"""Run a batch whose clips belong to several tasks of one encoder."""

from functools import partial

import torch

from petl_modules.backbones import outputs_given, run_until
from petl_modules.inference.prefetch import padded
from petl_modules.utils import HparamsError


def logits_of(features, lengths, tasks, device):
    """Return the logits of each sound's own model.

    Arguments
    ---------
    features, lengths
        See ``petl_modules.TaskBank.logits``.
    tasks : list of petl_modules.inference.bank_task.BankTask
        The task of each sound.
    device : str
        Where the models are.

    Returns
    -------
    list of torch.Tensor
        ``[classes]`` of each sound's task, in order: the mean of its windows.
    """
    pieces = [
        (sound, task, piece, None if lengths is None else lengths[sound])
        for sound, task in enumerate(tasks)
        for piece in _windows(features[sound], task)
    ]
    groups = {}
    for place, (_, task, *_) in enumerate(pieces):
        settings = task.skeleton.model.encoder.backbone.settings
        groups.setdefault(settings.get("frames"), []).append(place)
    found = [[] for _ in features]
    for places in groups.values():
        chosen = [pieces[place] for place in places]
        for (sound, *_), outputs in zip(chosen, _run_pieces(chosen, device)):
            found[sound].append(outputs)
    return [torch.stack(outputs).mean(0) for outputs in found]


def _windows(features, task):
    """Return the windows of a sound, each what the encoder takes."""
    several = task.windows.test not in (1, "whole")
    return features.unbind() if several else [features]


def _run_pieces(pieces, device):
    """Return the outputs of windows that one encoder takes together."""
    _, tasks, features, lengths = zip(*pieces)
    if lengths[0] is None:
        batch, lengths = padded(features)
        layout = tasks[0].skeleton.model.encoder.backbone.sites.layout
        if lengths is not None and not layout.time_major:
            raise HparamsError(
                "spectrograms of tasks with the same number of frames have "
                f"{sorted({*map(len, features)})} frames"
            )
    else:
        batch, lengths = torch.stack(features), torch.stack(lengths)
    lengths = None if lengths is None else lengths.to(device)
    return run_mixed(batch.to(device), lengths, tasks)


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
