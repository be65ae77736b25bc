"""Settings as plain data: what a checkpoint must share with a model."""

from functools import partial

from torch import nn


def describe(thing):
    """Return a method, a module, a factory or a value as plain data.

    Arguments
    ---------
    thing : object
        Of an object its class and its public attributes are kept; of a
        ``!name:`` entry the class and the arguments.

    Returns
    -------
    object
        Made of dicts, lists, str, numbers and None.

    Example
    -------
    >>> describe(partial(nn.Linear, out_features=2))
    {'class': 'Linear', 'out_features': 2}
    >>> describe(partial(nn.Linear, 64, bias=False))
    {'class': 'Linear', 'bias': False, 'args': [64]}
    """
    if thing is None or isinstance(thing, (str, int, float)):
        return thing
    if isinstance(thing, (list, tuple)):
        return [describe(value) for value in thing]
    if isinstance(thing, dict):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, partial):
        values = {"class": thing.func.__name__, **thing.keywords}
        if thing.args:
            values["args"] = thing.args
    elif hasattr(thing, "__name__"):
        values = {"class": thing.__name__}
    else:
        values = {"class": type(thing).__name__, **_attributes(thing)}
    return {name: describe(value) for name, value in values.items()}


def _attributes(thing):
    if not isinstance(thing, nn.Module):
        return vars(thing)
    return {  # what torch itself keeps there is no argument
        name: value
        for name, value in vars(thing).items()
        if not name.startswith("_") and name != "training"
    }


def differences(saved, own, place="", where=("the file", "the model")):
    """Return a line for each value in which two trees of plain data differ.

    ``where`` says what the first and the second are.
    """
    if isinstance(saved, dict) and isinstance(own, dict):
        return [
            line
            for key in {**saved, **own}
            for line in differences(
                saved.get(key),
                own.get(key),
                f"{place}.{key}".lstrip("."),
                where,
            )
        ]
    if isinstance(saved, list) and isinstance(own, list):
        if len(saved) == len(own):
            return [
                line
                for i, pair in enumerate(zip(saved, own))
                for line in differences(*pair, f"{place}[{i}]", where)
            ]
    if saved == own:
        return []
    return [f"{place}: {saved!r} in {where[0]}, {own!r} in {where[1]}"]
