"""``python -m tests.fuzz --inputs 100000``: damaged inputs for all readers.

Valid files and command lines are damaged at random, and a table is printed:
how many of them were accepted, refused by a named error, or ended in another
exception or after the time limit. ``silent`` counts inputs that were accepted
as something else than what was written, where a checksum or a comparison must
notice. All draws follow from ``--seed``.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.engine import fuzz
from tests.fuzz.readers import readers


def main(arguments=None):
    """Run the command line, see the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a reader's name")
    chosen = parser.parse_args(arguments)
    columns = ("accepted", "named", "unnamed", "hang", "silent")
    print("| reader | inputs | " + " | ".join(columns) + " |", flush=True)
    print("|---|" + "---:|" * 6)
    total, bad = Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        there = readers(Path(folder))
        there = {k: v for k, v in there.items() if chosen.only in (None, k)}
        shares = sum(reader.share for reader in there.values())
        for name, reader in [*there.items(), ("all", None)]:
            if reader is not None:
                inputs = -(-chosen.inputs * reader.share // shares)
                counts, examples = fuzz(reader, inputs, (chosen.seed, name))
                total += counts
                bad += len(examples)
                for kind, content, text in examples[:3]:
                    print(
                        f"{name}, {kind}: {content[:300]}\n{text}",
                        file=sys.stderr,
                    )
            else:
                counts = total
            cells = [sum(counts.values()), *(counts[c] for c in columns)]
            print(
                f"| {name} | " + " | ".join(map(str, cells)) + " |", flush=True
            )
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
