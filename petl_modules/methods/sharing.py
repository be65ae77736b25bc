"""Sub-modules that several blocks have in common."""

from petl_modules.utils import HparamsError


def share_module(block, first, name, place):
    """Replace a sub-module of a block by that of the first block.

    Arguments
    ---------
    block, first : torch.nn.Module
        Two blocks of one method; they may be the same.
    name : str
        Path of the sub-module, such as ``up_proj``.
    place : str
        Where the block stands, for error messages.

    Raises
    ------
    HparamsError
        If there is no such sub-module, if it has statistics, which are of one
        place, or if the two have tensors of different shapes.
    """
    modules = dict(block.named_modules(remove_duplicate=False))
    del modules[""]
    if name not in modules:
        raise HparamsError(
            f"share: '{name}' is no sub-module of {type(block).__name__}; "
            f"sub-modules: {', '.join(modules) or 'none'}"
        )
    if any(True for _ in modules[name].buffers()):
        raise HparamsError(
            f"share: '{name}' of {type(block).__name__} has buffers, such as "
            "the statistics of a batch norm, which differ from place to place"
        )
    shared = first.get_submodule(name)
    forms = [
        {key: tuple(value.shape) for key, value in module.named_parameters()}
        for module in (shared, modules[name])
    ]
    if forms[0] != forms[1]:
        raise HparamsError(
            f"share: '{name}' cannot be the same at all places: it has "
            f"{forms[0]} at the first, and {forms[1]} at {place}. Insert the "
            "block at sites of one width, or by a method for each width"
        )
    block.set_submodule(name, shared)
