"""A run's folder whose own files are damaged."""

import pytest

from petl_modules.runs.run_folder import claim_data, claim_folder
from petl_modules.utils import DataError, HparamsError


@pytest.fixture
def folder(tmp_path):
    """One in which something is trained."""
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "result.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("content", [None, b"", b"a: [1\n", b"\xff\xfe", b"a"])
def test_settings_that_cannot_be_read(content, folder):
    file = folder / "hyperparams.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HparamsError, match="settings cannot be read.*name an"):
        claim_folder(file, "seed: 1\n")
    assert not file.exists() or file.read_bytes() == content


def test_data_that_cannot_be_read(folder):
    file = folder / "data.json"
    file.write_text('{"clips": 1', encoding="utf-8")
    with pytest.raises(DataError, match="data.json is damaged .*Delete it"):
        claim_data(folder, {}, processes=1)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(HparamsError, match="clips: absent there, 0 now"):
        claim_data(folder, {}, processes=1)
    file.unlink()
    claim_data(folder, {}, processes=1)
    claim_data(folder, {}, processes=1)
