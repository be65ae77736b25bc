"""Preparation tells what is odd about clips, in every run on them."""

import json
import logging

import numpy as np
import pytest
import soundfile

from petl_modules.data import levels, used_part
from petl_modules.data.features import FilterBank, Waveform
from petl_modules.data.prepare import finish

RATE = 16000
TONE = 0.3 * np.sin(np.arange(RATE // 4) / 5)


def prepared(tmp_path, clips):
    """The manifest of clips ``{class/name: samples}``."""
    records = {}
    for name, samples in clips.items():
        path = tmp_path / "data" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # each another sound, of the same level
            samples = np.roll(samples, 3 * len(records), axis=0)
            soundfile.write(path, samples, RATE, subtype="FLOAT")
        records[name] = {"wav": f"{name}.wav", "label": name.split("/")[0]}
    return finish("Sounds", tmp_path / "data", tmp_path / "out", records)


def told(caplog):
    """What was logged since the last call."""
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return messages


def test_odd_clips_are_named_by_kind_in_every_run(tmp_path, caplog):
    stereo, silence = np.stack([TONE, -TONE], 1), 0 * TONE
    clips = {f"cat/{i}": TONE for i in range(9)}
    clips |= {f"dog/{i}": stereo for i in range(7)} | {"cat/none": silence}
    manifest = prepared(tmp_path, clips)
    lines = told(caplog)
    assert len(lines) == 2
    silent, cancels = lines if levels.SILENT in lines[0] else lines[::-1]
    assert silent.startswith("Sounds: 1 of 17 clips: ")
    assert silent.endswith(":\n  cat/none")
    assert cancels.startswith("Sounds: 7 of 17 clips: ")
    assert "  dog/4\n  ... and 2 more" in cancels
    assert prepared(tmp_path, clips) == manifest
    assert told(caplog) == lines
    records = json.loads(manifest.read_text())
    assert {*records["dog/0"]} == {"wav", "duration", "digest", "label"}


@pytest.mark.parametrize("factor", [10, 0.05])
def test_class_at_another_scale_is_told(factor, tmp_path, caplog):
    clips = {f"cat/{i}": TONE * (1 + i / 9) for i in range(4)}
    clips |= {f"cow/{i}": TONE * (1 - i / 9) for i in range(4)}
    clips |= {f"dog/{i}": TONE * factor for i in range(4)}
    prepared(tmp_path, clips)
    [line] = told(caplog)
    assert "level alone" in line and "\n  dog: 2" in line


def test_nothing_is_told_of_ordinary_clips(tmp_path, caplog):
    prepared(tmp_path, {f"{c}/{i}": TONE for c in "ab" for i in range(4)})
    assert not told(caplog)
    files = {file.suffix for file in (tmp_path / "out").glob("[!.]*")}
    assert files == {".json", ".sha256"}


def test_files_without_a_length_are_counted(tmp_path, caplog):
    """In one line."""
    (tmp_path / "data" / "a").mkdir(parents=True)
    for name in "12":
        path = tmp_path / "data" / "a" / f"{name}.wav"
        soundfile.write(path, TONE, RATE)
        content = path.read_bytes()
        place = content.index(b"data") + 4
        path.write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
    prepared(tmp_path, {"a/1": None, "a/2": None, "a/3": TONE})
    [line] = told(caplog)
    assert line.startswith("Sounds: 2 of 3 clips: the file does not state")


@pytest.mark.parametrize("features", [Waveform(1.0), FilterBank(100)])
def test_cut_clips_are_counted_to_the_sample(features):
    seconds = features.longest / RATE
    records = {
        "just": {"duration": seconds},
        "more": {"duration": seconds + 1 / RATE},
        "less": {"duration": seconds / 2},
    }
    line = used_part(records, features)
    assert line.startswith(f"1 of 3 clips are longer than {seconds:.4g} s")
    del records["more"]
    assert used_part(records, features) == ""


def test_features_of_whole_clips_cut_none():
    assert used_part({"a": {"duration": 1e9}}, logging) == ""
