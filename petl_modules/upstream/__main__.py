"""Write one method of a recipe as a recipe of SpeechBrain's own.

``python -m petl_modules.upstream ESC50 soft_moa DIR`` writes a new folder, to
be ``recipes/ESC50/petl`` in SpeechBrain's repository: one complete YAML file,
the script, the prepare script, a README, and extra_requirements.txt with the
line that installs this package; and ``ESC50.csv`` with the row to add to
SpeechBrain's ``tests/recipes``.
"""

import argparse
import shlex
from pathlib import Path

from petl_modules.upstream.collect import export
from petl_modules.utils import UserError, fail

NEXT = """
next, in a checkout of SpeechBrain:
    mkdir -p recipes/{recipe} && cp -r {folder} {petl}
    tail -n 1 {petl}/{csv} >> tests/recipes/{csv} && rm {petl}/{csv}
    pip install -r {petl}/extra_requirements.txt
    ruff check {petl} && ruff format --check {petl}
    python -m pytest tests/consistency
    python {petl}/{script} hparams/{method}.yaml --data_folder DIR
(the header of tests/recipes/{csv} too, where SpeechBrain has no such file yet)"""


def main(arguments=None):
    """Run the command line: ``RECIPE METHOD DIR [--base FILE]``."""
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
    except (UserError, OSError) as error:
        fail(error)
    script, _ = (name for name in names if name.endswith(".py"))
    print(f"wrote to {folder}:")
    print(*(f"    {name}" for name in names), sep="\n")
    print(
        NEXT.format(
            recipe=chosen.recipe,
            folder=shlex.quote(str(folder)),
            petl=f"recipes/{chosen.recipe}/petl",
            csv=names[0],
            script=script,
            method=method,
        )
    )


if __name__ == "__main__":
    main()
