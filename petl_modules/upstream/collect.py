"""Collect the files of one method of a recipe, right for their new folder.

In addition to SpeechBrain's conventional files there is one line for pip:
reviewers read a recipe, not this package.
"""

import re
from pathlib import Path

from petl_modules import __version__
from petl_modules.runs import RecipeFile
from petl_modules.runs.layering import find_file, nearest, read_mapping
from petl_modules.upstream.readme import adapt_readme
from petl_modules.upstream.recipe_yaml import recipe_yaml
from petl_modules.utils import (
    HparamsError,
    build_folder,
    read_csv,
    require_new_folder,
    write_csv,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]
PATHS = ("Script_file", "Data_prep_file", "Readme_file")


def export(recipe, method, folder, base=None):
    """Write one method of a recipe for SpeechBrain, atomically.

    Arguments
    ---------
    recipe : str
        The name of a folder of ``recipes/`` or ``templates/``.
    method : str
        The stem of a file of its ``hparams/`` that has a base.
    folder : pathlib.Path
        A new or empty folder.
    base : str or None
        Another file of its ``hparams/`` to take as the base.

    Returns
    -------
    list of str
        The files in the folder.

    Raises
    ------
    FileExistsError
        If the folder is not empty.
    HparamsError
        If there is no such recipe, method or base.
    """
    require_new_folder(folder)
    row, texts = _compose(recipe, method, base)
    csv = f"{recipe}.csv"

    def build(whole):
        write_csv(whole / csv, [row])
        for name, text in texts.items():
            write_text(whole / name, text)

    build_folder(folder, build)
    return [csv, *texts]


def _compose(recipe, method, base):
    """Return the row of ``tests/recipes``, and all other texts by path."""
    folder = _find_recipe(recipe)
    file = find_file(f"{method}.yaml", [folder / "hparams"])
    if "base" not in read_mapping(file):
        raise HparamsError(f"{file} is a base: name a method, such as linear")
    merged = RecipeFile.read(file, base)
    merged.update({"method": method})
    row = _find_row(recipe, base or file.name)
    here, there = folder.relative_to(ROOT).as_posix(), f"recipes/{recipe}/petl"
    script, prepare, readme, header = (
        part.read_text(encoding="utf-8").replace(f"{here}/", f"{there}/")
        for part in (*(ROOT / row[key] for key in PATHS), file)
    )
    own_backbone = (
        merged.tree["backbone"] == RecipeFile.read(file).tree["backbone"]
    )
    backbone = merged.tree["backbone"] or "none, trained from scratch"
    if merged.tree["backbone"] is None:  # SpeechBrain's check: each key is used
        del merged.tree["backbone"]
    script_name, prepare_name = (Path(row[key]).name for key in PATHS[:2])
    header = header.replace("/train.py ", f"/{script_name} ", 1)
    texts = {
        f"hparams/{file.name}": recipe_yaml(merged.tree, header, backbone),
        script_name: _adapt_script(script, method),
        prepare_name: prepare,
        "README.md": adapt_readme(
            readme,
            method=method,
            backbone=backbone,
            scripts=(script_name, prepare_name),
            with_numbers=own_backbone,
        ),
        "extra_requirements.txt": (
            "# Until this version is published: pip install its checkout\n"
            f"petl_modules>={__version__}\n"
        ),
    }
    row |= {key: f"{there}/{Path(row[key]).name}" for key in PATHS}
    row["Hparam_file"] = f"{there}/hparams/{file.name}"
    return row, texts


def _adapt_script(script, method):
    """Return a script without its search for petl_modules in a checkout."""
    checkout = (
        r"(#.*\n)*sys\.path\.insert\(.*\n(.*\n)*?require_libraries\(.*\n+"
    )
    script = re.sub(checkout, "", script)
    if len(re.findall(r"\bPath\b", script)) == 1:
        script = script.replace("from pathlib import Path\n", "")
    return re.sub(r"\bhparams/\w+\.yaml", f"hparams/{method}.yaml", script)


def _find_recipe(name):
    """Return the folder of a recipe or template."""
    scripts = [*ROOT.glob("recipes/*/train.py")]
    scripts += ROOT.glob("templates/*/train.py")
    folders = {script.parent.name: script.parent for script in scripts}
    if not folders:
        raise HparamsError(
            f"no recipes in {ROOT}: the installed package is without them. "
            "Run this in a checkout of the whole repository"
        )
    if name not in folders:
        raise HparamsError(
            f"no recipe '{name}'{nearest(name, folders)} "
            f"Recipes there: {', '.join(sorted(folders))}"
        )
    return folders[name]


def _find_row(recipe, name):
    """Return the row of a recipe file in ``tests/recipes``."""
    file = ROOT / "tests" / "recipes" / f"{recipe}.csv"
    for row in read_csv(file):
        if Path(row["Hparam_file"]).name == name:
            return {**row, "performance": ""}  # a column of SpeechBrain's
    raise HparamsError(f"{file} has no row for {name}: add one")
