"""Linear probing on frozen features that are pooled once.

Where only the head is trained, and nothing changes a clip between epochs, a
clip's pooled features stay the same: they are computed once and kept.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib

import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.logger import get_logger
from torch import nn
from tqdm import tqdm

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
    """Why features cannot be pooled once.

    Arguments
    ---------
    model : petl_modules.tuned_model.TunedModel
        The model.
    augment : torch.nn.Module
        What is done to the features in training.

    Returns
    -------
    str or None
        None: they can.
    """
    if model.methods or model.train_backbone != "none":
        return "the method changes them in every step"
    if model.train_norms and not model.backbone.sites.layout.norm_is_last:
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
    features : dict
        From id to ``[d_model]``. Those that lack could not be read.
    targets : dict
        From id to class index, ``[1]``.
    """

    def __init__(self, clips, features, targets):
        self.clips = clips
        self.rows = {clip: row for row, clip in enumerate(features)}
        self.features = torch.stack([*features.values()])
        self.targets = torch.stack([*targets.values()])

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        clip = self.clips[index]
        row = self.rows.get(clip)
        if row is None:
            return {"id": clip, "features": None, "target": None}
        features, target = self.features[row], self.targets[row]
        return {"id": clip, "features": features, "target": target}


def pool_once(brain, datasets, loading):
    """Pools the frozen features of a linear probe, where that can be.

    Arguments
    ---------
    brain : speechbrain.Brain
        Its model becomes a ``Probe`` then, and otherwise stays.
    datasets : dict
        See ``petl_modules.data.make_datasets``.
    loading : dict
        How the test loader loads: a clip is pooled as it is tested.

    Returns
    -------
    dict
        The datasets, of pooled features or as they were.
    """
    model = brain.hparams.tuned_model
    reason = obstacle(model, brain.hparams.augment)
    if reason:
        if not model.methods and model.train_backbone == "none":
            logger.info(f"features are not pooled once: {reason}")
        return datasets
    probe = Probe(model).to(brain.device)
    brain.modules["model"] = probe
    model.eval()
    return {
        part: _pool_part(brain, probe, part, dataset, loading)
        for part, dataset in datasets.items()
    }


def _pool_part(brain, probe, part, dataset, loading):
    features, targets = {}, {}
    title = f"Pooling frozen features ({part})"
    loader = make_dataloader(dataset, **loading)
    for batch in tqdm(loader, title, disable=brain.noprogressbar):
        batch = batch.to(brain.device)
        with brain.evaluation_ctx:
            rows = probe.pool(*batch.features).cpu()
        features.update(zip(batch.id, rows))
        targets.update(zip(batch.id, batch.target.data.cpu()))
    return PooledClips(dataset.data_ids, features, targets)
