"""A trained run of recognition as a transcriber: files, windows, command."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from petl_modules import embed, predict, transcribe
from petl_modules.backbones import (
    W2vBert,
    Whisper,
    refuse_tuned,
    write_tiny_w2v_bert,
    write_tiny_whisper,
)
from petl_modules.data import StackedFilterBank, WhisperLogMel
from petl_modules.inference.transcriber import Transcriber, spans
from petl_modules.models import WEIGHTS, save_trained
from petl_modules.recognition import GreedyDecoder, Units, characters_of
from petl_modules.runs import RecipeFile
from petl_modules.utils import AudioError, HparamsError

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "templates" / "speech_recognition" / "hparams" / "wav2vec2.yaml"
LABELS = characters_of(["ABC DE"])


@pytest.fixture(scope="module")
def run(tiny_wav2vec2, tmp_path_factory):
    """The folder of a fold: random weights, but for what a head says."""
    folder = tmp_path_factory.mktemp("run")
    recipe = RecipeFile.read(BASE)
    recipe.update(
        {
            "backbone": tiny_wav2vec2["layer"],
            "labels": LABELS,
            "sample_rate": 16_000,
            "do_normalize": True,
            "best_metric": {"name": "wer", "mode": "min"},
        }
    )
    (folder / "hyperparams.yaml").write_text(recipe.text, encoding="utf-8")
    torch.manual_seed(0)
    model = recipe.make_all()["model"]
    with torch.no_grad():
        model.head.weight *= 30  # outputs that change from frame to frame
    save_trained(model, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def sound():
    """Two seconds that are no silence."""
    torch.manual_seed(1)
    return 0.1 * torch.randn(32_000) * torch.linspace(0.1, 1, 32_000)


@pytest.fixture(scope="module")
def file(sound, tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "one.wav"
    soundfile.write(path, sound.numpy(), 16_000, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def transcriber(run):
    return Transcriber(run)


# Files and arrays


def test_text_is_that_of_the_model(transcriber, sound, file):
    run = transcriber.trained
    with torch.inference_mode():
        logits, _ = run.model(run.features(sound)[None])
    units = Units("characters", LABELS)
    expected = GreedyDecoder(units)(logits)[0]
    assert len(expected.split()) > 1
    for given in (
        *(file, str(file), file.read_bytes(), open(file, "rb")),
        *(sound, sound.numpy(), sound.double(), torch.stack([sound, sound])),
        *((sound, 16_000), {"array": sound, "sampling_rate": 16_000}),
    ):
        assert transcriber(given) == expected
    assert transcriber.stride == 320
    words = transcriber.words(file)
    assert " ".join(word for word, *_ in words) == expected
    times = [time for _, *both in words for time in both]
    assert times == sorted(times) and 0 <= times[0] and times[-1] <= 2.0
    assert all(abs(t * 50 - round(t * 50)) < 1e-9 for t in times)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(2, 2, 16_000), r"give \[time\]"),
        (torch.zeros(0), "no samples"),
        (torch.full((16_000,), torch.nan), "NaN or infinite"),
        (
            torch.full((16_000,), 1000, dtype=torch.int16),
            "reach 1000, .* 32768",
        ),
        ("no/such/file.wav", "no/such/file.wav"),
    ],
)
def test_what_cannot_be_read_is_refused(transcriber, given, said):
    with pytest.raises(AudioError, match=said):
        transcriber(given)


# Windows


@pytest.mark.parametrize("frames", [*range(1, 60), 399, 400, 401])
def test_windows_use_every_frame_once(frames):
    stride, window, overlap = 4, 40, 16
    for samples in range(frames * stride + 1, (frames + 1) * stride + 1):
        used, hops = [], []
        for start, stop, first, end in spans(samples, window, overlap, stride):
            assert start % stride == 0 and stop - start <= window
            known = range(start // stride, (stop - 1) // stride)
            used += known[first:end]
            hops.append((start, first))
        assert used == list(range((samples - 1) // stride))
        for start, first in hops[1:]:  # the seam is amid the overlap
            assert first * stride == overlap / 2
        assert stop == samples


TONES = {"A": 500, "B": 900, "C": 1300, "D": 1700, "E": 2100}
RATE, STRIDE, KERNEL = 16_000, 320, 400


def spoken(text):
    """A sound of tones, with pauses between them and longer ones at spaces."""
    time = np.arange(RATE // 10) / RATE
    parts = [np.zeros(RATE // 4)]
    for character in text:
        if character == " ":
            parts.append(np.full(RATE // 10, 1e-3))
        else:
            parts.append(np.sin(2 * np.pi * TONES[character] * time))
        parts.append(np.zeros(RATE // 12))
    return np.concatenate([*parts, np.zeros(RATE // 4)]).astype(np.float32)


def hear(batch):
    """Logits of tones: a stand-in that hears three frames on either side."""
    frames = batch.unfold(1, KERNEL, STRIDE)
    time = torch.arange(KERNEL) / RATE
    tones = torch.tensor([*TONES.values()])[:, None] * 2 * torch.pi * time
    loud = (frames @ tones.sin().T) ** 2 + (frames @ tones.cos().T) ** 2
    loud = loud / KERNEL
    near = torch.nn.functional.avg_pool1d(loud.mT, 3, 1, 1).mT
    space = (
        30.0
        * (frames.mean(-1, keepdim=True) > 5e-4)
        * (near.amax(-1) < 1)[..., None]
    )
    blank = torch.full_like(space, 10.0)
    return torch.cat([blank, space, near], -1), None


@pytest.fixture
def listener():
    """A transcriber with the stand-in, in windows of two seconds."""
    listener = Transcriber.__new__(Transcriber)
    listener.trained = SimpleNamespace(
        features=lambda samples: samples, model=hear, device="cpu"
    )
    listener.decoder = GreedyDecoder(Units("characters", LABELS))
    listener.rate, listener.stride = RATE, STRIDE
    listener.window, listener.overlap = 100 * STRIDE, 24 * STRIDE
    return listener


def test_text_of_a_long_sound_is_that_of_its_parts(listener):
    draw = np.random.default_rng(0)
    texts = []
    for _ in range(12):
        words = [
            "".join(draw.choice([*TONES], n)) for n in draw.integers(1, 4, 2)
        ]
        texts.append(" ".join(words))
    sounds = [spoken(text) for text in texts]
    assert all(len(sound) < listener.window for sound in sounds)
    assert [listener(sound) for sound in sounds] == texts
    pause = np.zeros(RATE, np.float32)
    pause[RATE // 2 : RATE // 2 + RATE // 10] = 1e-3  # heard as a space
    for shift in (0, 100, 5_000, 11_111):  # seams lie elsewhere
        whole = [np.zeros(shift, np.float32)]
        for sound in sounds:
            whole += [sound, pause]
        whole = np.concatenate(whole)
        assert len(whole) > 8 * listener.window
        assert listener(whole) == " ".join(texts)


def test_times_go_on_over_windows(listener):
    pause = np.full(4 * RATE, 1e-3, np.float32)
    parts = spoken("AB"), pause, spoken("CD")
    found = listener.words(np.concatenate(parts))
    alone = [listener.words(part)[0] for part in (parts[0], parts[2])]
    later = (len(parts[0]) + len(pause)) / RATE
    expected = [alone[0], ("CD", alone[1][1] + later, alone[1][2] + later)]
    assert [word for word, *_ in found] == ["AB", "CD"]
    for (_, *times), (_, *known) in zip(found, expected):
        assert times == pytest.approx(known, abs=0.021)  # a frame


@pytest.mark.parametrize(("window", "overlap"), [(1.0, 1.0), (2.0, 0.0)])
def test_impossible_windows_are_refused(run, window, overlap):
    with pytest.raises(HparamsError, match="cannot overlap"):
        Transcriber(run, window=window, overlap=overlap)


def test_windows_of_a_real_encoder_have_its_frames(run, transcriber, sound):
    long = sound.repeat(4)
    short = Transcriber(run, window=3.0, overlap=1.0)
    one, several = (t._logits(long) for t in (transcriber, short))
    assert one.shape == several.shape


def encoders(kind, folder):
    """An encoder with its features."""
    if kind == "w2v-bert":
        write_tiny_w2v_bert(folder)
        return W2vBert(folder), StackedFilterBank(None)
    write_tiny_whisper(folder)
    return Whisper(folder, seconds=4.0), WhisperLogMel(4.0)


@pytest.mark.parametrize(
    ("kind", "frames"), [("w2v-bert", 499), ("whisper", 501)]
)
def test_windows_of_other_encoders(kind, frames, tmp_path):
    backbone, features = encoders(kind, tmp_path / kind)

    def model(inputs):
        return backbone(inputs), backbone.mask(inputs)

    model.encoder = SimpleNamespace(backbone=backbone)
    listener = Transcriber.__new__(Transcriber)
    listener.trained = SimpleNamespace(
        features=features, model=model, device="cpu", folder="run"
    )
    listener.rate = RATE
    listener.stride = listener._stride()
    assert listener.stride == 320
    listener.window, listener.overlap = 4 * RATE, RATE // 25 * 10
    torch.manual_seed(0)
    with torch.inference_mode():
        found = listener._logits(torch.randn(10 * RATE))
    assert found.shape[1] == frames  # of 10 s, as of the whole


# The command


def test_command_prints_a_line_a_file(run, file, transcriber, capsys):
    with pytest.raises(SystemExit) as end:
        transcribe.main([str(run), str(file), str(file)])
    assert end.value.code == 0
    line = f"{file}\t{transcriber(file)}\n"
    assert capsys.readouterr().out == 2 * line


def test_command_prints_times(run, file, transcriber, capsys):
    with pytest.raises(SystemExit):
        transcribe.main([str(run), str(file), "--timestamps"])
    first, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == transcriber(file).split()
    words = transcriber.words(file)
    assert lines[0].split()[:2] == [f"{time:.2f}" for time in words[0][1:]]


def test_command_prints_json(run, file, transcriber, capsys):
    with pytest.raises(SystemExit):
        transcribe.main([str(run), str(file), "--json", "--timestamps"])
    content = json.loads(capsys.readouterr().out)
    assert content["file"] == str(file)
    assert content["text"] == transcriber(file)
    assert [tuple(word.values()) for word in content["words"]] == [
        (word, pytest.approx(start), pytest.approx(end))
        for word, start, end in transcriber.words(file)
    ]
    with pytest.raises(SystemExit):
        transcribe.main([str(run), str(file), "--json"])
    assert {*json.loads(capsys.readouterr().out)} == {"file", "text"}


def test_command_names_bad_files_and_does_the_rest(run, file, capsys, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"junk")
    with pytest.raises(SystemExit) as end:
        transcribe.main([str(run), str(bad), str(file), "none.wav"])
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and out.startswith(str(file))
    assert str(bad) in err and "none.wav" in err


@pytest.mark.parametrize("command", [predict, embed])
def test_other_commands_point_here(command, run, file, tmp_path):
    line = [str(run), str(file)]
    if command is embed:
        line += ["--output", str(tmp_path / "x.safetensors")]
    with pytest.raises(SystemExit, match="petl_modules.transcribe"):
        command.main(line)


def test_other_runs_are_refused(run, file, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(run, folder)
    recipe = RecipeFile.parse((run / "hyperparams.yaml").read_text())
    del recipe.tree["units"], recipe.tree["alphabet"], recipe.tree["decode"]
    for key in ("metrics", "prepare", "checkpointer"):
        del recipe.tree[key]
    recipe.tree["model"]["must_match"]["units"] = "characters"
    (folder / "hyperparams.yaml").write_text(recipe.text)
    with pytest.raises(SystemExit, match="petl_modules.predict"):
        transcribe.main([str(folder), str(file)])
    with pytest.raises(SystemExit, match="there is no folder"):
        transcribe.main([str(tmp_path / "none"), str(file)])


# Encoders that were tuned before


def test_encoders_tuned_by_ctc_are_refused(tiny_wav2vec2, tmp_path):
    refuse_tuned(tiny_wav2vec2["group"])
    shutil.copytree(tiny_wav2vec2["group"], tmp_path / "tuned")
    file = tmp_path / "tuned" / "config.json"
    content = json.loads(file.read_text())
    for kind in ("Wav2Vec2ForCTC", "HubertForCTC"):
        file.write_text(json.dumps({**content, "architectures": [kind]}))
        with pytest.raises(HparamsError, match=f"{kind}.*allow_tuned_encoder"):
            refuse_tuned(tmp_path / "tuned")
    for names in (None, [], ["Wav2Vec2Model"], ["Wav2Vec2ForPreTraining"]):
        file.write_text(json.dumps({**content, "architectures": names}))
        refuse_tuned(tmp_path / "tuned")
