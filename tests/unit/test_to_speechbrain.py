"""Folders that SpeechBrain's EncoderClassifier opens: every method, encoder."""

import json

import pytest
import soundfile
import torch
from speechbrain.inference.classifiers import EncoderClassifier

from petl_modules.data.audio import Clip
from petl_modules.exports import writer
from petl_modules.exports.exporting import export
from petl_modules.inference.trained_model import TrainedModel
from petl_modules.utils import ExportError
from tests.doors import run_alone
from tests.exported import assert_near, lines_of
from tests.trained import LABELS, write_run

METHODS = (
    *("adapter_bias", "adaptformer", "attentive", "attentive_layers"),
    *("bitfit", "bottleneck", "conformer", "convpass", "dense_moa"),
    *("dense_moa_lora", "gc_lora", "soft_moa_lora"),
    *("e_adapter", "el_adapters", "full_finetuning", "houlsby", "ipet"),
    *("l_adapter", "ladder", "layer_sum", "linear", "lora", "mambadapter"),
    *("mambadapter_houlsby", "prefix", "prompt_deep", "prompt_shallow"),
    *("prototypes", "soft_moa"),
)
KINDS = (
    *("ast", "wav2vec2", "wav2vec2-large", "hubert", "wavlm", "unispeech"),
    *("unispeech-sat", "data2vec-audio", "w2v-bert", "whisper"),
)
# Each class of ours for encoders, and each way in which methods insert
SAMPLE = {
    "ast": "prompt_deep",
    "wav2vec2": "soft_moa",
    "wavlm": "prefix",
    "data2vec-audio": "el_adapters",
    "w2v-bert": "lora",
    "whisper": "conformer",
}
WHOLE = [
    (kind, method)
    for kind in KINDS
    for method in METHODS
    if SAMPLE.get(kind) != method
]
# Runs the lines of each card, and what they have made, in one fresh process
ALONE = """
import json, torch
found = {}
for name in NAMES:
    scope = {}
    exec(open(f"{name}.txt").read(), scope)
    samples, lengths, _ = torch.load("batch.pt")
    batch = scope["classifier"].classify_batch(samples, lengths)
    found[name] = {
        "file": scope["log_probabilities"].tolist(),
        "label": scope["label"],
        "batch": batch[0].tolist(),
        "labels": batch[3],
    }
json.dump(found, open("found.json", "w"))
"""
LENGTHS = (7_000, 5_000)  # samples of the clips of a batch


def write_sounds(folder):
    """Write a file in stereo at another rate, and a batch of samples."""
    draw = torch.Generator().manual_seed(3)
    noise = 0.1 * torch.randn(9_000, 2, generator=draw)
    soundfile.write(folder / "dog.wav", noise.numpy(), 22_050)
    clips = [0.1 * torch.randn(count, generator=draw) for count in LENGTHS]
    samples = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = torch.tensor(LENGTHS) / max(LENGTHS)
    torch.save((samples, lengths, clips), folder / "batch.pt")


def log_probabilities(trained, clip):
    """Return what the run gives for a clip."""
    features = trained.features_of(clip)
    with torch.inference_mode():
        return trained.windows.average(trained.model, features).log_softmax(-1)


def wanted_of(trained, folder):
    """Return what the run gives for the file and for the clips of the batch."""
    clips = [Clip(clip, []) for clip in torch.load(folder / "batch.pt")[2]]
    batch = [log_probabilities(trained, clip) for clip in clips]
    file = log_probabilities(trained, trained.read(folder / "dog.wav"))
    return {"file": file, "batch": torch.cat(batch)}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, door_runs):
    folder = tmp_path_factory.mktemp("exported")
    write_sounds(folder)
    wanted = {}
    for kind, method in SAMPLE.items():
        trained = door_runs.open(kind, method)
        (folder / kind).mkdir()
        writer("speechbrain")(trained, folder / kind)
        (folder / f"{kind}.txt").write_text(lines_of(folder / kind), "utf-8")
        wanted[kind] = wanted_of(trained, folder)
    return folder, wanted


@pytest.fixture(scope="module")
def found(exported):
    folder, wanted = exported
    code = f"NAMES = {[*wanted]!r}\n{ALONE}"
    done = run_alone(code, "speechbrain", "petl_modules", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("kind", SAMPLE)
def test_the_lines_give_the_run_s_result(exported, found, kind):
    wanted, got = exported[1][kind], found[kind]
    for key, value in wanted.items():
        assert_near(torch.tensor(got[key]), value)
    assert got["label"] == [LABELS[wanted["file"].argmax()]]
    assert got["labels"] == [LABELS[i] for i in wanted["batch"].argmax(1)]


@pytest.mark.whole
@pytest.mark.parametrize("kind, method", WHOLE)
def test_every_method_and_encoder(door_runs, tmp_path, kind, method):
    fold = door_runs.write(kind, method)
    export(fold, tmp_path / "out", "speechbrain")
    write_sounds(tmp_path)
    opened = open_folder(tmp_path)
    wanted = wanted_of(TrainedModel(fold, merge=False), tmp_path)
    samples, lengths, _ = torch.load(tmp_path / "batch.pt")
    found = opened.classify_batch(samples, lengths)[0]
    assert_near(found, wanted["batch"])
    found = opened.classify_file(str(tmp_path / "dog.wav"))[0]
    assert_near(found, wanted["file"])


def open_folder(folder):
    """Return SpeechBrain's classifier of the folder ``out``."""
    return EncoderClassifier.from_hparams(
        source=str(folder / "out"), savedir=str(folder / "saved")
    )


def test_windows_are_averaged_and_embeddings_are_the_run_s(door_runs, tmp_path):
    fold = door_runs.write("wav2vec2", "lora", test_windows=3, seconds=0.2)
    export(fold, tmp_path / "out", "speechbrain")
    opened, trained = open_folder(tmp_path), TrainedModel(fold)
    samples = 0.1 * torch.randn(5_000)
    clip = Clip(samples, [])
    found = opened.classify_batch(samples)[0]
    assert_near(found, log_probabilities(trained, clip))
    with torch.inference_mode():
        features = trained.features_of(clip)
        wanted = trained.windows.each(trained.model.embed, features)
        assert_near(opened.encode_batch(samples), wanted)
    assert wanted.shape == (1, 3, 128)


def test_petl_modules_is_needed_and_the_card_says_so(exported):
    folder, _ = exported
    card = (folder / "ast" / "README.md").read_text("utf-8")
    assert "petl_modules must be installed beside SpeechBrain" in card
    assert "open only folders that you trust" in card
    lines = (folder / "ast.txt").read_text("utf-8")
    done = run_alone(lines, "speechbrain", cwd=folder)
    assert done.returncode and "petl_modules" in done.stderr


def test_the_folder_opens_with_a_base_elsewhere(door_runs, tmp_path):
    fold = door_runs.write("hubert", "bottleneck")
    text = (fold / "hyperparams.yaml").read_text("utf-8")
    moved = text.replace(door_runs.backbones["hubert"], str(tmp_path / "gone"))
    (fold / "checksums.json").unlink(missing_ok=True)
    (fold / "hyperparams.yaml").write_text(moved, "utf-8")
    export(fold, tmp_path / "out", "speechbrain", door_runs.backbones["hubert"])
    assert open_folder(tmp_path).classify_batch(torch.randn(4_000))


def test_another_task_is_refused(tmp_path, tiny_wav2vec2):
    fold = write_run(
        tmp_path / "run",
        "bitfit",
        tiny_wav2vec2["group"],
        "wav2vec2.yaml",
        template="speaker_verification",
    )
    for format in ("speechbrain", "transformers", "peft"):
        with pytest.raises(ExportError, match="take --format petl"):
            export(fold, tmp_path / format, format)
