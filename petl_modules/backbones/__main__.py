"""``python -m petl_modules.backbones tiny-ast DIR``: write a small random encoder.

``tiny-wav2vec2 DIR``, ``tiny-whisper DIR`` and others write other kinds. They
are for trials and tests.
"""

import argparse

from petl_modules.backbones.layouts import OF_TWO_NORMS
from petl_modules.backbones.tiny import NORMS, SMALL, write_tiny
from petl_modules.utils import fail


def main(arguments=None):
    """Run the command line, e.g. ``tiny-ast DIR``."""
    parser = argparse.ArgumentParser(prog="python -m petl_modules.backbones")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in SMALL:
        tiny = kinds.add_parser(
            f"tiny-{kind}", help="write a small random one for trials and tests"
        )
        tiny.add_argument("folder", metavar="DIR", help="a new folder")
        tiny.add_argument("--seed", type=int, default=0)
        if kind in OF_TWO_NORMS:
            tiny.add_argument("--norm", choices=NORMS, default=NORMS[0])
    chosen = vars(parser.parse_args(arguments))
    kind = chosen.pop("kind").removeprefix("tiny-")
    try:
        write_tiny(kind, **chosen)
    except OSError as error:
        fail(error)
    print(f"a small random encoder is in {chosen['folder']}")


if __name__ == "__main__":
    main()
