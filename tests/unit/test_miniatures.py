"""The generated corpora: how they are written, and that they are sound."""

import hashlib
import importlib.util
import json
import shlex
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_modules.data.prepare import arpabet, read_manifest
from petl_modules.miniatures import __main__ as command_line
from petl_modules.miniatures import corpus, music_sets, speech_sets
from petl_modules.miniatures.corpus import draw, write_miniature
from petl_modules.miniatures.layouts import LAYOUTS
from petl_modules.miniatures.phones import VOWELS
from petl_modules.miniatures.trials import (
    BACKBONES,
    METHODS,
    MINIATURES,
    SCRATCH,
    SPEAKER_METHODS,
    SPEECH_METHODS,
    command,
)
from petl_modules.miniatures.words import ARPABET, WORDS
from petl_modules.runs import compose
from petl_modules.verification import read_trials

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
# Long clips take their time
SIZES = {
    "ESC50": {"takes": 1},
    "GTZAN": {"seconds": 2.0},
    "VoxCeleb1": {"takes": 1},
    "LibriSpeech": {"sentences": 4},
}
TAKES = {
    "GSC": speech_sets.TAKES,
    "FSC": speech_sets.TAKES,
    "GTZAN": music_sets.TAKES,
}


def sounds(folder):
    """The audio files of a miniature."""
    return sorted([*folder.rglob("*.wav"), *folder.rglob("*.flac")])


def digest(samples):
    rounded = np.round(samples * 100).astype("<i2")
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Writes a miniature once, and gives its folder."""
    folder = tmp_path_factory.mktemp("miniatures")

    def folder_of(name):
        sizes = SIZES.get(name, {})
        return write_miniature(name, folder / name, **sizes)

    return folder_of


@pytest.fixture(params=LAYOUTS)
def name(request):
    return request.param


@pytest.fixture(params=MINIATURES)
def labelled(request):
    return request.param


@pytest.fixture
def own(written, tmp_path):
    """A copy of the spoken words that a test may spoil."""
    return shutil.copytree(written("GSC"), tmp_path / "GSC")


@pytest.fixture
def prepared(written, tmp_path):
    """Gives the manifest that the recipe's own prepare script makes."""
    return lambda name: prepare(name, written(name), tmp_path)


def prepare(name, folder, manifests, **options):
    module = f"{name.lower()}_prepare"
    place = RECIPES / name / f"{module}.py"
    spec = importlib.util.spec_from_file_location(module, place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    function = getattr(script, f"prepare_{name.lower()}")
    options = {"allow_partial": True, **options}
    manifest, _ = function(str(folder), manifests, **options)
    return read_manifest(manifest)


PINNED = {
    "ESC50": ["bce5cff3f250cd35", "8c5117cc3409ba7b", "c6627e10e2f2186d"],
    "UrbanSound8k": [
        "60e02f89f21cdefc",
        "e017d6cc2ceffa78",
        "33273fbdfe8a264e",
    ],
    "GSC": ["f554e60ecb920e1d", "69ef8d577db22aac", "cde52a71b20bded8"],
    "FSC": ["e7ac0b5d4e1209a2", "09c782f692abcd5d", "8ccc04e16581214a"],
    "FSDD": ["44136fa355b3678a", "8d3f545e349c1e1a", "bc56de484c2db4b7"],
    "GTZAN": ["44136fa355b3678a", "cf3adba1d9f0781d", "43e13a5dbfac8c5c"],
    "IEMOCAP": ["faecd1f489e28750", "f3aaf4d6d0c13f0c", "3916f3871b686dfc"],
    "VoxCeleb1": ["cfd78827cb9e8d21", "d51877fc3b868156", "0344a6c989566d17"],
    "LibriSpeech": ["da7c160e6198edfd", "5ed2411483e29fba", "39edcd0434e3d408"],
}


def test_version_goes_with_the_pins():
    """Sounds that are pinned anew need another number."""
    pins = hashlib.sha256(json.dumps(PINNED).encode()).hexdigest()[:16]
    assert (corpus.VERSION, pins) == (2, "74e7f0f20cf7d194")


def test_tables_are_pinned(name):
    texts = json.dumps(LAYOUTS[name](seed=0).texts)
    found = hashlib.sha256(texts.encode()).hexdigest()[:16]
    assert found == PINNED[name][0]


def test_sounds_are_pinned(name):
    plan = LAYOUTS[name](seed=0)
    paths = [*plan.sounds]
    found = [digest(draw(plan, path, 0)) for path in (paths[0], paths[-1])]
    assert found == PINNED[name][1:]


def test_a_file_is_what_is_drawn_alone(name, written):
    plan = LAYOUTS[name](0, **SIZES.get(name, {}))
    path = [*plan.sounds][7]
    samples, _ = soundfile.read(written(name) / path)
    np.testing.assert_allclose(samples, draw(plan, path, 0), atol=1 / 32767)


def test_another_seed_gives_other_sounds(name):
    drawn = [LAYOUTS[name](seed) for seed in (0, 1)]
    path = [*drawn[0].sounds][0]
    zero, one = (digest(draw(plan, path, s)) for s, plan in enumerate(drawn))
    assert zero != one


def test_audio_is_valid(name, written):
    folder = written(name)
    rates = set()
    for path in sounds(folder):
        info = soundfile.info(path)
        rates.add(info.samplerate)
        assert (info.channels, info.subtype) == (1, "PCM_16")
        samples, _ = soundfile.read(path)
        assert 0.07 < np.abs(samples).max() <= 0.9001, path
        assert abs(samples.mean()) < 1e-4, path
        shortest = 0.25 if name == "FSDD" else 0.5
        assert shortest <= info.duration <= 5.0, path
    many = {16000, 22050, 44100, 48000}
    wanted = {"ESC50": {44100}, "UrbanSound8k": many, "GTZAN": {22050}}
    wanted["FSDD"] = {8000}
    assert rates == wanted.get(name, {16000})


def test_recipe_reads_every_clip(name, prepared, written):
    assert len(prepared(name)) == len(sounds(written(name)))


def test_classes_are_balanced(labelled, prepared):
    name, records = labelled, prepared(labelled)
    part = {**dict.fromkeys(TAKES, "split"), "IEMOCAP": "speaker"}
    cells = defaultdict(Counter)
    for record in records.values():
        cells[record[part.get(name, "fold")]][record["label"]] += 1
    labels = {record["label"] for record in records.values()}
    assert len(labels) == {"GSC": 8, "FSC": 6, "IEMOCAP": 4}.get(name, 10)
    for part, counts in cells.items():
        assert set(counts) == labels and len(set(counts.values())) == 1, part
        if name in TAKES:
            assert set(counts.values()) == {TAKES[name][part]}


def test_speakers_and_recordings_stay_in_one_part(labelled, prepared):
    name, records = labelled, prepared(labelled)
    source = "speaker" if MINIATURES[name].speech else "recording"
    if name == "GTZAN":
        pytest.skip("each clip is a recording")
    if name == "IEMOCAP":
        assert len({record["speaker"] for record in records.values()}) == 10
        return
    parts = defaultdict(set)
    for record in records.values():
        part = record.get("split", record.get("fold"))
        parts[record[source]].add(part)
    assert {len(found) for found in parts.values()} == {1}


def test_trials_of_speakers(prepared, written):
    """As many of either kind, and target trials of two videos."""
    records = prepared("VoxCeleb1")
    file = written("VoxCeleb1") / "veri_test2.txt"
    trained = {r["speaker"] for r in records.values() if r["split"] == "train"}
    trials = read_trials(file, records.get, trained)
    assert len(trained) == 16 and 2 * trials.same.sum() == len(trials) > 90
    videos = [
        [records[clip]["recording"] for clip in side]
        for side in (trials.first, trials.second)
    ]
    assert all(one != other for one, other in zip(*videos))
    tested = {clip for clip, r in records.items() if r["split"] == "test"}
    assert {*trials.first} == tested


def test_speakers_are_identified_in_other_videos(written, tmp_path):
    folder = written("VoxCeleb1")
    records = prepare(
        "VoxCeleb1", folder, tmp_path, protocol="identification"
    ).values()
    parts = defaultdict(set)
    for record in records:
        parts[record["split"]].add(record["recording"])
    assert not parts["train"] & (parts["valid"] | parts.get("test", set()))
    assert len({record["label"] for record in records}) == 24


def test_sentences_are_texts_and_phones(written, tmp_path):
    """At least 320 to train on; no speaker is in two parts."""
    plan = LAYOUTS["LibriSpeech"](seed=0)
    trained = [path for path in plan.sounds if path.startswith("train-clean")]
    assert len(trained) == 320 and len({p.split("/")[1] for p in trained}) == 8
    folder = written("LibriSpeech")
    records = prepare("LibriSpeech", folder, tmp_path, units="phones")
    parts = defaultdict(set)
    for record in records.values():
        parts[record["speaker"]].add(record["part"])
        assert 2 <= len(record["text"].split()) <= 4
        assert {*record["text"].split()} <= {word.upper() for word in WORDS}
    assert {len(found) for found in parts.values()} == {1} and len(parts) == 28


def test_lexicon_says_what_is_spoken():
    """The phones of the synthesiser, each with a name of its own."""
    assert len({*ARPABET.values()}) == len(ARPABET)
    assert {*ARPABET} == {*"".join(WORDS.values())}
    assert {*ARPABET.values()} <= {*arpabet()}
    vowels = {p for p, name in ARPABET.items() if name[-1] == "1"}
    assert vowels == {*VOWELS} & {*ARPABET}


def test_words_are_others_backwards():
    assert WORDS["no"] == WORDS["on"][::-1]
    assert WORDS["four"] == WORDS["off"][::-1]


def test_unknown_miniature_names_the_choices(tmp_path):
    with pytest.raises(ValueError, match="'AudioSet'.*ESC50, UrbanSound8k"):
        write_miniature("AudioSet", tmp_path / "new")


@pytest.mark.parametrize("takes", [0, 27])
def test_takes_out_of_range(takes, tmp_path):
    with pytest.raises(ValueError, match=f"takes is {takes}"):
        write_miniature("ESC50", tmp_path / "new", takes=takes)


def test_complete_miniature_is_left_alone(own):
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    write_miniature("GSC", own)
    after = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    assert after == before


def test_other_folder_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no readable generated.json"):
        write_miniature("GSC", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_file_in_the_place_is_refused_and_kept(tmp_path):
    place = tmp_path / "place"
    place.write_text("mine")
    with pytest.raises(FileExistsError, match="place"):
        write_miniature("GSC", place)
    assert place.read_text() == "mine"


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(seed=1), "'seed': 0.*'seed': 1"),
        (dict(dataset="FSC"), "'dataset': 'GSC'.*'dataset': 'FSC'"),
    ],
)
def test_other_miniature_is_refused(own, changes, message):
    with pytest.raises(FileExistsError, match=message):
        write_miniature(**{"dataset": "GSC", "folder": own, **changes})


def test_damaged_miniature_is_refused(own):
    first, second = sorted(own.rglob("*.wav"))[:2]
    first.unlink()
    second.write_bytes(b"RIFF")
    (own / "testing_list.txt").write_text("")
    with pytest.raises(FileExistsError, match="3 files") as error:
        write_miniature("GSC", own)
    for path in (first.name, second.name, "testing_list.txt"):
        assert path in str(error.value)


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus.soundfile, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        write_miniature("GSC", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_command_line_writes_and_refuses(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "GSC", lambda seed: corpus_of_one(seed))
    command_line.main(["GSC", str(tmp_path / "new"), "--seed", "3"])
    told = capsys.readouterr().out
    assert "a miniature of GSC is in" in told
    words = shlex.split(told.splitlines()[-1])
    assert words[1].endswith("recipes/GSC/train.py")
    recipe, _ = compose(words[2:], RECIPES / "GSC")
    assert str(tmp_path / "new") in recipe.text
    marker = json.loads((tmp_path / "new" / "generated.json").read_text())
    assert marker["seed"] == 3
    with pytest.raises(SystemExit, match="'seed': 3.*'seed': 0"):
        command_line.main(["GSC", str(tmp_path / "new")])


def test_readme_has_the_printed_command(tmp_path, capsys, monkeypatch):
    """Started as README says, but for the interpreter's name."""
    monkeypatch.setitem(LAYOUTS, "GSC", lambda seed: corpus_of_one(seed))
    monkeypatch.chdir(tmp_path)
    command_line.main(["GSC", "data/speech_commands_v0.02"])
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    there = [word.removeprefix(f"{RECIPES.parent}/") for word in words[1:]]
    command = shlex.join(["python", *there])
    readme = (RECIPES.parent / "README.md").read_text(encoding="utf-8")
    assert command in readme.splitlines()


def test_a_negative_seed_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_line.main(["GSC", str(tmp_path / "new"), "--seed", "-1"])
    assert "--seed is -1: choose 0 or more" in capsys.readouterr().err


def corpus_of_one(seed):
    plan = LAYOUTS["FSC"](seed)
    plan.sounds = dict([*plan.sounds.items()][:1])
    return plan


@pytest.mark.covering("method", "labelled")
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_every_trial_is_a_command_that_its_recipe_takes(
    labelled, method, backbone, tmp_path
):
    name = labelled
    if backbone != "ast" and not MINIATURES[name].speech:
        pytest.skip("AST alone")
    words = command(name, method, tmp_path, tmp_path / "out", backbone)
    recipe, _ = compose(words[2:], Path(words[1]).parent)
    assert str(BACKBONES[backbone]) in recipe.text


@pytest.mark.parametrize(
    "backbone, method, stem, has, lacks",
    [
        ("ast", "conformer", "conformer", "--frames", "--seconds"),
        ("wav2vec2", "lora", "lora", "--base", "--frames"),
        ("wav2vec2", "conformer", "conformer_wav2vec2", "--seconds", "--base"),
    ],
)
def test_trial_names_the_right_file(backbone, method, stem, has, lacks):
    words = command("GSC", method, Path("data"), Path("out"), backbone, lr=0.5)
    assert f"hparams/{stem}.yaml" in words and has in words
    assert lacks not in words
    assert words[words.index("--lr") + 1] == "0.5"


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", SPEAKER_METHODS)
def test_every_trial_of_speakers_is_a_command(method, backbone, tmp_path):
    words = command("VoxCeleb1", method, tmp_path, tmp_path / "out", backbone)
    recipe, _ = compose(words[2:], RECIPES / "VoxCeleb1")
    scratch = method in SCRATCH
    assert (str(BACKBONES[backbone]) in recipe.text) != scratch
    assert "--seconds" in words or (backbone == "ast" and not scratch)


@pytest.mark.parametrize("method", SPEECH_METHODS)
def test_every_trial_of_recognition_is_a_command(method, tmp_path):
    words = command("LibriSpeech", method, tmp_path, tmp_path / "out")
    recipe, _ = compose(words[2:], RECIPES / "LibriSpeech")
    assert str(BACKBONES["wav2vec2"]) in recipe.text
    assert not {"--base", "--seconds", "--frames", "--batch_size"} & {*words}


def test_readme_has_the_printed_command_of_recognition(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(LAYOUTS, "LibriSpeech", lambda seed: corpus_of_one(0))
    monkeypatch.chdir(tmp_path)
    command_line.main(["LibriSpeech", "data/LibriSpeech"])
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    there = [word.removeprefix(f"{RECIPES.parent}/") for word in words[1:]]
    readme = (RECIPES.parent / "README.md").read_text(encoding="utf-8")
    assert shlex.join(["python", *there]) in readme.splitlines()


def test_speakers_have_a_printed_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "VoxCeleb1", lambda seed: corpus_of_one(seed))
    command_line.main(["VoxCeleb1", str(tmp_path / "new")])
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words[1].endswith("recipes/VoxCeleb1/train.py")
    compose(words[2:], RECIPES / "VoxCeleb1")
