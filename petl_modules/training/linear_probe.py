"""Linear probing on frozen features that are pooled once.

Where only the head is trained, and nothing changes a clip between epochs, a
clip's pooled features stay the same: they are computed once and kept.

Authors
 * The PETL audio recipes team 2026
"""

import contextlib

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
    model : petl_modules.models.TunedModel
        The parameters are its own. A trained norm at the end of the backbone
        keeps its scale and shift here: a mean over tokens goes through them.

    Example
    -------
    >>> import tempfile
    >>> from petl_modules.backbones import AST, write_tiny_ast
    >>> from petl_modules.models import TunedModel
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
    model : petl_modules.models.TunedModel
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
    """Clips with their pooled features.

    Arguments
    ---------
    clips : list of str
        Their ids.
    pooled : dict
        ``(features [d_model], target [1])`` by id, of these and maybe others.
        A clip that is not in it could not be read.
    """

    def __init__(self, clips, pooled):
        self.clips = clips
        self.pooled = pooled

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        clip = self.clips[index]
        features, target = self.pooled.get(clip, (None, None))
        return {"id": clip, "features": features, "target": target}


def pool_once(datasets, hparams, run_opts, known):
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
    known : dict
        What the run's last fold pooled. It is used where this fold has the
        same clips to compute in the same precision, in whatever parts, and
        then holds what this one pooled.

    Returns
    -------
    dict
        The datasets, of pooled features or as they were.
    """
    from speechbrain import Brain

    model = hparams["tuned_model"]
    if model.methods or model.train_backbone != "none" or run_opts.debug:
        return datasets, hparams
    brain = Brain(hparams["modules"], hparams=hparams, run_opts=run_opts)
    reason = obstacle(model, hparams["augment"])
    if reason:
        logger.info(f"features are not pooled once: {reason}")
        return datasets, hparams
    probe = Probe(model).to(brain.device)
    model.eval()
    groups = _groups(brain, datasets, model.backbone)
    for key in known.keys() - groups.keys():
        del known[key]
    pooled = {}
    for key, (context, parts) in groups.items():
        if key not in known:
            loading = hparams["test_loader"]
            known[key] = _pool(brain, probe, parts, loading, context)
        for part, dataset in parts.items():
            pooled[part] = PooledClips(dataset.data_ids, known[key])
    hparams = dict(hparams, modules={"model": probe})
    for key in ("train_loader", "test_loader"):
        hparams[key] = dict(hparams[key], num_workers=0)
    return pooled, hparams


def _groups(brain, datasets, backbone):
    """Parts that are computed alike.

    Returns
    -------
    dict
        ``(context, {part: dataset})`` by all that decides the features.
    """
    found = {}
    for part, dataset in datasets.items():
        precision, context = brain.eval_precision, brain.evaluation_ctx
        if part == "train":
            precision, context = brain.precision, brain.training_ctx
        found.setdefault(precision, (context, {}))[1][part] = dataset
    groups = {}
    for precision, (context, parts) in found.items():
        clips = frozenset(c for d in parts.values() for c in d.data_ids)
        key = (precision, clips, *backbone.settings.values())
        groups[key] = context, parts
    return groups


def _pool(brain, probe, datasets, loading, context):
    """Features and targets of all clips of some parts, by id.

    The batches depend on the clips alone, not on the part that each is in, and
    so do the features to their last bit.
    """
    records = {c: r for part in datasets.values() for c, r in part.data.items()}
    places = {clip: place for place, clip in enumerate(records)}
    order = [places[c] for c in longest_first(dict(sorted(records.items())))]
    clips = torch.utils.data.ConcatDataset(datasets.values())
    loader = make_dataloader(clips, sampler=order, **loading)
    quiet = brain.noprogressbar or not if_main_process()
    pooled = {}
    for batch in tqdm(loader, "Pooling frozen features", disable=quiet):
        if not batch.id:  # none of them can be read
            continue
        batch = batch.to(brain.device)
        with context:
            features = probe.pool(*batch.features).cpu()
        targets = batch.target.data.cpu()
        pooled.update(zip(batch.id, zip(features, targets)))
    return pooled
