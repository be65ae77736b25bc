"""The same sweep on generated data, with the small encoders."""

import sys
from pathlib import Path

from petl_modules.miniatures.corpus import write_miniature
from petl_modules.miniatures.trials import ALL, BACKBONES
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.utils import HparamsError, alone_in, show

KINDS = {"AST": "ast", "Wav2Vec2": "wav2vec2"}  # by class in the recipe file


def in_miniature(sweep):
    """Return a sweep's miniature: other data, encoders and output folder.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        The sweep.

    Returns
    -------
    petl_modules.sweeps.sweep_file.Sweep

    Raises
    ------
    HparamsError
        A data set has no miniature.
    """
    datasets = sweep.grid["dataset"]
    for dataset in datasets:
        if dataset not in ALL:
            raise HparamsError(
                f"{sweep.file}: there is no miniature of {dataset}, but of: "
                f"{', '.join(ALL)}"
            )
    output = f"{sweep.output_folder}-miniature"
    place = Path(output, "data")
    return sweep._replace(
        grid={k: v for k, v in sweep.grid.items() if k != "backbone"},
        skip=[one for one in sweep.skip if "backbone" not in one],
        data={one: str(place / ALL[one].folder) for one in datasets},
        output_folder=output,
        stage={},
        published=None,  # of large encoders
        miniature=True,
    )


def write_data(sweep):
    """Write the generated data of a miniature, if they are not there yet."""
    for dataset, folder in sweep.data.items():
        place = Path(folder).parent
        place.mkdir(parents=True, exist_ok=True)
        with alone_in(place):
            if not Path(folder).exists():
                show(f"generating the miniature of {dataset}", sys.stderr)
            write_miniature(dataset, folder)


def miniature_options(sweep, dataset, file, base):
    """Return the values of keys that suit a miniature, and what it needs.

    Arguments
    ---------
    sweep : petl_modules.sweeps.sweep_file.Sweep
        See ``in_miniature``.
    dataset : str
        The recipe's name.
    file : pathlib.Path
        The method's file.
    base : str or None
        The file that replaces its base.

    Returns
    -------
    suitable, needed : dict
        Texts by key. The sweep file's own values prevail over the first.

    Raises
    ------
    HparamsError
        There is no small encoder of this kind.
    """
    miniature = ALL[dataset]
    tree = RecipeFile.read(file, base, [file.parent]).tree
    kind = _kind(tree)
    suitable = {
        **miniature.common,
        **miniature.options,
        **miniature.methods.get(file.stem.removesuffix("_wav2vec2"), {}),
    }
    needed = {"allow_partial": True}
    if kind:
        needed["backbone"] = BACKBONES[kind]
    if kind == "ast":
        needed["frames"] = round(100 * miniature.seconds)
    elif miniature.seconds is not None:
        needed["seconds"] = miniature.seconds
    if miniature.cached and not tree.get("mixup"):  # which mixes waveforms
        needed["feature_cache"] = Path(sweep.output_folder, "data", "features")
    return tuple(
        {key: str(value) for key, value in options.items()}
        for options in (suitable, needed)
    )


def _kind(tree):
    """Return a key of ``BACKBONES``; None: the model is from scratch."""
    if tree.get("backbone") is None:
        return None
    name = tree["encoder"]["backbone"].tag.value.rpartition(".")[2]
    if name not in KINDS:
        raise HparamsError(
            f"there is no small {name} to take in a miniature: skip it"
        )
    return KINDS[name]
