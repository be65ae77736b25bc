"""Check that a recipe's model can be written as plain data."""

import json

from petl_modules.inference.facts import parts_of
from petl_modules.inference.opened import CLASSIFICATION, RECOGNITION
from petl_modules.inference.plain import from_plain


def plain_parts(settings):
    """Return the parts of a recipe file's values, as JSON gives them back."""
    task = RECOGNITION if "units" in settings else CLASSIFICATION
    return json.loads(json.dumps(parts_of(settings, task), allow_nan=False))


def assert_plain(recipe, model):
    """Check that plain data gives a model of the same settings.

    Arguments
    ---------
    recipe : petl_modules.runs.RecipeFile
        The recipe file, with labels and a small encoder.
    model : petl_modules.models.TunedModel
        What it makes.
    """
    parts = plain_parts(recipe.settings)
    source = recipe.settings["backbone"]
    again = from_plain(parts["model"], "model", source)
    assert again.settings() == model.settings()
