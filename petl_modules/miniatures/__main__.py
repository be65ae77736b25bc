"""Write a miniature: ``python -m petl_modules.miniatures GSC DIR``."""

import argparse

from petl_modules.miniatures.corpus import write_miniature
from petl_modules.miniatures.layouts import LAYOUTS
from petl_modules.miniatures.trials import ROOT, shown, trial
from petl_modules.utils import fail


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m petl_modules.miniatures",
        description="Write generated sounds in the layout of a dataset.",
    )
    parser.add_argument("dataset", choices=[*LAYOUTS])
    parser.add_argument("folder", metavar="DIR", help="a new folder")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    if chosen.seed < 0:
        parser.error(f"--seed is {chosen.seed}: choose 0 or more")
    try:
        write_miniature(chosen.dataset, chosen.folder, chosen.seed)
    except OSError as error:
        fail(error)
    print(f"a miniature of {chosen.dataset} is in {chosen.folder}")
    if (ROOT / "recipes").is_dir():
        folders = {
            "data_folder": chosen.folder,
            "output_folder": f"{chosen.folder.rstrip('/')}-lora",
        }
        lora = trial(chosen.dataset, "lora", **folders)
        print(f"To try LoRA on it:\n  {shown(lora)}")


if __name__ == "__main__":
    main()
