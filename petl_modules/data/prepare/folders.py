"""Find the files of a data folder."""

import os

from petl_modules.data.prepare.names import is_system_file
from petl_modules.utils import refusal

SUFFIXES = set(
    ".aif .aifc .aiff .au .caf .flac .mp3 .nist .oga .ogg .opus .rf64 .snd "
    ".sph .voc .w64 .wav .wave".split()
)


def is_sound(name):
    """Return whether a name has the suffix of an audio file.

    Example
    -------
    >>> is_sound("dog/1.WAV"), is_sound("dog/1.txt"), is_sound("dog.wav/")
    (True, False, False)
    """
    return os.path.splitext(name)[1].lower() in SUFFIXES


def walk(folder):
    """Yield all visible paths in a folder, sorted; folders end with a slash.

    Links are followed, but not back up.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.

    Yields
    ------
    path : str
        Relative to the folder, with forward slashes.

    Raises
    ------
    PermissionError or DataError
        A folder cannot be read.
    """
    return _walk(folder, "", ())


def _walk(folder, path, above):
    """Yield the paths below one path; ``above`` are folders it is in."""
    place = folder / path
    try:
        state = os.stat(place)
        here = (state.st_dev, state.st_ino)
        if here in above:
            return  # a link back up gives nothing new
        with os.scandir(place) as entries:
            found = sorted((entry.name, _is_folder(entry)) for entry in entries)
    except OSError as error:
        raise refusal(place, error, "make it a readable folder") from error
    for name, is_folder in found:
        if is_system_file(name):
            continue
        yield f"{path}{name}" + "/" * is_folder
        if is_folder:
            yield from _walk(folder, f"{path}{name}/", (*above, here))


def _is_folder(entry):
    """Return whether an entry is a folder; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:  # what it is shows when it is read
        return False
