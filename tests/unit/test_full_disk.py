"""A disk without room: its message names the file."""

import errno
import os

import pytest

from petl_modules.utils import files, write_bytes


def test_file_that_finds_no_room_is_named_and_stays(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    file.write_text("old")

    def full(_):  # as of a file that is open: without a name
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "flush", full)
    with pytest.raises(OSError, match="No space left on device: .*a.json"):
        write_bytes(file, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert file.read_text() == "old"
