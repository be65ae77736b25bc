"""The list of recorded speech, from packages of the same layout."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from petl_modules.utils import DataError, UserError, write_csv
from tests import packages
from tools import real_speech
from tools.speech_packages import PACKAGES

GIVEN = os.environ.get("PETL_REAL_AUDIO")
FOUND = [*Path(GIVEN).rglob(real_speech.LIST)] if GIVEN else []
needs_dpkg = pytest.mark.skipif(
    not shutil.which("dpkg-deb"), reason="packages are made by dpkg-deb"
)


@pytest.fixture
def tree(tmp_path):
    packages.write_tree(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def debs(tree, tmp_path):
    return packages.write_packages(tmp_path, tree)


def by_name(rows):
    """Rows by name of file; of a syllable, the Spanish one."""
    of = [row for row in rows if "/klettres/" not in row["file"]]
    of += [row for row in rows if row["voice"] == "klettres-es"]
    return {Path(row["file"]).stem: row for row in of}


def test_texts_voices_and_licences(tree):
    rows = real_speech.list_recordings(tree)
    assert len(rows) == 5 * 4 + 4 * 4 + 1 + 4
    found = by_name(rows)
    keys = ("collection", "voice", "language", "text", "english")
    assert [found["cat_desc_ru"][key] for key in keys] == [
        "tuxpaint", "tuxpaint-ru", "ru", "Кошка.", "A cat.",
    ]  # fmt: skip
    assert [found["ba"][key] for key in keys] == [
        "klettres", "klettres-es", "es", "BA", "BA",
    ]  # fmt: skip
    assert [found["b"][key] for key in keys[3:]] == ["", "letter B"]
    assert [found["voiture"][key] for key in keys[1:]] == [
        "ktuberling-fr", "fr", "", "car",
    ]  # fmt: skip
    assert found["cat"]["voice"] == ""  # the cat itself
    assert {row["licence"] for row in rows} == {
        "CC-BY-SA-3.0", "GPL-2.0-only", "GPL-2.0-or-later",
    }  # fmt: skip
    assert found["ba"]["seconds"] == pytest.approx(0.4, abs=1e-3)


def test_one_woman_speaks_english_and_spanish_and_tones_are_no_voice(tree):
    rows = real_speech.list_recordings(tree)
    prompts = [row for row in rows if row["collection"] == "asterisk"]
    spoken = {(row["voice"], row["language"]) for row in prompts}
    assert ("asterisk-Allison", "en") in spoken
    assert ("asterisk-Allison", "es") in spoken
    assert {r["voice"] for r in prompts if "beep" in r["file"]} == {""}
    assert {r["voice"] for r in prompts if "silence" in r["file"]} == {""}


def test_copies_are_listed_once(tree):
    animals = tree / "tuxpaint-stamps-default" / packages.STAMPS / "animals"
    shutil.copy(animals / "cat_desc_ru.ogg", animals / "kitten_desc_ru.ogg")
    names = by_name(real_speech.list_recordings(tree))
    assert "cat_desc_ru" in names and "kitten_desc_ru" not in names


def test_what_is_no_sound_is_named(tree):
    animals = tree / "tuxpaint-stamps-default" / packages.STAMPS / "animals"
    (animals / "cat_desc_fr.ogg").write_bytes(b"no sound")
    with pytest.raises(DataError, match="1 problems.*\n.*cat_desc_fr.ogg: no"):
        real_speech.list_recordings(tree)


def test_a_damaged_list_is_named(tree):
    listing = tree / "klettres-data" / packages.LETTERS / "es" / "sounds.xml"
    listing.write_text(packages.SYLLABLES[:-5])
    with pytest.raises(DataError, match="sounds.xml is no list of sounds"):
        real_speech.list_recordings(tree)


def test_an_empty_package_is_named(tree):
    shutil.rmtree(tree / "ktuberling-data" / "usr")
    with pytest.raises(DataError, match="ktuberling-data: no recordings"):
        real_speech.list_recordings(tree)


@needs_dpkg
def test_packages_are_unpacked_and_listed_alike(debs, tmp_path, capsys):
    for name in ("one", "two"):
        real_speech.main([str(tmp_path / name), *map(str, debs)])
    shown = capsys.readouterr().out
    assert "tuxpaint         3 recordings   2 voices" in shown
    one, two = (
        (tmp_path / x / real_speech.LIST).read_bytes() for x in ("one", "two")
    )
    assert one == two
    rows = real_speech.read_recordings(tmp_path / "one")
    assert all(row["file"].is_file() for row in rows)
    with pytest.raises(FileExistsError, match="name a new folder"):
        real_speech.main([str(tmp_path / "one"), *map(str, debs)])


@needs_dpkg
def test_a_broken_package_is_named_and_leaves_nothing(debs, tmp_path):
    debs[-1].write_bytes(debs[-1].read_bytes()[:2000])
    with pytest.raises(DataError, match="tuxpaint.*does not unpack"):
        real_speech.main([str(tmp_path / "new"), *map(str, debs)])
    assert not (tmp_path / "new").exists()


@needs_dpkg
@pytest.mark.parametrize(
    "full", ["No space left on device", "Disk quota exceeded"]
)
def test_a_full_disk_is_no_broken_package(full, debs, tmp_path, monkeypatch):
    """As dpkg-deb ends on one; tar tells it of thousands of files."""

    def fill(words, env, **_):
        assert env["LC_ALL"] == "C" and env["PATH"]
        return SimpleNamespace(
            returncode=2, stderr=f"tar: ./usr/a.ogg: Cannot write: {full}\n" * 9
        )

    monkeypatch.setattr(subprocess, "run", fill)
    with pytest.raises(UserError, match=f"^{full} while aster.*500 MB") as told:
        real_speech.main([str(tmp_path / "new"), *map(str, debs)])
    assert not isinstance(told.value, DataError)
    assert not (tmp_path / "new").exists()


def test_names_need_no_other_package():
    """They are what a fresh machine gets first: -I -S has Python alone."""
    words = [sys.executable, "-I", "-S", real_speech.__file__, "--names"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*PACKAGES]


@needs_dpkg
def test_interrupted_script_leaves_nothing(debs, tmp_path, monkeypatch):
    def interrupt(words, **_):
        Path(words[-1]).mkdir()
        raise KeyboardInterrupt

    place = tmp_path / "place"
    words = [str(place / "new"), *map(str, debs)]
    monkeypatch.setattr(sys, "argv", ["real_speech.py", *words])
    monkeypatch.setattr(subprocess, "run", interrupt)
    with pytest.raises(SystemExit, match="interrupted, nothing was written"):
        runpy.run_path(real_speech.__file__, run_name="__main__")
    assert not any(place.iterdir())


def test_missing_and_strange_packages_are_named(tmp_path):
    given = [tmp_path / f"{name}_1_all.deb" for name in [*PACKAGES][1:]]
    for file in given:
        file.touch()
    with pytest.raises(DataError) as told:
        real_speech.find_packages([*given, tmp_path / "bash_5_amd64.deb"])
    text = str(told.value)
    assert "bash_5_amd64.deb is none of the packages" in text
    assert "asterisk-core-sounds-en-wav is missing" in text
    assert "apt-get download asterisk-core-sounds-en-wav" in text
    with pytest.raises(DataError, match="are both klettres-data"):
        real_speech.find_packages(
            [*given, tmp_path / "klettres-data_2_all.deb"]
        )


@needs_dpkg
def test_a_folder_below_a_file_is_refused_first(debs, tmp_path):
    words = [str(debs[0] / "new" / "speech"), *map(str, debs)]
    with pytest.raises(UserError, match=f"as {debs[0]} is no folder: name an"):
        real_speech.main(words)


def test_a_folder_without_a_list_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="real_speech.py FOLDER"):
        real_speech.read_recordings(tmp_path)


def test_a_damaged_list_of_recordings_is_named(tree):
    rows = real_speech.list_recordings(tree)
    rows[1]["seconds"] = "long"
    write_csv(tree / real_speech.LIST, rows)
    with pytest.raises(DataError, match="csv is damaged.*'long'.*Make the fo"):
        real_speech.read_recordings(tree)


@pytest.mark.skipif(not FOUND, reason="PETL_REAL_AUDIO names no packages")
def test_the_real_packages():
    rows = real_speech.read_recordings(FOUND[0].parent)
    spoken = [row for row in rows if row["voice"]]
    assert len(spoken) > 12_000 and len({r["voice"] for r in spoken}) == 59
    assert {
        row["voice"] for row in rows if "/silence/" in str(row["file"])
    } <= {""}
    assert sum(row["seconds"] for row in spoken) > 6 * 3600
