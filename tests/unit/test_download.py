"""Fetching and unpacking archives, from a server on this machine."""

import hashlib
import io
import stat
import sys
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petl_modules.data import prepare
from petl_modules.utils import DownloadError

CONTENT = bytes(range(256)) * 1000
download = partial(prepare.download, largest=len(CONTENT))
unpack = partial(prepare.unpack, largest=len(CONTENT))


class Server(BaseHTTPRequestHandler):
    """Serve CONTENT in the way that the address's path asks for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        way, body = self.path.strip("/"), CONTENT
        self.server.requests.append(way)
        if way == "gone":
            return self.answer(404)
        headers = {"Content-Length": len(body)}
        if way == "chunked":
            headers = {"Transfer-Encoding": "chunked"}
            size = b"%x\r\n" % (len(body) + 9)  # more than comes
            body = size + body
        if way == "unmeasured":
            headers = {"Connection": "close"}
        if way == "breaks":
            body = body[:100000]
        self.answer(200, headers, body)
        self.close_connection = True

    def answer(self, code, headers=None, body=b""):
        """Send one response."""
        self.send_response(code)
        for name, value in (headers or {"Content-Length": 0}).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    """A running server; ``requests`` lists the ways that were asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.requests, server.woken = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(server):
    """The server's address."""
    server.requests.clear()
    return f"http://127.0.0.1:{server.server_port}/"


def test_whole_file(url, tmp_path):
    download(url + "plain", tmp_path / "new" / "a.zip")
    assert (tmp_path / "new" / "a.zip").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.zip"]


def test_archive_that_is_there_is_kept(url, server, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    download(url + "plain", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"mine"
    assert server.requests == []


def test_file_of_unknown_size(url, tmp_path):
    download(url + "unmeasured", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_leftover_of_a_killed_run_is_replaced(url, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"half of something else")
    download(url + "plain", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_broken_connection_leaves_nothing(url, tmp_path):
    with pytest.raises(DownloadError) as error:
        download(url + "breaks", tmp_path / "a.zip")
    text = str(error.value)
    assert url + "breaks" in text and "100000 of 256000" in text
    assert "run the same command again" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["plain", "unmeasured"])
def test_file_that_is_too_large(way, url, tmp_path):
    few = len(CONTENT) - 1
    with pytest.raises(DownloadError, match="larger than the 255,999 bytes"):
        prepare.download(url + way, tmp_path / "a.zip", largest=few)
    assert list(tmp_path.iterdir()) == []


def test_file_of_the_expected_sha256(url, server, tmp_path):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    for _ in range(2):
        download(url + "plain", tmp_path / "a.zip", sha256=sha256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.requests == ["plain"]


def test_file_of_another_sha256_leaves_nothing(url, tmp_path):
    with pytest.raises(DownloadError, match="SHA-256") as error:
        download(url + "plain", tmp_path / "a.zip", sha256="0" * 64)
    found = hashlib.sha256(CONTENT).hexdigest()
    assert found in str(error.value) and "0" * 64 in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_archive_of_another_sha256_is_kept(url, server, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="there already.*Remove it"):
        download(url + "plain", tmp_path / "a.zip", sha256="0" * 64)
    assert (tmp_path / "a.zip").read_bytes() == b"mine"
    assert server.requests == []


def test_broken_chunked_transfer(url, tmp_path):
    with pytest.raises(DownloadError, match="run the same command again"):
        download(url + "chunked", tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_server_that_falls_silent(url, server, tmp_path, monkeypatch):
    # The room's function has the same name as this module
    module = sys.modules["petl_modules.data.prepare.download"]
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    monkeypatch.setattr(
        Server, "answer", lambda self, *_: self.server.woken.wait(10)
    )
    with pytest.raises(DownloadError, match="timed out"):
        download(url + "plain", tmp_path / "a.zip")
    server.woken.set()
    assert list(tmp_path.iterdir()) == []


def test_error_names_the_address(url, server, tmp_path):
    for address in (url + "gone", "nonsense", "foo://bar", "http://[x/"):
        with pytest.raises(DownloadError) as error:
            download(address, tmp_path / "a.zip")
        assert address in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(url, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="could not be fetched"):
        download(url + "plain", tmp_path / "file" / "a.zip")


def zipped(path, members, mode=stat.S_IFREG | 0o644):
    """Write a zip archive of {name: text}."""
    with zipfile.ZipFile(path, "w") as stream:
        for name, text in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            stream.writestr(info, text)
    return path


def test_single_top_folder_becomes_the_folder(tmp_path):
    members = {"top/a.txt": "a", "top/sub/b.txt": "b"}
    archive = zipped(tmp_path / "a.zip", members)
    unpack(archive, tmp_path / "deep" / "data")
    data = tmp_path / "deep" / "data"
    assert (data / "a.txt").read_text() == "a"
    assert (data / "sub" / "b.txt").read_text() == "b"
    assert list(data.parent.iterdir()) == [data]
    assert archive.exists()


@pytest.mark.parametrize(
    "members", [{"a": "1", "b": "2"}, {"a": "1"}, {"x/a": "1", "y/b": "2"}]
)
def test_several_top_members_stay(members, tmp_path):
    unpack(zipped(tmp_path / "a.zip", members), tmp_path / "data")
    found = {
        path.relative_to(tmp_path / "data").as_posix(): path.read_text()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
    }
    assert found == members


def test_empty_folder_is_used_and_leftovers_go(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / ".data.unpacking").mkdir()
    (tmp_path / ".data.unpacking" / "half").write_text("")
    unpack(zipped(tmp_path / "a.zip", {"top/a": "1"}), tmp_path / "data")
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "data"}
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["a"]


@pytest.mark.parametrize("name", [".", "./", "/."])
def test_member_that_is_the_folder_itself(name, tmp_path):
    archive = zipped(tmp_path / "a.zip", {"good": "1", name: "2"})
    with pytest.raises(DownloadError):
        unpack(archive, tmp_path / "data")
    assert not set(tmp_path.iterdir()) - {archive}
    (tmp_path / ".data.unpacking").write_text("left by an earlier version")
    unpack(zipped(tmp_path / "a.zip", {"a": "1"}), tmp_path / "data")
    assert (tmp_path / "data" / "a").read_text() == "1"


def test_members_in_each_others_place(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a": "1", "a/b": "2"})
    with pytest.raises(DownloadError, match="not a whole zip archive"):
        unpack(archive, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_archive_that_would_fill_the_disk(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("a", bytes(len(CONTENT)))
        stream.writestr("b", bytes(1))
    with pytest.raises(DownloadError, match="would unpack to 256,001 bytes"):
        unpack(archive, tmp_path / "data")
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nothing_is_overwritten(kind, tmp_path):
    archive, data = zipped(tmp_path / "a.zip", {"a": "1"}), tmp_path / "data"
    if kind == "folder":
        data.mkdir()
    mine = data / "a" if kind == "folder" else data
    mine.write_text("mine")
    with pytest.raises(DownloadError, match="not unpacked over it"):
        unpack(archive, data)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "\\\\h\\s\\e"],
)
def test_member_outside_of_the_folder(name, tmp_path):
    archive = zipped(tmp_path / "a.zip", {"good": "1", name: "2"})
    with pytest.raises(DownloadError, match="outside of the folder") as error:
        unpack(archive, tmp_path / "in" / "data")
    assert str(archive) in str(error.value)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_link_or_special_member(kind, tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a": "/etc"}, kind | 0o777)
    with pytest.raises(DownloadError, match="link or a special file"):
        unpack(archive, tmp_path / "data")
    assert list(tmp_path.iterdir()) == [archive]


def damaged(case):
    """The bytes of an archive that cannot be unpacked."""
    stream = io.BytesIO()
    zipped(stream, {"top/a": "content " * 50, "top/b": "b"})
    whole = stream.getvalue()
    return {
        "not a zip": b"<html>moved</html>",
        "empty file": b"",
        "cut": whole[: len(whole) // 2],
        "a bit flipped": whole.replace(b"content ", b"kontent ", 1),
        "no name": whole.replace(b"top/b", b"\0op/b"),
        "no members": b"PK\5\6" + bytes(18),
        "no beginning": whole[30:],
        "only a dot": whole.replace(b"top/b", b"././."),
    }[case]


@pytest.mark.parametrize(
    "case",
    [
        "not a zip",
        "empty file",
        "cut",
        "a bit flipped",
        "no name",
        "no members",
        "no beginning",
        "only a dot",
    ],
)
def test_damaged_archive(case, tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(damaged(case))
    with pytest.raises(DownloadError) as error:
        unpack(archive, tmp_path / "data")
    assert str(archive) in str(error.value)
    assert "been removed. Run the same command" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_damage_unpacks_wholly_or_not_at_all(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    archive = zipped(folder / "a.zip", {"top/a": "content", "top/b": "b"})
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    try:
        unpack(archive, folder / "data")
    except DownloadError:
        assert not set(folder.iterdir()) - {archive}
    else:
        assert sorted(folder.iterdir()) == [archive, folder / "data"]


def test_kill_leaves_nothing_under_the_final_name(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"a": "1", "b": "2"})
    extract = zipfile.ZipFile.extract

    def stop(self, member, path):
        if member.filename == "b":
            raise KeyboardInterrupt
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", stop)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    archive = zipped(tmp_path / "a.zip", {"a": "1"})
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    with pytest.raises(DownloadError, match="No space left"):
        unpack(archive, tmp_path / "data")
    assert list(tmp_path.iterdir()) == [archive]


def test_place_that_cannot_be_does_not_cost_the_archive(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a": "1"})
    (tmp_path / "file").write_text("")
    for place in ("file/data", "n" * 300):
        with pytest.raises(DownloadError, match="could not be unpacked to"):
            unpack(archive, tmp_path / place)
        assert archive.exists()
