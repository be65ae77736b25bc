"""The converter of FSDD's clips from the layout of Speech Commands."""

import pytest

from petl_modules.utils import DataError
from tests.digits import convert, main


@pytest.fixture
def commands(tmp_path):
    """Two clips of FSDD, one of Speech Commands and a list."""
    folder = tmp_path / "speech_commands_v0.02"
    for clip in (
        "zero/9fd8de5f_nohash_0.wav",
        "seven/819aabe8_nohash_11.wav",
        "seven/0a7c2a8d_nohash_0.wav",
    ):
        (folder / clip).parent.mkdir(parents=True, exist_ok=True)
        (folder / clip).write_text(clip)
    (folder / "testing_list.txt").write_text("zero/9fd8de5f_nohash_0.wav\n")
    return folder


def test_clips_of_fsdd_get_their_own_names(commands, tmp_path):
    made = convert(commands, tmp_path / "fsdd")
    found = {p.name: p.read_text() for p in (made / "recordings").iterdir()}
    assert found == {
        "0_george_0.wav": "zero/9fd8de5f_nohash_0.wav",
        "7_yweweler_11.wav": "seven/819aabe8_nohash_11.wav",
    }
    assert [p.name for p in made.iterdir()] == ["recordings"]


def test_command_tells_what_it_copied(commands, tmp_path, capsys):
    main([str(commands), str(tmp_path / "fsdd")])
    place = tmp_path / "fsdd" / "recordings"
    assert capsys.readouterr().out == f"2 clips are in {place}\n"
    assert len([*place.iterdir()]) == 2


def test_a_folder_that_holds_something_is_kept(commands, tmp_path):
    mine = tmp_path / "fsdd" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="fsdd is not empty: name a new"):
        convert(commands, mine.parent)
    assert [p.name for p in mine.parent.iterdir()] == ["mine.txt"]


def test_a_folder_of_other_clips_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no clips of FSDD"):
        convert(tmp_path, tmp_path / "fsdd")
    assert not (tmp_path / "fsdd").exists()
