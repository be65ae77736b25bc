"""Learning rates by part of the model: the groups of an optimiser."""

from petl_modules.models import PARTS, trained_parts
from petl_modules.utils import HparamsError


def parameter_groups(modules, lr_by_part):
    """Return what an optimiser is made from.

    Arguments
    ---------
    modules : torch.nn.Module
        The Brain's modules, or a model.
    lr_by_part : dict
        Learning rates by part, see ``petl_modules.models.trained_parts``;
        other parts have the optimiser's own. Empty: all have.

    Returns
    -------
    list
        Without rates the trained parameters. With some, a group for each
        part that is trained, with its name under ``part``.

    Raises
    ------
    HparamsError
        If there is no such part, nothing of it is trained, or a rate is not
        above 0.

    Example
    -------
    >>> from torch import nn
    >>> [group] = parameter_groups(nn.Linear(2, 2), {"head": 0.01})
    >>> group["part"], group["lr"], len(group["params"])
    ('head', 0.01, 2)
    """
    if not lr_by_part:
        return [p for p in modules.parameters() if p.requires_grad]
    found = trained_parts(modules, lora_b="lora_b" in lr_by_part)
    parts = {
        part: parameters for part, parameters in found.items() if parameters
    }
    for part, rate in lr_by_part.items():
        if part not in PARTS:
            raise HparamsError(
                f"lr_by_part: no part '{part}'; parts: {', '.join(PARTS)}"
            )
        if part not in parts:
            raise HparamsError(
                f"lr_by_part: nothing of the part '{part}' is trained here; "
                f"trained are: {', '.join(parts)}. Leave it out"
            )
        if not rate > 0:
            raise HparamsError(
                f"lr_by_part: the rate of '{part}' is {rate}: it must be "
                "above 0"
            )
    return [
        {
            "params": parameters,
            "part": part,
            **({"lr": lr_by_part[part]} if part in lr_by_part else {}),
        }
        for part, parameters in parts.items()
    ]


def learning_rates(optimizer):
    """Return an optimiser's learning rates as a log names them.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        Made from ``parameter_groups``.

    Returns
    -------
    dict
        ``{"lr": rate}``, or with groups ``{"lr_head": rate, ...}``.
    """
    return {
        f"lr_{group['part']}" if "part" in group else "lr": group["lr"]
        for group in optimizer.param_groups
    }
