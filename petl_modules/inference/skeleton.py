"""One set of modules for all tasks whose models have the same structure."""

import torch

from petl_modules.backbones import stages
from petl_modules.models import trained_tensors


class Skeleton:
    """A model with exchanged trained tensors, and shared frozen ones.

    Every frozen tensor that equals one of another skeleton, bit by bit, takes
    that one's memory. What a task trains stays its own: it is put in by
    pointer, not copied, where the model's device has it.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        Its modules are used, and moved to the device.
    device : str
        Where it computes.
    others : iterable of Skeleton
        Whose frozen tensors it shares.

    Attributes
    ----------
    frozen : list of torch.Tensor
        Parameters and buffers that no task has of its own.
    shapes : dict
        Of the trained tensors, by name.
    common : list of petl_modules.backbones.Stage
        The stages of the encoder up to the first with a trained tensor. Its
        ``tensors`` say which they are: where they are equal, so are outputs.
    """

    def __init__(self, model, device, others):
        self.model = model.eval()
        self.device = device
        self.active = None
        self._slots = trained_tensors(model)
        own = {id(slot) for slot in self._slots.values()}
        tensors = [*model.parameters(), *model.buffers()]
        self.frozen = [t for t in tensors if id(t) not in own]
        _share(self.frozen, device, others)
        self.shapes = {k: v.shape for k, v in self._slots.items()}
        self.common = []
        for stage in stages(model.encoder.backbone.sites):
            if any(id(tensor) in own for tensor in stage.tensors):
                break
            used = tuple(_identity(tensor) for tensor in stage.tensors)
            self.common.append(stage._replace(tensors=used))

    def activate(self, state):
        """Put the trained tensors of a task into the modules.

        Arguments
        ---------
        state : dict
            From name to tensor; see ``petl_modules.models.trained_tensors``.
        """
        if self.active is not state:
            for name, slot in self._slots.items():
                slot.data = state[name].to(self.device)
            self.active = state


def _share(tensors, device, others):
    """Let tensors have the memory of equal ones, or move them to the device."""
    known = {}
    for other in others:
        for tensor in other.frozen:
            known.setdefault(_sample(tensor), []).append(tensor.data)
    for tensor in tensors:
        value = tensor.data.to(device)
        equal = known.get(_sample(value), ())
        tensor.data = next((o for o in equal if torch.equal(o, value)), value)


def _sample(tensor):
    """Return what equal tensors share, and few others do."""
    values = tensor.data.flatten()[:8].tolist()
    return tensor.shape, tensor.dtype, tuple(values)


def _identity(tensor):
    return tensor.data_ptr(), tensor.shape, tensor.dtype
