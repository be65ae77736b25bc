"""The data loader of the training part."""

from speechbrain.dataio.dataloader import make_dataloader

from petl_modules.utils import HparamsError


def make_train_loader(dataset, sampler, options):
    """Return a loader whose position in the epoch can be saved.

    Arguments
    ---------
    dataset : torch.utils.data.Dataset
        The training part.
    sampler : petl_modules.data.EpochBatches
        Decides the batches.
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
    if not sampler.updates:
        raise HparamsError(
            f"grad_accumulation_factor {sampler.accumulation} is larger than "
            f"the {len(sampler)} batches of an epoch: nothing would be trained"
        )
    return make_dataloader(dataset, batch_sampler=sampler, **options)
