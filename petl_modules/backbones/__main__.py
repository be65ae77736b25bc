"""``python -m petl_modules.backbones tiny-ast DIR``: write a small random encoder.

``tiny-wav2vec2 DIR`` writes the other kind. They are for trials and tests.
"""

import argparse

from petl_modules.backbones.pretrained import TINY
from petl_modules.backbones.tiny import (
    NORMS,
    write_tiny_ast,
    write_tiny_wav2vec2,
)
from petl_modules.utils import fail


def main(arguments=None):
    """Run the command line: ``tiny-ast DIR`` and ``tiny-wav2vec2 DIR``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.backbones")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in TINY.values():
        tiny = kinds.add_parser(
            kind, help="write a small random one for trials and tests"
        )
        tiny.add_argument("folder", metavar="DIR", help="a new folder")
        tiny.add_argument("--seed", type=int, default=0)
        if kind == "tiny-wav2vec2":
            tiny.add_argument("--norm", choices=NORMS, default=NORMS[0])
    chosen = vars(parser.parse_args(arguments))
    kind, folder = chosen.pop("kind"), chosen.pop("folder")
    write = write_tiny_ast if kind == "tiny-ast" else write_tiny_wav2vec2
    try:
        write(folder, **chosen)
    except OSError as error:
        fail(error)
    print(f"a small random encoder is in {folder}")


if __name__ == "__main__":
    main()
