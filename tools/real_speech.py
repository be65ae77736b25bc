"""Unpack and list the recorded speech that Debian packages hold.

    apt-get download $(python tools/real_speech.py --names)
    python tools/real_speech.py speech *.deb

The new folder holds the packages as they unpack and ``recordings.csv``: file,
collection, voice, language, text, English, licence and seconds of each
recording. Without .deb files, those in apt's cache are taken. Sounds that are no
voice have no voice in the list; copies of a recording are listed once.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.speech_packages import PACKAGES

if __name__ == "__main__" and sys.argv[1:] == ["--names"]:
    print(*PACKAGES)  # before the imports: any Python 3.10 does it
    sys.exit()

import soundfile
from tqdm import tqdm

from petl_modules.utils import (
    DataError,
    UserError,
    brief,
    build_folder,
    damaged,
    fail,
    listed,
    read_csv,
    require_new_folder,
    write_csv,
)

CACHE = Path("/var/cache/apt/archives")
LIST = "recordings.csv"
COLUMNS = "file collection voice language text english licence seconds".split()


def find_packages(files):
    """Return the path of each package of ``PACKAGES``.

    Arguments
    ---------
    files : list of pathlib.Path
        Files named ``<package>_<version>_<architecture>.deb``.

    Returns
    -------
    dict
        From package to file.

    Raises
    ------
    DataError
        A package is missing, is there twice, or is none of them.
    """
    found, problems = {}, []
    for file in files:
        name = file.name.split("_")[0]
        if name not in PACKAGES:
            problems.append(f"{file} is none of the packages")
        elif name in found:
            problems.append(f"{file} and {found[name]} are both {name}")
        elif not file.is_file():
            problems.append(f"{file} is not there")
        found[name] = file
    missing = [name for name in PACKAGES if name not in found]
    if problems or missing:
        lines = problems + [f"{name} is missing" for name in missing]
        raise DataError(
            f"Debian packages of recorded speech:\n{listed(lines)}\n"
            "Get them in an empty folder, and give all of them:\n"
            f"    apt-get download {' '.join(missing or PACKAGES)}"
        )
    return found


def unpack(packages, folder):
    """Unpack each package into a folder of its name.

    Arguments
    ---------
    packages : dict
        From package to .deb file.
    folder : pathlib.Path
        Where the folders go.

    Raises
    ------
    UserError
        The disk is full.
    DataError
        A package is broken, or there is no dpkg-deb.
    """
    folder.mkdir()
    english = {**os.environ, "LC_ALL": "C"}
    for name, file in packages.items():
        words = ["dpkg-deb", "-x", str(file), str(folder / name)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, env=english
            )
        except FileNotFoundError as error:
            raise DataError(
                "dpkg-deb is not there: unpack on Debian or Ubuntu, and copy "
                "the folder"
            ) from error
        for full in ("No space left on device", "Disk quota exceeded"):
            if done.returncode and full in done.stderr:
                raise UserError(
                    f"{full} while {file.name} was unpacked. Nothing is kept: "
                    "name a folder on a disk with 500 MB free"
                )
        if done.returncode:
            raise DataError(
                f"{file} does not unpack ({brief(done.stderr)}). Delete it "
                f"and take it again: apt-get download {name}"
            )


def list_recordings(folder):
    """Return the rows of all recordings below a folder of unpacked packages.

    Arguments
    ---------
    folder : pathlib.Path
        One folder a package, see ``unpack``.

    Returns
    -------
    list of dict
        Rows with ``COLUMNS``, in the same order on every machine. A recording
        that is there twice is listed where it comes first.

    Raises
    ------
    DataError
        A package has no recordings, or files are no sound: all are named.
    """
    rows, seen, problems = [], set(), []
    for name, read in PACKAGES.items():
        found = [*read(folder / name)]
        if not found:
            problems.append(f"{name}: no recordings in {folder / name}")
        for recording in tqdm(found, name, leave=False):
            digest = hashlib.sha256(recording.file.read_bytes()).digest()
            if digest in seen:
                continue
            seen.add(digest)
            try:
                seconds = soundfile.info(recording.file).duration
            except soundfile.LibsndfileError as error:
                problems.append(f"{recording.file}: no sound ({error})")
                continue
            row = {key: getattr(recording, key) for key in COLUMNS[:-1]}
            row["file"] = recording.file.relative_to(folder).as_posix()
            rows.append({**row, "seconds": round(seconds, 3)})
    if problems:
        raise DataError(
            f"Recorded speech ({len(problems)} problems):\n{listed(problems)}\n"
            "Take the packages again and unpack them into a new folder."
        )
    return rows


def build(packages, folder):
    """Unpack the packages into a folder and write its list."""
    unpack(packages, folder)
    write_csv(folder / LIST, list_recordings(folder))


def read_recordings(folder):
    """Return the rows of a folder's list, with its files' paths.

    Arguments
    ---------
    folder : str or pathlib.Path
        A folder that this script wrote.

    Returns
    -------
    list of dict
        Rows with ``COLUMNS``: ``file`` is a ``pathlib.Path``, ``seconds`` a
        float, all others are text.

    Raises
    ------
    FileNotFoundError
        There is no list.
    DataError
        The list is damaged.
    """
    path = Path(folder) / LIST
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} not found: make the folder by "
            "python tools/real_speech.py FOLDER *.deb"
        )
    remedy = "Make the folder again."
    rows = read_csv(path, COLUMNS, remedy)
    try:
        for row in rows:
            row["seconds"] = float(row["seconds"])
    except ValueError as error:
        raise damaged(path, error, remedy) from error
    return [{**row, "file": Path(folder) / row["file"]} for row in rows]


def summarize(rows):
    """Return a line for each collection: recordings, voices, minutes."""
    groups = {}
    for row in rows:
        kind = row["collection"] if row["voice"] else "no voice"
        groups.setdefault(kind, []).append(row)
    lines = []
    for kind, found in groups.items():
        voices = len({row["voice"] for row in found} - {""})
        minutes = sum(row["seconds"] for row in found) / 60
        told = sum(bool(row["text"]) for row in found)
        lines.append(
            f"{kind:12}{len(found):6} recordings{voices:4} voices"
            f"{minutes:7.1f} min{told:6} with text"
        )
    return "\n".join(lines)


def main(arguments=None):
    """Run the command line (see the head of this file)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a new folder")
    parser.add_argument("packages", type=Path, nargs="*", help=".deb files")
    parser.add_argument("--names", action="store_true", help="print packages")
    given = parser.parse_args(arguments)
    if given.names:
        print(*PACKAGES)
        return
    if given.folder is None:
        parser.error("name a new folder")
    require_new_folder(given.folder)
    cached = [*CACHE.glob("*.deb")]
    cached = [file for file in cached if file.name.split("_")[0] in PACKAGES]
    packages = find_packages(given.packages or cached)
    build_folder(given.folder, partial(build, packages))
    print(summarize(read_recordings(given.folder)))
    print(f"the list is {given.folder / LIST}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted, nothing was written")
    except (UserError, OSError) as error:
        fail(error)
