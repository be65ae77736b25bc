"""Fetch a dataset's archive and unpack it."""

import contextlib
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


def download(url, archive):
    """Fetch a file, unless it exists already.

    Arguments
    ---------
    url : str
        The address.
    archive : str or pathlib.Path
        The file to write. Its folder is made if it is missing.

    Raises
    ------
    DownloadError
        The download is incomplete. Nothing of it is kept.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "here.txt").write_text("hello")
    >>> download((folder / "here.txt").as_uri(), folder / "there.txt")
    >>> (folder / "there.txt").read_text()
    'hello'
    """
    archive = Path(archive)
    part = archive.with_name(f"{archive.name}.part")
    if archive.exists():
        return
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with urlopen(url, timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length") or 0)
            bar = tqdm.wrapattr(response, "read", size, desc=archive.name)
            with bar as body, open(part, "wb") as file:
                shutil.copyfileobj(body, file)
        came = part.stat().st_size
        if size and came != size:
            raise ConnectionError(f"it broke off after {came} of {size} bytes")
        os.replace(part, archive)
    except (OSError, HTTPException, ValueError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise DownloadError(
            f"{url} could not be fetched: {error}. Check the address and the "
            "connection, then run the same command again, or fetch it by "
            f"other means and name it {archive}."
        ) from error


def unpack(archive, folder):
    """Unpack a zip archive atomically.

    All members are checked before anything is written. They are unpacked to a
    temporary folder next to the target, which is renamed at the end. If all
    members are in a single top folder, that folder becomes ``folder``.

    Arguments
    ---------
    archive : str or pathlib.Path
        The zip file. It is kept.
    folder : str or pathlib.Path
        The folder to make. It must not exist, or be empty.

    Raises
    ------
    DownloadError
        The archive is damaged, a member would be written outside of the
        folder, the folder is not empty, or the folder cannot be written.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(folder / "data.zip", "w") as stream:
    ...     stream.writestr("top/note.txt", "hello")
    >>> unpack(folder / "data.zip", folder / "data")
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
        shutil.rmtree(work, ignore_errors=True)  # left by a killed run
        with zipfile.ZipFile(archive) as stream:
            for member in tqdm(_checked_members(stream), "Unpacking"):
                stream.extract(member, work)
        top = list(work.iterdir())
        if folder.exists():
            folder.rmdir()
        os.replace(
            top[0] if len(top) == 1 and top[0].is_dir() else work, folder
        )
    except DownloadError:
        raise
    except DAMAGED as error:
        raise DownloadError(
            f"{archive} is not a whole zip archive ({error}). Delete it, then "
            "run the same command again to fetch it anew."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{archive} could not be unpacked to {folder}: {error}. Make sure "
            "that there is space and that the place can be written to, then "
            "run the same command again."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _checked_members(stream):
    """Return the archive's members; refuse the archive if one is unsafe."""
    members = stream.infolist()
    if not members:
        raise zipfile.BadZipFile("it holds no files")
    for member in members:
        # PureWindowsPath knows both kinds of slash, and drives
        path = PureWindowsPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if not member.filename:
            raise zipfile.BadZipFile("a member has no name")
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
