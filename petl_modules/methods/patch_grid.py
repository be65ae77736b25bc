"""Blocks that read the patches of a spectrogram as an image."""

from petl_modules.utils import HparamsError


def give_grid(block, sites):
    """Tell a block that reads patches how they are arranged.

    Arguments
    ---------
    block : torch.nn.Module
        Each module in it that has a ``grid`` gets that of the encoder.
    sites : petl_modules.backbones.Sites
        The encoder's.

    Raises
    ------
    HparamsError
        If there is such a module, and the encoder has no patches.
    """
    for module in block.modules():
        if not hasattr(module, "grid"):
            continue
        if sites.grid is None:
            raise HparamsError(
                f"{type(module).__name__} is over patches of frequency and "
                f"time, and a {sites.kind} has frames in time. Take a block "
                "over these, such as ConvPass with 'over: time'"
            )
        module.grid = sites.grid
