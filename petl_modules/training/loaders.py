"""Data loader of the training part."""

from speechbrain.dataio.dataloader import make_dataloader

from petl_modules.utils import HparamsError


def make_train_loader(brain, dataset, train_batches, options):
    """Make a Brain's sampler and training loader.

    Checkpoints save the loader's position in the epoch.

    Arguments
    ---------
    brain : speechbrain.Brain
        The Brain; its ``train_sampler`` is set.
    dataset : torch.utils.data.Dataset
        The training part.
    train_batches : callable
        Makes the sampler from the dataset's size.
    options : dict
        Further options of the loader.

    Returns
    -------
    speechbrain.dataio.dataloader.SaveableDataLoader

    Raises
    ------
    HparamsError
        If an epoch has too few batches for one update.
    """
    sampler = train_batches(len(dataset))
    if not sampler.updates:
        raise HparamsError(
            f"grad_accumulation_factor {sampler.accumulation} is larger than "
            f"the {len(sampler)} batches of an epoch: nothing would be trained"
        )
    loader = make_dataloader(dataset, batch_sampler=sampler, **options)
    brain.train_sampler = sampler
    brain.checkpointer.add_recoverable("train_loader", loader)
    return loader
