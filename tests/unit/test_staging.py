"""Archives are unpacked once, to the machine's own disk."""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from petl_modules.sweeps import run_cell, staging
from petl_modules.sweeps.staging import require_archives, stage
from petl_modules.sweeps.states import read_error
from petl_modules.utils import DataError
from tests.cells import make_cells

NOISE = os.urandom(1 << 16)
WHEN = 1_000_000_000  # seconds, even: zip has no odd ones
KINDS = (".tar", ".tar.gz", ".tgz", ".zip")
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    """The machine's own disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", str(disk))
    return disk


@pytest.fixture
def pack(tmp_path):
    """Gives a function that packs texts by name."""

    def pack(name, files):
        for file, content in files.items():
            path = tmp_path / "packed" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (WHEN, WHEN))
        archive = tmp_path / name
        if name.endswith(".zip"):
            with zipfile.ZipFile(archive, "w") as stream:
                for file in files:
                    stream.write(tmp_path / "packed" / file, file)
        else:
            mode = "w" if name.endswith(".tar") else "w:gz"
            with tarfile.open(archive, mode) as stream:
                for file in files:
                    stream.add(tmp_path / "packed" / file, file)
        return str(archive)

    return pack


def staged(*archives, folder):
    """Return the data folder of a cell with archives."""
    (cell,) = make_cells(folder)
    cell = stage(cell._replace(archives=archives))
    return folder / cell.options["data_folder"]


@every_kind
def test_content_and_times(kind, pack, disk, tmp_path):
    archive = pack(f"set{kind}", {"a.txt": NOISE, "meta/b.txt": b"b"})
    data = staged(archive, folder=tmp_path)
    assert data.is_relative_to(disk)
    assert (data / "a.txt").read_bytes() == NOISE
    assert (data / "meta" / "b.txt").read_bytes() == b"b"
    assert (data / "a.txt").stat().st_mtime_ns == WHEN * 10**9


def test_single_folder_is_the_data_folder(pack, tmp_path):
    archive = pack("set.tar", {"top/a.txt": b"a", "top/b.txt": b"b"})
    assert staged(archive, folder=tmp_path).name == "top"


def test_several_archives_are_one_folder(pack, tmp_path):
    archives = (
        pack("1.tar", {"wav/a.txt": b"a"}),
        pack("2.zip", {"b.txt": b"b"}),
    )
    data = staged(*archives, folder=tmp_path)
    assert {path.name for path in data.iterdir()} == {"wav", "b.txt"}


def test_cells_unpack_once(pack, tmp_path, monkeypatch):
    archive, calls = pack("set.tar", {"a.txt": NOISE}), []
    untar = staging._untar
    monkeypatch.setattr(
        staging, "_untar", lambda *words: calls.append(words) or untar(*words)
    )
    with ThreadPoolExecutor(8) as threads:
        tasks = [
            threads.submit(staged, archive, folder=tmp_path) for _ in range(8)
        ]
    assert len({task.result() for task in tasks}) == len(calls) == 1


def test_processes_unpack_once(pack, disk, tmp_path):
    """While another process unpacks, a process waits, and unpacks nothing."""
    archive = pack("set.tar", {"a.txt": NOISE})
    folder = staging._folder((archive,))
    code = (
        "import fcntl, sys, time, pathlib\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "lock = open(folder / '.lock', 'a+')\n"
        "fcntl.lockf(lock, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "time.sleep(1)\n"
        "(folder / 'data').mkdir()\n"
        "(folder / 'data' / 'theirs.txt').touch()\n"
    )
    words = [sys.executable, "-c", code, folder]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        data = staged(archive, folder=tmp_path)
    assert [path.name for path in data.iterdir()] == ["theirs.txt"]


def test_changed_archive_is_unpacked_anew(pack, tmp_path):
    first = staged(pack("set.tar", {"a.txt": b"1"}), folder=tmp_path)
    second = staged(pack("set.tar", {"a.txt": NOISE}), folder=tmp_path)
    assert first != second and (second / "a.txt").read_bytes() == NOISE


@every_kind
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_broken_archive_is_named(kind, share, pack, disk, tmp_path):
    archive = pack(f"set{kind}", {"a.txt": NOISE, "b.txt": NOISE})
    content = (tmp_path / archive).read_bytes()
    (tmp_path / archive).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=f"{archive} cannot be unpacked"):
        staged(archive, folder=tmp_path)
    assert not [*disk.rglob("*.txt")]


def test_damage_within_an_archive_is_named(pack, tmp_path):
    archive = pack("set.tar", {"a.txt": NOISE, "b.txt": NOISE})
    with tarfile.open(archive) as stream:
        header = stream.getmember("b.txt").offset
    with open(archive, "r+b") as stream:
        stream.seek(header)
        stream.write(b"\xff" * 512)
    with pytest.raises(DataError, match="cannot be unpacked"):
        staged(archive, folder=tmp_path)


def encrypt(content):
    """Say that the only file of a zip archive has a password."""
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1


def damage_lzma(content):
    content[60:90] = b"\xff" * 30


@pytest.mark.parametrize(
    "kind, damage",
    [(zipfile.ZIP_STORED, encrypt), (zipfile.ZIP_LZMA, damage_lzma)],
)
def test_zip_that_no_library_reads_is_named(kind, damage, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", kind) as stream:
        stream.writestr("a.txt", NOISE)
    content = bytearray(archive.read_bytes())
    damage(content)
    archive.write_bytes(content)
    with pytest.raises(DataError, match="set.zip cannot be unpacked"):
        staged(str(archive), folder=tmp_path)


@pytest.mark.parametrize("name", ["/absolute.txt", "../out.txt"])
@every_kind
def test_nothing_is_written_outside(kind, name, disk, tmp_path):
    archive = tmp_path / f"set{kind}"
    if kind == ".zip":
        with zipfile.ZipFile(archive, "w") as stream:
            stream.writestr(name, b"a")
    else:
        with tarfile.open(archive, "w" if kind == ".tar" else "w:gz") as stream:
            member = tarfile.TarInfo(name)
            member.size = 1
            stream.addfile(member, io.BytesIO(b"a"))
    with contextlib.suppress(DataError):
        staged(str(archive), folder=tmp_path)
    found = [path.parent.name for path in tmp_path.rglob("*.txt")]
    assert {*found} <= {"data"} and not os.path.exists("/absolute.txt")


@pytest.mark.parametrize(
    "name, text", [("set.rar", "only .tar"), ("none.tar", "there is no file")]
)
def test_archive_that_cannot_be(name, text, tmp_path):
    with pytest.raises(DataError, match=text):
        require_archives([str(tmp_path / name)])


def test_cell_reads_the_staged_data(pack, disk, tmp_path):
    (cell,) = make_cells(tmp_path, data_folder="nowhere")
    archive = pack("set.tar", {"a.txt": b"a"})
    assert run_cell(cell._replace(archives=(archive,))) == 0


def test_cell_with_a_broken_archive_has_failed(tmp_path):
    (cell,) = make_cells(tmp_path)
    (tmp_path / "set.tar").write_bytes(b"no archive")
    cell = cell._replace(archives=(str(tmp_path / "set.tar"),))
    assert run_cell(cell)
    assert "set.tar cannot be unpacked" in read_error(cell)["lines"][0]


def test_folder_of_another_user_is_not_used(pack, disk, tmp_path, monkeypatch):
    archive = pack("set.tar", {"a.txt": b"a"})
    staged(archive, folder=tmp_path)
    monkeypatch.setattr(staging.os, "getuid", lambda: 123456)
    os.rename([*disk.iterdir()][0], disk / "petl-stage-123456")
    with pytest.raises(DataError, match="another user"):
        staged(archive, folder=tmp_path)
