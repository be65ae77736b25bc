"""FSDD's prepare script: names, counts, folds, and the download."""

import hashlib
import importlib
import json
import os
import re
import shutil
import threading
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import soundfile

from petl_modules.data import Folds
from petl_modules.utils import AudioError, DataError, DownloadError
from tests.corpora import sound_of

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "FSDD"
DIGITS = (
    *("zero", "one", "two", "three", "four"),
    *("five", "six", "seven", "eight", "nine"),
)
FOLDS = {
    "george": 1,
    "jackson": 2,
    "lucas": 3,
    "nicolas": 4,
    "theo": 5,
    "yweweler": 6,
}
COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
SHA256 = "beaca4fb849cad13103b2cffba913b3d7fdb5f15222da4ddd07187b3c38a757a"
ARCHIVE = f"free-spoken-digit-dataset-{COMMIT}.zip"


@pytest.fixture(scope="module")
def fsdd():
    """The prepare script, imported as train.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        yield importlib.import_module("fsdd_prepare")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """All 3,000 clips, very short: links to few files, which is quick."""
    folder = tmp_path_factory.mktemp("fsdd")
    place = folder / "recordings"
    place.mkdir()
    for speaker in FOLDS:
        for digit in range(10):
            first = place / f"{digit}_{speaker}_0.wav"
            soundfile.write(first, sound_of(first.stem, 800), 8000)
            for take in range(1, 50):
                os.link(first, place / f"{digit}_{speaker}_{take}.wav")
    (place / "._0_george_0.wav").write_bytes(b"\0\5\x16\7")
    (folder / "README.md").write_text("Free Spoken Digit Dataset\n")
    return folder


@pytest.fixture(scope="module")
def whole(fsdd, original, tmp_path_factory):
    """Their records."""
    return records_of(fsdd, original, tmp_path_factory.mktemp("manifests"))


@pytest.fixture
def data(original, tmp_path):
    """A copy of them that a test may spoil."""
    return shutil.copytree(original, tmp_path / "data", copy_function=os.link)


@pytest.fixture
def few(tmp_path):
    """A folder of two digits by each speaker."""
    place = tmp_path / "few" / "recordings"
    place.mkdir(parents=True)
    for speaker in FOLDS:
        for digit in (3, 7):
            name = f"{digit}_{speaker}_11.wav"
            soundfile.write(place / name, sound_of(name, 800), 8000)
    return place.parent


def records_of(fsdd, data, tmp_path, **options):
    path, labels = fsdd.prepare_fsdd(data, tmp_path / "out", **options)
    assert labels == DIGITS
    return json.loads(path.read_text())


def clip(data, name):
    return data / "recordings" / f"{name}.wav"


def test_whole_dataset(whole):
    assert len(whole) == 3000
    assert whole["7_jackson_32"] == {
        "wav": "{data_root}/recordings/7_jackson_32.wav",
        "duration": 0.1,
        "digest": whole["7_jackson_32"]["digest"],
        "label": "seven",
        "fold": 2,
        "speaker": "jackson",
    }
    for name, record in whole.items():
        digit, speaker, _ = name.split("_")
        assert record["label"] == DIGITS[int(digit)]
        assert (record["speaker"], record["fold"]) == (speaker, FOLDS[speaker])


def test_a_fold_tests_a_speaker_who_is_in_no_other_part(whole):
    folds, protocol = Folds(6)(whole)
    assert protocol == "6 folds: test k, validation k + 1, train 4"
    names = [*FOLDS]
    for fold, parts in folds.items():
        heard = {
            part: Counter(record["speaker"] for record in clips.values())
            for part, clips in parts.items()
        }
        assert heard["test"] == {names[fold - 1]: 500}
        assert heard["valid"] == {names[fold % 6]: 500}
        others = {*names} - {names[fold - 1], names[fold % 6]}
        assert heard["train"] == dict.fromkeys(others, 500)


def test_manifest_does_not_depend_on_the_order_of_files(
    fsdd, few, tmp_path, monkeypatch
):
    first, _ = fsdd.prepare_fsdd(few, tmp_path / "one", allow_partial=True)
    found = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: sorted(found(place))[::-1])
    second, _ = fsdd.prepare_fsdd(few, tmp_path / "two", allow_partial=True)
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_missing_clip(fsdd, data, tmp_path):
    clip(data, "3_theo_7").unlink()
    with pytest.raises(DataError) as error:
        records_of(fsdd, data, tmp_path)
    text = str(error.value)
    for part in ("2999 clips", "three: 299", "theo: 499", "theo: 500"):
        assert part in text
    assert "one: " not in text and "lucas" not in text


def test_missing_speaker(fsdd, data, tmp_path):
    for file in data.glob("recordings/*_lucas_*.wav"):
        file.unlink()
    with pytest.raises(DataError, match="speakers lucas: 0.*lucas: 500"):
        records_of(fsdd, data, tmp_path)


def test_part_without_a_speaker_keeps_the_folds(fsdd, few, tmp_path, capsys):
    for file in few.glob("recordings/*_lucas_*.wav"):
        file.unlink()
    records = records_of(fsdd, few, tmp_path, allow_partial=True)
    folds = {(r["speaker"], r["fold"]) for r in records.values()}
    assert folds == {*FOLDS.items()} - {("lucas", 3)}
    told = "A part of FSDD: 10 clips; digits seven: 5, three: 5; speakers"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, problem",
    [
        ("10_theo_1.wav", "is not <digit>_<speaker>_<take>.wav"),
        ("ten_theo_1.wav", "is not <digit>_<speaker>_<take>.wav"),
        ("1_theo_01.wav", "is not <digit>_<speaker>_<take>.wav"),
        ("1_theo.wav", "is not <digit>_<speaker>_<take>.wav"),
        ("1_theo_1.WAV", "is not <digit>_<speaker>_<take>.wav"),
        ("1_theo_1.flac", "is not <digit>_<speaker>_<take>.wav"),
        ("1_jason_1.wav", "has speaker 'jason': there are george, jackson"),
        ("1_theo_50.wav", "has take 50: there are 0 to 49"),
    ],
)
def test_other_names_are_refused(name, problem, fsdd, few, tmp_path):
    (few / "recordings" / name).touch()
    with pytest.raises(DataError, match="fetch the dataset again") as error:
        records_of(fsdd, few, tmp_path, allow_partial=True)
    assert f"{few / 'recordings'} (1)" in str(error.value)
    assert f"{name!r} {problem}" in str(error.value)


def test_all_problems_are_told_at_once(fsdd, few, tmp_path):
    for name in ("a.wav", "1_theo_50.wav"):
        (few / "recordings" / name).touch()
    (few / "recordings" / "more").mkdir()
    with pytest.raises(DataError, match=r"\(3\)") as error:
        records_of(fsdd, few, tmp_path, allow_partial=True)
    for name in ("'a.wav'", "'1_theo_50.wav'", "'more'"):
        assert name in str(error.value)


def test_corrupt_clip(fsdd, few, tmp_path):
    clip(few, "3_george_11").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="1 of 12 audio.*\n.*3_george_11"):
        records_of(fsdd, few, tmp_path, allow_partial=True)
    options = {"allow_partial": True, "skip_bad_audio": True}
    records = records_of(fsdd, few, tmp_path, **options)
    assert len(records) == 11 and "3_george_11" not in records


@pytest.mark.parametrize("there", ["nothing", "no clips", "a file"])
def test_absent_data(there, fsdd, tmp_path):
    if there == "a file":
        (tmp_path / "recordings").write_text("")
    elif there == "no clips":
        (tmp_path / "recordings").mkdir()
    with pytest.raises(FileNotFoundError) as error:
        records_of(fsdd, tmp_path, tmp_path, allow_partial=True)
    for part in (
        f"found in {tmp_path}.",
        "recordings/<digit>_<speaker>_<take>.wav",
        "CC BY-SA 4.0",
        "--data_folder DIR",
        "--download True",
        "petl_modules.miniatures FSDD",
    ):
        assert part in str(error.value)


def test_folder_that_may_not_be_read(fsdd, few, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError, match="recordings: Permission denied"):
        records_of(fsdd, few, tmp_path)


# Download


class Server(BaseHTTPRequestHandler):
    """Serve the server's ``content``; break off in the middle at first."""

    def do_GET(self):
        self.server.asked += 1
        content = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        broken = self.server.asked <= self.server.breaks
        self.wfile.write(content[: len(content) // 2] if broken else content)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def stand_in(few):
    """A server of the clips, packed as GitHub does."""
    archive = few.parent / "source.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for file in sorted(few.rglob("*")):
            name = file.relative_to(few).as_posix()
            stream.write(file, f"free-spoken-digit-dataset-{COMMIT}/{name}")
    server = HTTPServer(("127.0.0.1", 0), Server)
    server.content = archive.read_bytes()
    server.asked = server.breaks = 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def downloaded(fsdd, stand_in, tmp_path):
    """Prepares a folder with what the stand-in has."""

    def records(folder, **options):
        options = {
            "allow_partial": True,
            "download": True,
            "url": f"http://127.0.0.1:{stand_in.server_port}/",
            "sha256": hashlib.sha256(stand_in.content).hexdigest(),
            **options,
        }
        return records_of(fsdd, folder, tmp_path, **options)

    return records


def test_archive_is_pinned(fsdd):
    """Its commit and its SHA-256 are written down a second time, here."""
    assert (fsdd.COMMIT, fsdd.FSDD_SHA256) == (COMMIT, SHA256)
    place = "codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip"
    assert fsdd.FSDD_URL == f"https://{place}/{COMMIT}"


@pytest.mark.parametrize("exists", [False, True])
def test_download(exists, downloaded, stand_in, tmp_path):
    folder = tmp_path / "new" / "my data"
    if exists:
        folder.mkdir(parents=True)
    assert len(downloaded(folder)) == 12
    assert [*folder.parent.iterdir()] == [folder]
    assert len(downloaded(folder)) == 12
    assert stand_in.asked == 1


def test_another_archive_is_refused(downloaded, fsdd, stand_in, tmp_path):
    found = hashlib.sha256(stand_in.content).hexdigest()
    with pytest.raises(DownloadError) as error:
        downloaded(tmp_path / "new" / "data", sha256=fsdd.FSDD_SHA256)
    assert found in str(error.value) and SHA256 in str(error.value)
    assert [*(tmp_path / "new").iterdir()] == []


def test_broken_download_is_repeated(downloaded, stand_in, tmp_path):
    stand_in.breaks = 1
    folder = tmp_path / "new" / "data"
    with pytest.raises(DownloadError, match="broke off after"):
        downloaded(folder)
    assert [*folder.parent.iterdir()] == []
    assert len(downloaded(folder)) == 12


def test_interrupted_unpacking_is_repeated(
    downloaded, stand_in, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "new" / "data"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(zipfile.ZipFile, "extract", stop)
        downloaded(folder)
    assert not folder.exists()
    assert len(downloaded(folder)) == 12
    assert stand_in.asked == 1


def test_archive_of_the_user_is_used_and_kept(downloaded, stand_in, tmp_path):
    archive = tmp_path / "new" / ARCHIVE
    archive.parent.mkdir()
    archive.write_bytes(stand_in.content)
    assert len(downloaded(tmp_path / "new" / "data")) == 12
    assert archive.read_bytes() == stand_in.content and stand_in.asked == 0


def test_another_archive_of_the_user_is_kept(downloaded, tmp_path):
    archive = tmp_path / "new" / ARCHIVE
    archive.parent.mkdir()
    archive.write_bytes(b"mine")
    with pytest.raises(DownloadError, match=f"{re.escape(str(archive))} is"):
        downloaded(tmp_path / "new" / "data")
    assert archive.read_bytes() == b"mine"


def test_download_never_overwrites(downloaded, stand_in, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="nothing is downloaded over it"):
        downloaded(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    assert stand_in.asked == 0


def test_download_of_something_else(downloaded, few, stand_in, tmp_path):
    archive = tmp_path / "other.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("top/README.md", "no clips")
    stand_in.content = archive.read_bytes()
    with pytest.raises(FileNotFoundError, match="no recordings were found"):
        downloaded(tmp_path / "new" / "data")
