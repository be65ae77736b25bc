"""Stage data: unpack archives to the disk of the machine that trains.

A shared disk of a cluster is slow at hundreds of thousands of small files, and
fast at one large file. The cells of one machine share what is unpacked, and the
first one unpacks.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from pathlib import Path

from petl_modules.utils import DataError, alone_in, brief

ENDS = (".tar", ".tar.gz", ".tgz", ".zip")
# Beside what was packed
LITTER = ("__MACOSX", ".DS_Store")
ONE_THREAD = threading.Lock()  # a lock of a file holds between processes alone


def stage(cell):
    """Unpack the archives of a cell, unless another cell has done it here.

    Arguments
    ---------
    cell : petl_modules.sweeps.Cell
        The cell, with archives.

    Returns
    -------
    petl_modules.sweeps.Cell
        The cell with the unpacked data as its ``data_folder``: what the
        archives hold, or the single folder that they hold.

    Raises
    ------
    DataError
        An archive is missing or damaged, or there is no place for its content.
    """
    folder = _folder(cell.archives)
    with ONE_THREAD, alone_in(folder):
        data = folder / "data"
        if not data.exists():
            _unpack(cell.archives, folder / "unpacking")
            os.replace(folder / "unpacking", data)
    top = [path for path in data.iterdir() if path.name not in LITTER]
    data = top[0] if len(top) == 1 and top[0].is_dir() else data
    return cell._replace(options={**cell.options, "data_folder": str(data)})


def require_archives(archives):
    """Check that archives are there and of a kind that can be unpacked.

    Arguments
    ---------
    archives : iterable of str
        Paths.

    Raises
    ------
    DataError
        One is not; names it.

    Example
    -------
    >>> require_archives(["data.rar"])
    Traceback (most recent call last):
    petl_modules.utils.errors.DataError: stage: data.rar: only .tar, .tar.gz, .tgz, .zip can be unpacked
    """
    for archive in archives:
        if not archive.endswith(ENDS):
            raise DataError(
                f"stage: {archive}: only {', '.join(ENDS)} can be unpacked"
            )
        if not Path(archive).is_file():
            raise DataError(f"stage: there is no file {archive}")


def _folder(archives):
    """Return the folder of some archives on this machine's own disk.

    Other versions of an archive have another folder.
    """
    require_archives(archives)
    states = [
        f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"
        for path in map(Path, archives)
    ]
    key = hashlib.sha256("\n".join(states).encode()).hexdigest()[:12]
    disk = os.environ.get("SLURM_TMPDIR") or tempfile.gettempdir()
    own = Path(disk, f"petl-stage-{os.getuid()}")
    folder = own / f"{Path(archives[0]).name.partition('.')[0]}-{key}"
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        if own.stat().st_uid != os.getuid():  # /tmp is everybody's
            raise DataError(f"{own} is another user's: name another TMPDIR")
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made ({error.strerror}): name a folder on the "
            "machine's own disk in the environment variable TMPDIR"
        ) from error
    return folder


def _unpack(archives, folder):
    """Unpack archives into a new folder; nothing is left where one fails."""
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed cell
    folder.mkdir()
    try:
        for archive in archives:
            unpack = _unzip if archive.endswith(".zip") else _untar
            if problem := unpack(archive, folder):
                raise DataError(
                    f"stage: {archive} cannot be unpacked to {folder}: "
                    f"{problem}. Make it again, or make room"
                )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _untar(archive, folder):
    """Unpack by the system's tar; return what it says is wrong.

    Python's tarfile ends without a word at a damaged header.
    """
    words = ["tar", "--extract", "--no-same-owner", "--file", archive]
    try:
        result = subprocess.run(
            [*words, "--directory", folder], capture_output=True, text=True
        )
    except FileNotFoundError:
        return "this machine has no program 'tar'"
    return result.returncode and brief(result.stderr or "tar has failed")


def _unzip(archive, folder):
    """Unpack a zip archive with its times; return what is wrong."""
    try:
        with zipfile.ZipFile(archive) as stream:
            for member in stream.infolist():
                path = stream.extract(member, folder)
                with contextlib.suppress(ValueError, OverflowError):
                    # A manifest knows files by their times
                    when = time.mktime((*member.date_time, 0, 0, -1))
                    os.utime(path, (when, when))
    except Exception as error:  # of each library that decompresses its own
        return brief(error)
