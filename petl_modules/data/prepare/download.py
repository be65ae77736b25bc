"""Fetch a dataset's archive and unpack it."""

import contextlib
import errno
import hashlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from urllib.request import urlopen

from tqdm import tqdm

from petl_modules.utils import DownloadError, is_taken

TIMEOUT = 60  # seconds without a byte
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)
# What the system says of members that are in each other's place, or nowhere
MISPLACED = (
    errno.EEXIST,
    errno.EINVAL,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
)


def download(url, archive, largest, sha256=None):
    """Fetch a file of a bounded size, unless it exists already.

    Arguments
    ---------
    url : str
        The address.
    archive : str or pathlib.Path
        The file to write. Its folder is made if it is missing.
    largest : int
        The largest size that is expected, in bytes.
    sha256 : str or None
        The SHA-256 that is expected, of a file that exists already as well.
        None: any.

    Raises
    ------
    DownloadError
        The download is incomplete, too large, or of another SHA-256: nothing
        of it is kept. A file that exists and has another one is kept.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "here.txt").write_text("hello")
    >>> download((folder / "here.txt").as_uri(), folder / "there.txt", 9)
    >>> (folder / "there.txt").read_text()
    'hello'
    """
    archive = Path(archive)
    part = archive.with_name(f"{archive.name}.part")
    if archive.exists():
        if problem := _other_file(archive, sha256):
            raise DownloadError(
                f"{archive} is there already, and {problem}. Remove it, then "
                "run the same command again to fetch it anew."
            )
        return
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with urlopen(url, timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length") or 0)
            bar = tqdm.wrapattr(response, "read", size, desc=archive.name)
            with bar as body, open(part, "wb") as file:
                _copy(body, file, max(size, 0), largest)
        came = part.stat().st_size
        if size and came != size:
            raise ConnectionError(f"it broke off after {came} of {size} bytes")
        if problem := _other_file(part, sha256):
            raise ConnectionError(problem)
        os.replace(part, archive)
    except (OSError, HTTPException, ValueError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise DownloadError(
            f"{url} could not be fetched: {error}. Check the address and the "
            "connection, then run the same command again, or fetch it by "
            f"other means and name it {archive}."
        ) from error


def _other_file(path, sha256):
    """Return how a file's SHA-256 differs from the expected one, or None."""
    if sha256 is None:
        return None
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    if found == sha256:
        return None
    return f"its SHA-256 is {found}, where {sha256} is expected"


def _copy(body, file, size, largest):
    """Copy a response to a file, unless it says or turns out too large."""
    came = 0
    while size <= largest and (block := body.read(1 << 20)):
        came += len(block)
        size = max(size, came)
        if size <= largest:
            file.write(block)
    if size > largest:
        raise ConnectionError(
            f"it is larger than the {largest:,} bytes that are expected"
        )


def unpack(archive, folder, largest):
    """Unpack a zip archive atomically.

    All members are checked before anything is written. They are unpacked to a
    temporary folder next to the target, which is renamed at the end. If all
    members are in a single top folder, that folder becomes ``folder``.

    Arguments
    ---------
    archive : str or pathlib.Path
        The zip file. A damaged one is removed.
    folder : str or pathlib.Path
        The folder to make. It must not exist, or be empty.
    largest : int
        The largest total size that is expected of its files, in bytes.

    Raises
    ------
    DownloadError
        The archive is damaged or too large, a member would be written outside
        of the folder, the folder is not empty, or it cannot be written.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(folder / "data.zip", "w") as stream:
    ...     stream.writestr("top/note.txt", "hello")
    >>> unpack(folder / "data.zip", folder / "data", largest=1000)
    >>> (folder / "data" / "note.txt").read_text()
    'hello'
    """
    folder = Path(folder).resolve()
    work = folder.with_name(f".{folder.name}.unpacking")
    try:
        if is_taken(folder):
            raise DownloadError(
                f"{folder} exists and is not empty: {archive} is not unpacked "
                "over it. Move it away or choose another folder."
            )
        _remove(work)  # left by a killed run
        _extract(archive, work, largest)
        top = list(work.iterdir())
        if folder.exists():
            folder.rmdir()
        os.replace(
            top[0] if len(top) == 1 and top[0].is_dir() else work, folder
        )
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{archive} could not be unpacked to {folder}: {error}. Make sure "
            "that there is space and that the place can be written to, then "
            "run the same command again."
        ) from error
    except DAMAGED as error:
        with contextlib.suppress(OSError):
            Path(archive).unlink()
        raise DownloadError(
            f"{archive} was not a whole zip archive ({error}), and has been "
            "removed. Run the same command again to fetch it anew."
        ) from error
    finally:
        _remove(work)


def _extract(archive, folder, largest):
    """Extract a zip archive to a new folder; misplaced members are damage."""
    with zipfile.ZipFile(archive) as stream:
        members = _checked_members(stream, largest)
        folder.mkdir(parents=True)  # apart: its place may be the user's fault
        for member in tqdm(members, "Unpacking"):
            try:
                stream.extract(member, folder)
            except OSError as error:
                if error.errno in MISPLACED:
                    raise zipfile.BadZipFile(str(error)) from error
                raise


def _remove(path):
    """Remove a file or a folder, as far as that is possible."""
    with contextlib.suppress(OSError):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def _checked_members(stream, largest):
    """Return the archive's members; refuse the archive if one is unsafe."""
    members = stream.infolist()
    if not members:
        raise zipfile.BadZipFile("it holds no files")
    if (size := sum(member.file_size for member in members)) > largest:
        raise DownloadError(
            f"{stream.filename} would unpack to {size:,} bytes, and at most "
            f"{largest:,} are expected: nothing is unpacked. Delete the "
            "archive and fetch it from a source that you trust."
        )
    for member in members:
        # PureWindowsPath knows both kinds of slash, and drives
        path = PureWindowsPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if not set(path.parts) - {path.drive, path.root}:
            raise zipfile.BadZipFile(f"a member is named {member.filename!r}")
        if path.drive or path.root or ".." in path.parts:
            reason = "would be written outside of the folder"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            reason = "is a link or a special file"
        elif member.flag_bits & 1:
            reason = "is encrypted"
        else:
            continue
        raise DownloadError(
            f"{stream.filename}: member {member.filename!r} {reason}, so "
            "nothing is unpacked. Delete the archive and fetch it from a "
            "source that you trust."
        )
    return members
