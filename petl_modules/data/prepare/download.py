"""Fetching a dataset's archive, resumed where it broke off, and unpacking it.

Authors
 * The PETL audio recipes team 2026
"""

import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from petl_modules.utils import DownloadError, is_taken

TIMEOUT = 60  # seconds without a byte


CHUNK = 1 << 16


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
    """Fetch a file, going on where an earlier attempt broke off.

    The bytes go to ``<archive>.part``, which is renamed once it is whole. An
    archive that is already there is left as it is.

    Arguments
    ---------
    url : str
        The address.
    archive : str or pathlib.Path
        The file to write. Its folder is made where it is missing.

    Raises
    ------
    DownloadError
        The file did not arrive whole. What arrived is kept.

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
        _fetch(url, part, archive.name)
        os.replace(part, archive)
    except (OSError, HTTPException, ValueError) as error:
        kept = part.stat().st_size if part.exists() else 0
        raise DownloadError(
            f"{url} could not be fetched: {error}. Check the address and the "
            "connection, then run the same command again"
            + (
                f" to resume from the {kept} bytes kept in {part} (from zero "
                "if the server cannot)."
                if kept
                else ", or fetch it by other means."
            )
        ) from error


def unpack(archive, folder):
    """Unpack a zip archive in one step.

    All members are checked before anything is written, and go to a temporary
    folder beside the target that is renamed at the end. Where all of them
    stand in a single top folder, that one becomes ``folder``.

    Arguments
    ---------
    archive : str or pathlib.Path
        The zip file. It is kept.
    folder : str or pathlib.Path
        The folder to make. It may exist if it is empty.

    Raises
    ------
    DownloadError
        The archive is damaged, or a member would leave the folder, or the
        folder holds files already, or it cannot be written.

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


def _fetch(url, part, title):
    """Write the address's bytes to the part file, appending if it can."""
    start = part.stat().st_size if part.exists() else 0
    response, start = _open(url, start)
    if response is None:
        return
    with response, open(part, "ab" if start else "wb") as stream:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with tqdm(
            desc=title, initial=start, total=total, unit="B", unit_scale=True
        ) as bar:
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
        size = stream.tell()
    if total is not None and size != total:
        raise ConnectionError(f"it broke off after {size} of {total} bytes")


def _open(url, start):
    """Ask for the bytes from ``start`` on.

    Returns the response, or None where there are no more bytes, and the
    position at which it starts: 0 where the server cannot resume.
    """
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not start:
            raise
        error.close()
        whole = error.headers.get("Content-Range") == f"bytes */{start}"
        return (None, start) if whole else _open(url, 0)
    if not start or response.status != 206:
        return response, 0
    if response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return response, start
    response.close()
    return _open(url, 0)


def _checked_members(stream):
    """Give the archive's members, refusing all if one is not harmless."""
    members = stream.infolist()
    if not members:
        raise zipfile.BadZipFile("it holds no files")
    for member in members:
        # Windows' rules know both kinds of slash, and drives.
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
