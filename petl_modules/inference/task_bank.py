"""Many trained classifiers on one frozen encoder."""

import threading
from collections.abc import Iterable

import torch

from petl_modules.backbones import find_checkpoint
from petl_modules.inference.bank_task import BankTask, open_task
from petl_modules.inference.batches import (
    BATCH,
    not_finite,
    require_counts,
    warn,
)
from petl_modules.inference.mixed_batch import logits_of
from petl_modules.inference.prefetch import prefetched
from petl_modules.inference.sound_lists import is_one, named
from petl_modules.inference.window_scores import best_of
from petl_modules.runs.devices import check_device
from petl_modules.utils import HparamsError


class TaskBank:
    """Trained classifiers of one frozen encoder, which is in memory once.

    A task is what was trained: its blocks and its head. A batch may mix tasks,
    also those of several methods: what their models have in common at the
    beginning runs once, the rest for each task. Each sound's result is that of
    the task's own model.

    ====================== =================================================
    of a task              memory
    ====================== =================================================
    frozen weights         the encoder's, once for all tasks
    what it trains itself  its own, also biases, norms and layers of the
                           encoder (``train_backbone``, ``train_norms``); on
                           the host, and on the device while it runs
    modules                those of all tasks whose methods are the same
    positions of AST cut   once for each length
    frozen weights stored  once for all tasks that store them so
    in bfloat16
    ====================== =================================================

    LoRA is not merged. The bank can be used from several threads: tasks may be
    added, removed and swapped while they are in use, and batches run one at a
    time. A call goes on with the tasks that it began with.

    Arguments
    ---------
    backbone : str or pathlib.Path
        The frozen encoder: a folder, or a name on the Hugging Face hub.
    device : str
        Where it computes.

    Attributes
    ----------
    base : str or None
        SHA-256 of the encoder's weights. None: no task was added yet.
    skeletons : dict
        The ``Skeleton`` of each structure of models.

    Raises
    ------
    petl_modules.utils.HparamsError
        If there is no such encoder or device.
    """

    def __init__(self, backbone, device="cpu"):
        check_device(device)
        self.backbone = find_checkpoint(backbone).source
        self.device = device
        self.base = None
        self.skeletons = {}
        self._tasks = {}
        self._changing, self._running = threading.RLock(), threading.RLock()

    @property
    def tasks(self):
        """Names of the tasks."""
        return [*self._tasks]

    def labels(self, name):
        """Return the names of a task's classes, in the order of its logits."""
        return self.task(name).labels

    def task(self, name):
        """Return a task, a ``petl_modules.inference.bank_task.BankTask``.

        It can be given in place of its name, and stays the same if another one
        takes its name.
        """
        if isinstance(name, BankTask):
            return name
        task = self._tasks.get(name) if isinstance(name, str) else None
        if task is None:
            raise HparamsError(
                f"the bank has no task '{name}'; tasks: "
                f"{', '.join(self.tasks) or 'none'}"
            )
        return task

    def add(self, name, folder):
        """Add a trained model as a task, in place of one of the same name.

        Arguments
        ---------
        name : str
            The task's name.
        folder : str or pathlib.Path
            A run, a fold or a travelling folder, or its name on the hub; see
            ``petl_modules.inference.trained_model.TrainedModel``.

        Returns
        -------
        TaskBank
            The bank.

        Raises
        ------
        FileNotFoundError
            If the folder has no trained model.
        UserError
            If it is no classifier, was trained on another encoder, or cannot
            be opened; the bank is as before.
        """
        if not isinstance(name, str):
            raise HparamsError(f"a task's name is {name!r}: give a text")
        with self._changing:
            task, base = open_task(folder, self)
            self.base = base
            self.skeletons[task.structure] = task.skeleton
            self._put(name, task)
        return self

    def remove(self, name):
        """Remove a task; what no other task needs is freed.

        Arguments
        ---------
        name : str
            The task's name.

        Raises
        ------
        petl_modules.utils.HparamsError
            If there is no such task.
        """
        with self._changing:
            self.task(name)
            self._put(name, None)

    def _put(self, name, task):
        """Set or remove a task, and let go of the one that had its name."""
        with self._running:
            old = self._tasks.get(name)
            if task is None:
                del self._tasks[name]
            else:
                self._tasks[name] = task
            if old is None:
                return
            tasks = self._tasks.values()
            same = [t for t in tasks if t.structure == old.structure]
            if not same:
                del self.skeletons[old.structure]
            elif old.skeleton.active is old.state:
                old.skeleton.activate(same[0].state)

    def __call__(self, sounds, tasks, top=5, *, batch_size=BATCH):
        """Classify sounds, each by its task.

        Arguments
        ---------
        sounds : object
            One sound or many; see ``petl_modules.AudioClassifier``.
        tasks : str or list of str
            The task of each sound; one name is that of all.
        top : int or None
            How many classes to return. None: all.
        batch_size : int
            Sounds that are read and run at a time.

        Returns
        -------
        list of tuple
            Labels and their probabilities, the most probable first; of many
            sounds, a list of these.

        Raises
        ------
        petl_modules.utils.AudioError
            If a sound cannot be used, or a model makes no finite numbers of
            it.
        petl_modules.utils.HparamsError
            If there is no such task, or not one for each sound.
        """
        counts = {} if top is None else {"top": top}
        require_counts(batch_size=batch_size, **counts)
        items = named(sounds)
        tasks = self._each(tasks, len(items))
        found = []
        pairs = [(name, item, t) for (name, item), t in zip(items, tasks)]
        ready = prefetched(self._prepare, pairs, 2 * batch_size)
        for start in range(0, len(tasks), batch_size):
            part = tasks[start : start + batch_size]
            features = [next(ready) for _ in part]
            for logits, task in zip(self.logits(features, part), part):
                name = items[len(found)][0]
                found.append(self.rank(logits, task, top, name))
        return found[0] if is_one(sounds) else found

    def _prepare(self, item):
        name, sound, task = item
        features, remarks = task.prepare(sound, name)
        warn(name, remarks)
        return features

    def rank(self, logits, task, top=5, name="the sound"):
        """Return labels and probabilities of one sound; see ``__call__``.

        Arguments
        ---------
        logits : torch.Tensor
            See ``logits``.
        task : str or petl_modules.inference.bank_task.BankTask
            The sound's task.
        top, name
            How many classes to return, and what an error calls the sound.

        Returns
        -------
        list of tuple
        """
        if not logits.isfinite().all():
            raise not_finite(name)
        row = logits.softmax(-1).cpu().numpy()
        return best_of(row, self.task(task).labels, top)

    @torch.inference_mode()
    def logits(self, features, tasks, lengths=None):
        """Return the logits of a mixed batch.

        Arguments
        ---------
        features : torch.Tensor or list of torch.Tensor
            What the encoder takes, ``[batch, time, ...]``; or of each sound
            ``[time, ...]``, of any lengths. Of a task that is tested on
            several windows, ``[windows, time, ...]`` each: its logits are
            their mean.
        tasks : str or list of str
            See ``__call__``; or such tasks themselves, see ``task``.
        lengths : torch.Tensor or None
            Of a padded tensor the relative lengths, ``[batch]``.

        Returns
        -------
        list of torch.Tensor
            ``[classes]`` of each sound's task, in order.
        """
        with self._running:
            tasks = self._each(tasks, len(features))
            return logits_of(features, lengths, tasks, self.device)

    def _each(self, tasks, count):
        """Return the task of each sound."""
        is_one = isinstance(tasks, (str, BankTask))
        if is_one or not isinstance(tasks, Iterable):
            tasks = [tasks] * count
        tasks = [*tasks]
        if len(tasks) != count:
            raise HparamsError(
                f"there are {count} sounds and {len(tasks)} tasks: name one "
                "task for each sound, or one for all"
            )
        return [*map(self.task, tasks)]
