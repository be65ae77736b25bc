"""transformers' pipeline opens a travelling folder, without this package."""

import json
import os
import stat
import sys
from functools import cache

import numpy as np
import pytest
import soundfile
import torch

from petl_modules.exports.to_petl import write
from petl_modules.inference.audio_classifier import AudioClassifier
from petl_modules.inference.trained_model import TrainedModel
from tests.doors import run_alone
from tests.modeling import BASES, load
from tests.trained import write_run

RUNS = {
    "ast": "lora",
    "ast, windows": "soft_moa",
    "wav2vec2": "prompt_deep",
    "w2v-bert": "houlsby",
    "whisper": "bottleneck",
}


@pytest.fixture(scope="module")
def export(folder_of, tmp_path_factory):
    """Gives a trained fold and the folder that was exported of it, by encoder."""
    top = tmp_path_factory.mktemp("exported")

    @cache
    def exported(encoder):
        name = encoder.removesuffix(", windows")
        values = {"test_windows": 3} if name != encoder else {}
        base = BASES.get(name, "wav2vec2.yaml")
        method = RUNS[encoder]
        fold = write_run(top / encoder, method, folder_of[name], base, **values)
        folder = top / encoder / "model"  # all of one name
        folder.mkdir()
        write(TrainedModel(fold, merge=False), folder)
        return fold, folder

    return exported


# Reads sound as ffmpeg does: WAV from its input, float32 to its output
FFMPEG = """#!{python}
import io, sys, soundfile
samples, _ = soundfile.read(io.BytesIO(sys.stdin.buffer.read()), dtype="float32")
sys.stdout.buffer.write(samples.tobytes())
"""
PIPELINES = r"""
import json, os, re, shutil
from transformers import pipeline
import importlib.util
for name in ("petl_modules", "speechbrain", "torchaudio", "hyperpyyaml"):
    found = importlib.util.find_spec(name) is not None
    assert found == (name in {allowed}), name
scores = {{}}
for name, folder in {folders}.items():
    classify = pipeline("audio-classification", folder, trust_remote_code=True)
    scores[name] = [classify(sound) for sound in {sounds}]
    os.chdir(os.path.dirname(folder))
    shutil.copy({sounds}[0], "sound.wav")
    *_, lines = re.findall("```python\n(.*?)```", open("model/README.md").read(), re.S)
    exec(lines, {{}})
print(json.dumps(scores))
"""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Files of a short, a usual and a long sound."""
    folder = tmp_path_factory.mktemp("sounds")
    draw = np.random.default_rng(0)
    for name, samples in {"tiny": 250, "short": 6_001, "long": 40_000}.items():
        pitch = np.sin(np.arange(samples) ** 1.3 / 200)
        sound = 0.1 + 0.2 * pitch + 0.05 * draw.standard_normal(samples)
        soundfile.write(folder / f"{name}.wav", sound, 16_000)
    return sorted(map(str, folder.iterdir()))


@pytest.mark.parametrize(
    "encoders, others",
    [
        (("ast, windows", "wav2vec2"), ()),
        pytest.param((*RUNS,), (), marks=pytest.mark.whole),
        pytest.param((*RUNS,), ("torchaudio",), marks=pytest.mark.whole),
    ],
    ids=("some", "all", "torchaudio"),
)
def test_without_this_package(encoders, others, export, sounds, tmp_path):
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(FFMPEG.format(python=sys.executable))
    ffmpeg.chmod(stat.S_IRWXU)
    code = PIPELINES.format(
        allowed=others,
        folders={name: str(export(name)[1]) for name in encoders},
        sounds=sounds,
    )
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
    }
    environment.pop("PYTHONPATH", None)
    done = run_alone(
        code,
        *("transformers", "torch", "numpy", "soundfile", *others),
        cwd=tmp_path,
        environment=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "not supported" not in done.stderr
    for name, scores in json.loads(done.stdout.splitlines()[-1]).items():
        classifier = AudioClassifier(export(name)[0])
        for sound, found in zip(sounds, scores, strict=True):
            wanted = dict(classifier(sound))
            found = {one["label"]: one["score"] for one in found}
            assert found == pytest.approx(wanted, abs=1e-4), (name, sound)


def test_batches_are_masked(export):
    fold, folder = export("wav2vec2")
    trained, model = TrainedModel(fold, merge=False), load(folder)
    draw = np.random.default_rng(0)
    clips = [draw.standard_normal(n, np.float32) for n in (8_000, 5_000)]
    module = sys.modules[type(model).__module__]
    extract = module.PetlWaveform.from_pretrained(str(folder))
    with torch.inference_mode():
        batch = extract(clips, sampling_rate=16_000, return_tensors="pt")
        found = model(**batch, labels=torch.tensor([0, 1]))
        for clip, logits in zip(clips, found.logits):
            features = trained.features(torch.from_numpy(clip))
            alone = trained.model(features.unsqueeze(0))[0]
            assert torch.allclose(logits, alone, atol=1e-5)
    assert found.loss > 0
