"""Write one method of a recipe as a recipe of SpeechBrain's own.

``python -m petl_modules.upstream ESC50 soft_moa DIR`` writes a new folder, to
stand as ``recipes/ESC50/petl`` in SpeechBrain's repository: train.py, the
prepare script, a README, one complete YAML file and the modules that they use;
and ``ESC50.csv`` with the row to add to SpeechBrain's ``tests/recipes``.

Authors
 * The PETL audio recipes team 2026
"""

import argparse
import io
import re
import shlex
import sys
from importlib.metadata import requires
from itertools import takewhile
from pathlib import Path

import ruamel.yaml

from petl_modules.runs.recipe_file import (
    dump_yaml,
    find_file,
    merge,
    nearest,
    read_mapping,
)
from petl_modules.utils import (
    HparamsError,
    build_folder,
    is_taken,
    read_csv,
    write_csv,
    write_text,
)

ROOT = Path(__file__).resolve().parents[1]
PATHS = ("Script_file", "Data_prep_file", "Readme_file")
README_END = """
## In this folder

- `hparams/{method}.yaml`: all settings, on `{backbone}`
- `train.py`, `{prepare}`: training; checking and listing the data
- `petl_modules/`: models, methods, data and results
- `extra_requirements.txt`: what they need beside SpeechBrain

Papers: [PETL of AST](https://arxiv.org/abs/2312.03694),
[Soft-MoA](https://arxiv.org/abs/2402.00828).
"""
NEXT = """
next, in a checkout of SpeechBrain:
    mkdir -p recipes/{recipe} && cp -r {folder} {petl}
    tail -n 1 {petl}/{csv} >> tests/recipes/{csv} && rm {petl}/{csv}
    pip install -r {petl}/extra_requirements.txt
    ruff check --fix {petl} && ruff format {petl}
    python -m pytest tests/consistency
    python {petl}/train.py hparams/{method}.yaml --data_folder DIR
(the header of tests/recipes/{csv} too, where SpeechBrain has no such file yet)"""


def export(recipe, method, folder, base=None):
    """Writes one method of a recipe for SpeechBrain, whole or not at all.

    Arguments
    ---------
    recipe : str
        The name of a folder of ``recipes/`` or ``templates/``.
    method : str
        The stem of a file of its ``hparams/`` that has a base.
    folder : pathlib.Path
        A new or empty folder.
    base : str or None
        Another file of its ``hparams/`` to stand at the bottom.

    Returns
    -------
    list of str
        What was written: paths in the folder.

    Raises
    ------
    FileExistsError
        If the folder holds something.
    HparamsError
        If there is no such recipe, method or base.
    """
    if is_taken(folder):
        raise FileExistsError(f"{folder} is not empty: name a new folder")
    row, texts = _compose(recipe, method, base)
    csv = f"{recipe}.csv"

    def build(whole):
        write_csv(whole / csv, [row])
        for name, text in texts.items():
            write_text(whole / name, text)

    build_folder(folder, build)
    return [csv, *texts]


def _compose(recipe, method, base=None):
    """The row of ``tests/recipes``, and from path to text of all else."""
    folder = _find_recipe(recipe)
    file = find_file(f"{method}.yaml", [folder / "hparams"])
    if "base" not in read_mapping(file):
        raise HparamsError(f"{file} is a base: name a method, such as linear")
    tree = merge(file, base)
    tree["method"] = method
    here, there = folder.relative_to(ROOT).as_posix(), f"recipes/{recipe}/petl"
    row = _find_row(recipe, base or file.name)
    parts = [ROOT / row[key] for key in PATHS]
    header, script, prepare, readme = (
        _adapt(part.read_text(encoding="utf-8"), here, there, method)
        for part in (file, *parts)
    )
    yaml = _yaml(tree, header)
    known = merge(file)["backbone"] == tree["backbone"]
    readme = readme.partition("\n## Adding a dataset")[0]  # the template's
    readme = _cut_tables(readme, method, known) + README_END.format(
        method=method, backbone=tree["backbone"], prepare=parts[1].name
    )
    yaml_name = f"hparams/{file.name}"
    row |= {key: f"{there}/{part.name}" for key, part in zip(PATHS, parts)}
    row["Hparam_file"] = f"{there}/{yaml_name}"
    texts = {yaml_name: yaml}
    texts |= zip([p.name for p in parts], (script, prepare, readme))
    texts["extra_requirements.txt"] = _extra_requirements()
    for name, text in _modules().items():
        texts[f"petl_modules/{name}"] = text
    return row, texts


def _find_recipe(name):
    """The folder of a recipe or template."""
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
    """The row of a recipe file in ``tests/recipes``."""
    file = ROOT / "tests" / "recipes" / f"{recipe}.csv"
    for row in read_csv(file):
        if Path(row["Hparam_file"]).name == name:
            return {**row, "performance": ""}  # a column of SpeechBrain's
    raise HparamsError(f"{file} has no row for {name}: add one")


def _adapt(text, here, there, method):
    """A recipe's script, README or comment, right for its new folder."""
    text = re.sub(r"(#.*\n)*sys\.path\.insert\(.*\n", "", text)
    check = r"from petl_modules\.libraries .*\n+require_libraries\(.*\n+"
    text = re.sub(check, "", text)
    if len(re.findall(r"\bPath\b", text)) == 1:  # its import is left
        text = text.replace("from pathlib import Path\n", "")
    generated = r",\s+or, in the repository's folder, .*:\s+python -m .* DIR"
    text = re.sub(generated, ".", text)
    text = re.sub(r"\bhparams/\w+\.yaml", f"hparams/{method}.yaml", text)
    return text.replace(f"{here}/", f"{there}/")


def _in_order(tree):
    """Moves each key behind those that its value refers to, in place.

    To SpeechBrain's check, which reads line by line, a key is used where a
    ``!ref`` to it comes later.
    """
    order, seen = [], set()

    def place(key):
        if key in tree and key not in seen:
            seen.add(key)
            for name in re.findall(r"<(\w+)", dump_yaml({key: tree[key]})):
                place(name)
            order.append(key)

    for key in tree:
        place(key)
    for key in order:
        tree.move_to_end(key)


def _yaml(tree, header):
    """A merged recipe as text, below the first comment of another text."""
    lines = [*takewhile(lambda x: x.startswith("#"), header.splitlines())]
    lines[-1:-1] = [
        f"# Data: {tree['dataset']}. Backbone: {tree['backbone']}",
        "# Any key can be changed on the command line: --seed 11 --lr 1e-4",
    ]
    _in_order(tree)
    tree.ca.comment = None
    yaml, stream = ruamel.yaml.YAML(), io.StringIO()
    yaml.indent(mapping=4, sequence=6, offset=4)
    yaml.dump(tree, stream)
    text = "\n".join([*lines, "", stream.getvalue().strip(), ""])
    return re.sub(r": (true|false)\b", lambda x: x[0].title(), text)


def _cut_tables(readme, method, known):
    """A README with a method's rows alone, without numbers if not known."""
    kept = []
    for part in readme.rstrip().split("\n\n"):
        if part.startswith("| file "):
            rows = part.splitlines()
            own = [x for x in rows[2:] if x.startswith(f"| `{method}.yaml` ")]
            if not known:
                own = [re.sub(r"(?<=\|) \d[\d.± ]*(?=\|)", " ", x) for x in own]
            if not re.search(r"\w", "".join(x.split("|", 2)[2] for x in own)):
                del kept[-1]  # the line that leads to the table
                continue
            part = "\n".join([*rows[:2], *own])
        kept.append(part)
    return "\n\n".join(kept) + "\n"


def _modules():
    """All modules of this package but its commands, as texts by path."""
    package = Path(__file__).parent
    files = [package / "__init__.py", *package.glob("*/**/*.py")]
    files = [file for file in files if file.parent.name != "miniatures"]
    return {
        file.relative_to(package).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(files)
    }


def _extra_requirements():
    """The lines of requirements.txt that SpeechBrain does not bring."""

    def name(line):
        return re.match(r"[\w.-]+", line)[0].lower()

    brought = {name(x) for x in requires("speechbrain") if "extra" not in x}
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = [x for x in text.splitlines() if x[:1].isalpha()]
    lines = [x for x in lines if name(x) not in {"speechbrain", *brought}]
    return "\n".join([*lines, ""])


def main(arguments=None):
    """The command line: ``RECIPE METHOD DIR [--base FILE]``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.upstream")
    parser.add_argument("recipe", metavar="RECIPE", help="such as ESC50")
    parser.add_argument("method", metavar="METHOD", help="such as soft_moa")
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder")
    parser.add_argument("--base", help="another backbone: wav2vec2.yaml")
    chosen = parser.parse_args(arguments)
    folder = Path(chosen.folder).absolute()
    method = chosen.method.removesuffix(".yaml")
    try:
        names = export(chosen.recipe, method, folder, chosen.base)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    modules = [name for name in names if name.startswith("petl_modules/")]
    print(f"wrote to {folder}:")
    print(*(f"    {x}" for x in names if x not in modules), sep="\n")
    print(f"    petl_modules/ ({len(modules)} files)")
    print(
        NEXT.format(
            recipe=chosen.recipe,
            folder=shlex.quote(str(folder)),
            petl=f"recipes/{chosen.recipe}/petl",
            csv=names[0],
            method=method,
        )
    )


if __name__ == "__main__":
    main()
