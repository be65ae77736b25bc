"""Locks of folders: busy ones, and file systems without locks."""

import errno
import fcntl
import multiprocessing
import os

import pytest

from petl_modules.utils import HparamsError, alone_in, flush, lock_folder


def hold(folder, connection):
    lock_folder(folder)
    connection.send(True)
    connection.recv()


@pytest.fixture
def busy(tmp_path):
    """A folder that another process has locked; its id."""
    fork = multiprocessing.get_context("fork")
    end, other_end = fork.Pipe()
    process = fork.Process(target=hold, args=(tmp_path, other_end))
    process.start()
    end.recv()
    yield process.pid
    end.send(True)
    process.join()


def test_busy_folder_names_the_process(busy, tmp_path):
    with pytest.raises(HparamsError, match=f"in use by process {busy} on"):
        lock_folder(tmp_path)


@pytest.fixture(params=["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EIO"])
def without_locks(request, monkeypatch):
    number = getattr(errno, request.param)

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)


def test_file_system_without_locks_is_said_to_have_none(
    without_locks, tmp_path
):
    words = "cannot be locked .*another disk, or set PETL_NO_LOCKS=1"
    with pytest.raises(HparamsError, match=words) as error:
        lock_folder(tmp_path)
    assert "in use" not in str(error.value)
    broken = "Input/output error" in str(error.value)
    assert broken != ("has no locks" in str(error.value))
    with pytest.raises(HparamsError, match=words):
        with alone_in(tmp_path):
            pass


def test_file_system_without_locks_can_be_used(
    without_locks, tmp_path, monkeypatch
):
    monkeypatch.setenv("PETL_NO_LOCKS", "1")
    lock_folder(tmp_path)
    with alone_in(tmp_path):
        pass


@pytest.mark.parametrize("name", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EIO"])
def test_flush_where_there_is_none(name, tmp_path, monkeypatch):
    """A full or broken disk is another matter."""
    number = getattr(errno, name)

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if name == "EIO":
        with pytest.raises(OSError):
            flush(tmp_path)
    else:
        flush(tmp_path)


@pytest.mark.parametrize("kind", ["a folder", "a pipe or device"])
def test_lock_that_is_no_file_is_named(kind, tmp_path):
    file = tmp_path / ".lock"
    file.mkdir() if kind == "a folder" else os.mkfifo(file)
    with pytest.raises(HparamsError, match=f"lock is {kind}.*remove it"):
        lock_folder(tmp_path)
    with pytest.raises(HparamsError, match=f"lock is {kind}.*remove it"):
        with alone_in(tmp_path):
            pass
