"""Locks of folders: busy ones, and file systems without locks."""

import errno
import fcntl
import multiprocessing
import os

import pytest

from petl_modules.utils import (
    HparamsError,
    alone_in,
    flush,
    holder,
    lock_folder,
    try_lock,
    unlock_folder,
)


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


def test_holder_is_the_other_process(busy, tmp_path):
    assert f"process {busy} on" in holder(tmp_path)
    (tmp_path / "free").mkdir()
    assert holder(tmp_path / "free") is None
    assert list((tmp_path / "free").iterdir()) == []


def others_view(folder):
    """Who holds a folder, to another process that asks."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(holder, (folder,))


def test_unlocked_folder_is_free(tmp_path):
    lock_folder(tmp_path)
    lock_folder(tmp_path)
    assert holder(tmp_path) is None  # asking must not let go of it
    assert f"process {os.getpid()} on" in others_view(tmp_path)
    unlock_folder(tmp_path)
    unlock_folder(tmp_path)
    assert others_view(tmp_path) is None


def test_folder_that_was_made_anew_is_locked_anew(tmp_path):
    folder = tmp_path / "fold1"
    folder.mkdir()
    lock_folder(folder)
    folder.rename(tmp_path / "away")
    folder.mkdir()
    assert others_view(folder) is None
    lock_folder(folder)
    assert others_view(folder)
    unlock_folder(folder)


def ask(folder, end):
    while not end.is_set():
        holder(folder)


def test_asking_who_holds_a_folder_refuses_nobody(tmp_path):
    fork = multiprocessing.get_context("fork")
    end = fork.Event()
    process = fork.Process(target=ask, args=(tmp_path, end))
    process.start()
    for _ in range(200):
        lock_folder(tmp_path)
        unlock_folder(tmp_path)
    end.set()
    process.join()
    assert process.exitcode == 0


def is_free(folder, name):
    """Tell whether another process can lock a folder."""
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as pool:
        return pool.apply(can_lock, (folder, name))


def can_lock(folder, name):
    with try_lock(folder, name) as free:
        return free


def test_second_lock_of_one_process_is_refused(tmp_path):
    with try_lock(tmp_path) as first:
        with try_lock(tmp_path) as second, try_lock(tmp_path, "b") as other:
            assert (first, second, other) == (True, False, True)
        assert not is_free(tmp_path, ".lock")
        assert is_free(tmp_path, "b")
    assert is_free(tmp_path, ".lock")


@pytest.mark.parametrize("lock", [try_lock, alone_in])
def test_asking_does_not_release_a_lock(lock, tmp_path):
    with lock(tmp_path):
        assert holder(tmp_path) is None
        assert not is_free(tmp_path, ".lock")
