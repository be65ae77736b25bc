"""Lay FSDD's clips out as FSDD, where they are laid out as Speech Commands.

A part of FSDD is handed around in the layout of Speech Commands, its speakers
named by the first eight digits of the SHA-1 of their names.
"""

import hashlib
import re
import shutil
from pathlib import Path

from petl_modules.utils import DataError, build_folder, is_taken

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
        If the target holds something.
    DataError
        The folder has no clips of FSDD.
    """
    clips, target = clips_of(folder), Path(target)
    if is_taken(target):
        raise FileExistsError(f"{target} holds something: name a new folder")
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
