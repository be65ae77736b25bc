"""Keys of a recipe file that others decide: the checkpoint, or the units."""

from speechbrain.utils.logger import get_logger

from petl_modules.backbones import INPUT_KEYS, check_fact, input_facts
from petl_modules.recognition import main_rate
from petl_modules.utils import HparamsError

logger = get_logger(__name__)


def fill_in_input(recipe):
    """Fill in the keys of the input that are null, as the checkpoint has them.

    The recipe file then says how features are made and which commit of the
    hub was loaded, whatever becomes of the checkpoint: a resumed run must
    agree with it, and ``petl_modules.predict`` follows it.

    Arguments
    ---------
    recipe : petl_modules.runs.RecipeFile
        The recipe file; changed in place. Values that it gives stay, with a
        warning where the checkpoint has others.

    Raises
    ------
    HparamsError
        If the checkpoint is not found, or a value is impossible or no
        spectrogram that this encoder can take.
    DownloadError
        See ``petl_modules.backbones.input_facts``.
    """
    if recipe.settings["backbone"] is None:  # a model from scratch
        return
    facts = input_facts(recipe.settings["backbone"])
    given = {
        name: recipe.settings[name]
        for name in INPUT_KEYS
        if recipe.settings.get(name) is not None
    }
    for name, value in given.items():
        check_fact(name, value, name)
    empty = [n for n in facts.values if n in recipe.tree and n not in given]
    for name in INPUT_KEYS:
        if name in recipe.tree and name not in (*given, *empty):
            raise HparamsError(
                f"{facts.source} says nothing of {name}, which this recipe "
                "file needs: '--base' chooses the file for another kind "
                f"of backbone, and '--{name}' gives a value"
            )
    recipe.update(
        {"backbone": facts.source, **{n: facts.values[n] for n in empty}}
    )
    if empty and not facts.stated:
        logger.warning(
            f"{facts.source} has no preprocessor_config.json: its input is "
            "made as published for its kind, "
            + ", ".join(f"{n} {facts.values[n]}" for n in empty)
        )
    features = recipe["features"] if "features" in recipe.tree else None
    for name, value in facts.values.items():
        # The features' own name of it is shorter
        used = getattr(features, name.removeprefix("do_"), value)
        if used == value:
            continue
        if name == "mel_bins":
            raise HparamsError(
                f"mel_bins is {used}, and {facts.source} takes {value}: leave "
                "the key out"
            )
        logger.warning(
            f"{name} is {used}, as this run says; {facts.source} was trained "
            f"with {value}"
        )


def fill_in_metric(recipe):
    """Fill in the metric that selects an epoch, where its name is null.

    It is the error rate of what is recognised: ``per`` of phones, else
    ``wer``.

    Arguments
    ---------
    recipe : petl_modules.runs.RecipeFile
        The recipe file; changed in place.

    Raises
    ------
    HparamsError
        There are no such units.
    """
    best = recipe.settings["best_metric"]
    if isinstance(best, dict) and best.get("name", "") is None:
        name = main_rate(recipe.settings.get("units"))
        recipe.update({"best_metric": {**best, "name": name}})
