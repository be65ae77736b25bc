"""Folds of trained runs, without training."""

from pathlib import Path

import torch

from petl_modules.models import trained_state, weights_sha256
from petl_modules.runs import RecipeFile, fill_in_input
from petl_modules.runs.fold_files import write_fold

ROOT = Path(__file__).resolve().parents[1]
LABELS = ["dog", "rain", "sea waves", "<dog & cat>"]
# Of small encoders: all that depends on the width or the length of clips
SMALL = {"frames": 100, "reduction": 4, "tokens": 4, "seconds": 0.5}


def write_run(
    folder,
    method,
    backbone,
    base=None,
    *,
    template="audio_classification",
    labels=LABELS,
    fold=1,
    seed=0,
    **values,
):
    """Write the fold of a run whose trained weights are random, none zero.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder; the fold is in ``fold<k>`` of it.
    method : str
        The stem of a recipe file.
    backbone : str
        The folder of a small encoder.
    base : str or None
        Another base than the file's own, such as ``wav2vec2.yaml``.
    template : str
        A folder of ``templates/``.
    labels : list of str
        Names of the classes.
    fold, seed : int
        The fold's number, and the seed of its weights.
    **values
        Other keys of the recipe file. ``SMALL`` holds for those that it has.

    Returns
    -------
    pathlib.Path
        The fold's folder.
    """
    path = ROOT / "templates" / template / "hparams" / f"{method}.yaml"
    recipe = RecipeFile.read(path, base and path.parent / base)
    small = {k: v for k, v in SMALL.items() if k in recipe.tree}
    recipe.update(
        {
            **small,
            "backbone": str(backbone),
            "labels": list(labels),
            "method": method,
            "output_folder": str(folder),
            **values,
        }
    )
    fill_in_input(recipe)
    fold_folder = Path(folder) / f"fold{fold}"
    fold_folder.mkdir(parents=True)
    text = recipe.text
    (fold_folder / "hyperparams.yaml").write_text(text, encoding="utf-8")
    model = recipe["model"].eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in trained_state(model).values():
            if value.is_floating_point():
                value += 0.05 * torch.randn(value.shape, generator=draw).abs()
    name = recipe.settings["best_metric"]["name"]
    parts = ("train", "valid", "test", "last_epoch_test")
    write_fold(
        fold_folder,
        {
            "fold": fold,
            "epochs": 1,
            "best_epoch": 1,
            "seconds": 1.0,
            "weights_sha256": weights_sha256(model),
            **{f"{part}_{name}": 0.5 for part in parts},
            **({"threshold": 0.5} if "scoring" in recipe.settings else {}),
        },
        None,
        model,
    )
    return fold_folder
