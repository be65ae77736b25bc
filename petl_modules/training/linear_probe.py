"""Linear probing on cached frozen features.

If only the head is trained and nothing changes a clip between epochs, a clip's
pooled features are constant: they are computed once and kept in memory. With a
trained sum of layers they are the means of all layers' states.
"""

import os

import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.distributed import if_main_process, infer_device
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from petl_modules.data import longest_first
from petl_modules.models import LayerSum, MeanPooling, Probe
from petl_modules.training.frozen_parts import (
    autocast,
    by_precision,
    what_changes,
)

logger = get_logger(__name__)


def obstacle(hparams):
    """Return why a linear probe's features cannot be pooled once.

    Arguments
    ---------
    hparams : dict
        The recipe's hyperparameters; the ``model`` is a linear probe.

    Returns
    -------
    str or None
        None: the features can be pooled once.
    """
    model = hparams["model"]
    encoder, total = model.encoder, model.encoder.layer_sum
    if total is not None and type(total) is not LayerSum:
        return f"hidden_states is {type(total).__name__}, not LayerSum"
    if total is not None and len(total.adapters):
        return "hidden_states trains a block for each layer"
    if type(model.pooling) is not MeanPooling:  # another may not be linear
        return f"pool is {type(model.pooling).__name__}, not MeanPooling"
    if model.embedding is not None:
        return "there is an embedding in front of the head"
    if encoder.train_norms in ("layers", "all"):
        return "train_norms trains the norms within the layers"
    if encoder.train_norms and not encoder.backbone.sites.layout.pre_norm:
        return "train_norms trains a norm in front of the layers"
    return what_changes(hparams)


class PooledClips(torch.utils.data.Dataset):
    """Clips with their pooled features.

    Arguments
    ---------
    clips : list of str
        Ids of the clips.
    pooled : dict
        ``(features [d_model], target [1])`` by id; may hold further clips.
    """

    def __init__(self, clips, pooled):
        self.clips = clips
        self.pooled = pooled

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        clip = self.clips[index]
        features, target = self.pooled[clip]
        return {"id": clip, "features": features, "target": target}


def pool_once(datasets, hparams, run_opts, known):
    """Pool the frozen features of a linear probe, if that is possible.

    Call this function before the Brain and the loaders are made. A debug run,
    which reads a few batches only, does not pool.

    Arguments
    ---------
    datasets : dict
        See ``petl_modules.data.make_datasets``.
    hparams : dict
        The recipe's hyperparameters. Not changed.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's options.
    known : dict
        Pooled features of the run's previous fold. They are used if this fold
        has the same clips and precision, whatever the parts. Updated in place
        with the features of this fold.

    Returns
    -------
    tuple of dict
        The datasets and hyperparameters to train with. If features are pooled:
        datasets of pooled features, a ``Probe`` as ``modules``, and loaders
        without workers. Otherwise both are returned unchanged.
    """
    model = hparams["model"]
    if model.encoder.methods or model.encoder.train_backbone != "none":
        return datasets, hparams
    if run_opts.debug:
        return datasets, hparams
    if reason := obstacle(hparams):
        logger.info(f"features are not pooled once: {reason}")
        return datasets, hparams
    groups = _groups(datasets, hparams, run_opts, model.encoder)
    if reason := _too_large(groups, model.encoder):
        logger.warning(f"features are not pooled once: {reason}")
        return datasets, hparams
    device = run_opts.device or infer_device()
    model.to(device).eval()
    probe = Probe(model)
    for key in known.keys() - groups.keys():
        del known[key]
    quiet = run_opts.noprogressbar or not if_main_process()
    pooled = {}
    for key, parts in groups.items():
        if key not in known:
            loader = _loader(parts, hparams["test_loader"])
            loader = tqdm(loader, "Pooling frozen features", disable=quiet)
            known[key] = _pool(probe, loader, device, precision=key[0])
        for part, dataset in parts.items():
            pooled[part] = PooledClips(dataset.data_ids, known[key])
    changed = {"modules": {"model": probe}}
    for name in ("train_loader", "test_loader"):
        changed[name] = {**hparams[name], "num_workers": 0}
    return pooled, {**hparams, **changed}


def _groups(datasets, hparams, run_opts, encoder):
    """Group the parts that are pooled together, in the same precision.

    Returns
    -------
    dict
        ``{part: dataset}`` by precision, clips and the encoder's settings.
    """
    groups = {}
    by = by_precision(datasets, hparams, run_opts)
    for precision, parts in by.items():
        clips = frozenset(c for d in parts.values() for c in d.data_ids)
        key = (precision, clips, str(encoder.settings()))
        groups[key] = parts
    return groups


def _too_large(groups, encoder):
    """Return why the features do not fit into the memory, or None."""
    layers = encoder.backbone.sites.n_layers
    states = 1 if encoder.layer_sum is None else layers + 1
    clips = sum(len(clips) for _, clips, _ in groups)
    size = 4 * clips * states * encoder.d_model  # float32
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size <= memory / 2:
        return None
    return (
        f"the means of {states} states of {clips} clips take {size / 1e9:.1f} "
        f"GB, more than half of the memory ({memory / 1e9:.1f} GB)"
    )


def _loader(datasets, loading):
    """Return a loader of all clips of some parts.

    The batches depend on the set of clips alone, not on their parts. Features
    are then bit-identical whatever the fold.
    """
    records = {c: r for part in datasets.values() for c, r in part.data.items()}
    places = {clip: place for place, clip in enumerate(records)}
    order = [places[c] for c in longest_first(dict(sorted(records.items())))]
    clips = torch.utils.data.ConcatDataset(datasets.values())
    return make_dataloader(clips, sampler=order, **loading)


def _pool(probe, loader, device, precision):
    """Return pooled features and target of each clip, by id."""
    context = autocast(device, precision)
    pooled = {}
    for batch in loader:
        batch = batch.to(device)
        with context:
            features = probe.pool(*batch.features).cpu()
        targets = batch.target.data.cpu()
        pooled.update(zip(batch.id, zip(features, targets)))
    return pooled
