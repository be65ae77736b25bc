"""Linear probing on frozen features that are pooled once.

Where only the head is trained, and nothing changes a clip between epochs, a
clip's pooled features stay the same: they are computed once and kept.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib
import math

import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import nn
from tqdm import tqdm

from petl_modules.data import longest_first

logger = get_logger(__name__)


class Probe(nn.Module):
    """What a linear probe trains, on pooled features.

    Arguments
    ---------
    model : petl_modules.tuned_model.TunedModel
        The parameters are its own. A trained norm at the end of the backbone
        keeps its scale and shift here: a mean over tokens goes through them.

    Example
    -------
    >>> import tempfile
    >>> from petl_modules.backbones import AST, write_tiny_ast
    >>> from petl_modules.tuned_model import TunedModel
    >>> folder = tempfile.mkdtemp() + "/tiny-ast"
    >>> write_tiny_ast(folder)
    >>> model = TunedModel(AST(folder, frames=100), ["cat", "dog"])
    >>> probe = Probe(model)
    >>> probe(probe.pool(torch.rand(3, 100, 128))).shape
    torch.Size([3, 2])
    """

    def __init__(self, model):
        super().__init__()
        norm = model.backbone.sites.module("final_norm")
        self.norm = norm if model.train_norms else None
        self.head = model.head
        self._model = [model]  # frozen, and none of this module's parts

    def forward(self, pooled, lengths=None):
        """Returns the logits, ``[batch, classes]``, of ``[batch, d_model]``."""
        if self.norm is not None:
            pooled = pooled * self.norm.weight + self.norm.bias
        return self.head(pooled)

    @torch.no_grad()
    def pool(self, inputs, lengths=None):
        """Returns what ``forward`` takes, in float32.

        Arguments
        ---------
        inputs, lengths : torch.Tensor
            See ``TunedModel.forward``.

        Returns
        -------
        torch.Tensor
            ``[batch, d_model]``.
        """
        with _without_affine(self.norm):
            return self._model[0].pooled(inputs, lengths).float()


@contextlib.contextmanager
def _without_affine(norm):
    """Within it a norm neither scales nor shifts."""
    if norm is None:
        yield
        return
    weight, bias = norm.weight.data, norm.bias.data
    norm.weight.data = torch.ones_like(weight)
    norm.bias.data = torch.zeros_like(bias)
    try:
        yield
    finally:
        norm.weight.data, norm.bias.data = weight, bias


def obstacle(model, augment):
    """Why a linear probe's features cannot be pooled once.

    Arguments
    ---------
    model : petl_modules.tuned_model.TunedModel
        A linear probe.
    augment : torch.nn.Module
        What is done to the features in training.

    Returns
    -------
    str or None
        None: they can.
    """
    if model.train_norms and not model.backbone.sites.layout.pre_norm:
        return "train_norms trains a norm in front of the layers"
    if not isinstance(augment, nn.Identity):
        return (
            f"{type(augment).__name__} changes them in every epoch; "
            "--augment '!new:torch.nn.Identity {}' leaves it out"
        )
    return None


class PooledClips(torch.utils.data.Dataset):
    """Clips of which the pooled features are held.

    Arguments
    ---------
    clips : list of str
        Their ids.
    d_model : int
        Size of the features.
    """

    def __init__(self, clips, d_model):
        self.clips = clips
        self.features = torch.full((len(clips), d_model), math.nan)
        self.targets = torch.full((len(clips), 1), -1)  # -1: cannot be read

    def put(self, rows, features, targets):
        """Takes in the features ``[rows, d_model]`` of some clips."""
        self.features[rows] = features.cpu()
        self.targets[rows] = targets.cpu()

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        features, target = self.features[index], self.targets[index]
        if target < 0:
            features = target = None
        return {"id": self.clips[index], "features": features, "target": target}


def pool_once(brain, datasets, hparams):
    """Pools the frozen features of a linear probe, where that can be.

    A debug run, which sees a few batches, does not pool.

    Arguments
    ---------
    brain : speechbrain.Brain
        Its model becomes a ``Probe`` then, and otherwise stays.
    datasets : dict
        See ``petl_modules.data.make_datasets``.
    hparams : dict
        The recipe's. Its loaders get no workers then: nothing is left to do
        for them.

    Returns
    -------
    dict
        The datasets, of pooled features or as they were.
    """
    model = hparams["tuned_model"]
    if model.methods or model.train_backbone != "none" or brain.debug:
        return datasets
    reason = obstacle(model, hparams["augment"])
    if reason:
        logger.info(f"features are not pooled once: {reason}")
        return datasets
    probe = Probe(model).to(brain.device)
    model.eval()
    pooled = {
        part: _pool_part(brain, probe, part, dataset, hparams["test_loader"])
        for part, dataset in datasets.items()
    }
    brain.modules["model"] = probe
    hparams["train_loader"]["num_workers"] = 0
    hparams["test_loader"]["num_workers"] = 0
    return pooled


def _pool_part(brain, probe, part, dataset, loading):
    """Pooled features of one part, as precise as its stage computes."""
    precision = brain.training_ctx if part == "train" else brain.evaluation_ctx
    clips = PooledClips(dataset.data_ids, probe.head.in_features)
    rows = {clip: row for row, clip in enumerate(clips.clips)}
    title = f"Pooling frozen features ({part})"
    quiet = brain.noprogressbar or not if_main_process()
    order = [rows[clip] for clip in longest_first(dataset.data)]
    loader = make_dataloader(dataset, sampler=order, **loading)
    for batch in tqdm(loader, title, disable=quiet):
        if not batch.id:  # none of them can be read
            continue
        batch = batch.to(brain.device)
        with precision:
            features = probe.pool(*batch.features)
        clips.put([rows[c] for c in batch.id], features, batch.target.data)
    return clips
