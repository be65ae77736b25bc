"""Lay FSDD's clips out as FSDD, where they are laid out as Speech Commands.

    python tests/digits.py speech_commands_v0.02 fsdd

A part of FSDD is handed around in the layout of Speech Commands, its speakers
named by the first eight digits of the SHA-1 of their names.
"""

import argparse
import hashlib
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from petl_modules.utils import (
    DataError,
    UserError,
    build_folder,
    fail,
    require_new_folder,
)

DIGITS = "zero one two three four five six seven eight nine".split()
NAMES = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SPEAKERS = {hashlib.sha1(name.encode()).hexdigest()[:8]: name for name in NAMES}
CLIP = re.compile("([0-9a-f]{8})_nohash_([0-9]+)[.]wav")


def clips_of(folder):
    """Find the clips of FSDD in a folder in the layout of Speech Commands.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder that holds the words' folders.

    Returns
    -------
    dict
        From the clip's name in FSDD to its file; empty for any other clips.

    Example
    -------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "seven" / "f732dfdb_nohash_32.wav"
    >>> place.parent.mkdir()
    >>> place.touch()
    >>> [*clips_of(place.parents[1])]
    ['7_jackson_32.wav']
    """
    clips = {}
    for digit, word in enumerate(DIGITS):
        for file in sorted(Path(folder, word).glob("*.wav")):
            parts = CLIP.fullmatch(file.name)
            if parts and parts[1] in SPEAKERS:
                clips[f"{digit}_{SPEAKERS[parts[1]]}_{parts[2]}.wav"] = file
    return clips


def convert(folder, target):
    """Copy FSDD's clips to its own layout.

    Arguments
    ---------
    folder : str or pathlib.Path
        They, in the layout of Speech Commands.
    target : str or pathlib.Path
        The new folder, for ``--data_folder`` of ``recipes/FSDD``.

    Returns
    -------
    target : pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        The target holds something, or is a link.
    DataError
        The folder has no clips of FSDD.
    """
    clips, target = clips_of(folder), Path(target)
    require_new_folder(target)
    if not clips:
        raise DataError(
            f"{folder} has no clips of FSDD as <digit's word>/<speaker's "
            "hash>_nohash_<take>.wav: name the folder of the part of FSDD"
        )

    def write(whole):
        (whole / "recordings").mkdir(parents=True)
        for name, file in clips.items():
            shutil.copyfile(file, whole / "recordings" / name)

    build_folder(target, write)
    return target


def main(arguments=None):
    """Run the command line (see the head of this file)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the words' folders are in it")
    parser.add_argument("target", help="a new folder, for recipes/FSDD")
    given = parser.parse_args(arguments)
    place = convert(given.folder, given.target) / "recordings"
    print(f"{len([*place.iterdir()])} clips are in {place}")


if __name__ == "__main__":
    try:
        main()
    except (UserError, OSError) as error:
        fail(error)
