"""Recognition of speech, from the command line to the summary."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from petl_modules.data.prepare import read_manifest
from petl_modules.inference.transcriber import Transcriber
from petl_modules.miniatures.corpus import write_miniature
from petl_modules.models import read_trained
from petl_modules.utils import read_csv

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def words(places, tmp_path_factory):
    """Gives a command line: two short epochs of a bottleneck adapter."""
    manifests = tmp_path_factory.mktemp("manifests")

    def command_line(output, file="bottleneck", **changes):
        options = {
            "backbone": places["tiny-wav2vec2"],
            "data_folder": places["LibriSpeech"],
            "manifest_folder": manifests,
            "output_folder": output,
            "allow_partial": True,
            "number_of_epochs": 2,
            "batch_seconds": 8,
            "num_workers": 0,
            "device": "cpu",
            **changes,
        }
        return [
            f"hparams/{file}.yaml",
            *(f"--{k}={v}" for k, v in options.items() if v is not None),
            "--noprogressbar",
        ]

    return command_line


@pytest.fixture(scope="module")
def train(script):
    return script("recipes/LibriSpeech/train.py")


@pytest.fixture(scope="module", params=["characters", "phones"])
def run(request, train, words, tmp_path_factory):
    """Units, the folder of a run, and the summary."""
    folder = tmp_path_factory.mktemp("run") / "out"
    train.main(words(folder, units=request.param))
    return request.param, folder, summary_of(folder)


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def edits(one, other):
    """Levenshtein distance, by its recursion."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, last + (a != b)),
            )
    return row[-1]


def rate(rows, split):
    """Errors of all rows over the length of all texts."""
    errors = sum(edits(split(r["text"]), split(r["predicted"])) for r in rows)
    return errors / sum(len(split(r["text"])) for r in rows)


def test_summary_keeps_the_contract(run):
    units, _, summary = run
    rates = ["per"] if units == "phones" else ["wer", "cer"]
    (fold,) = summary["folds"]
    assert summary["metric"] == {"name": rates[0], "mode": "min"}
    for name in rates:
        for part in ("test", "test_other", "valid"):
            assert 0 <= fold[f"{part}_{name}"] < 10
        assert summary[f"{name}_mean"] == fold[f"test_{name}"]
        assert summary[f"other_{name}_mean"] == fold[f"test_other_{name}"]
    assert fold[f"last_epoch_test_{rates[0]}"] >= 0
    known = {key.split("_")[-1] for key in fold if key.startswith("test_")}
    assert known == {"loss", *rates}
    assert not any("accuracy" in key for key in {**fold, **summary})
    assert fold["train_loss"] > 0


def test_rates_are_those_of_the_predictions(run, places):
    """By a second implementation, of the sets as their files are named."""
    units, folder, summary = run
    rows = read_csv(folder / "fold1" / "predictions.csv")
    other = {
        f.stem
        for f in Path(places["LibriSpeech"]).glob("test-other/*/*/*.flac")
    }
    splits = {"per": str.split}
    if units == "characters":
        splits = {"wer": str.split, "cer": list}
    assert len(other) == 8 and len(rows) == 16
    for name, split in splits.items():
        for key, kept in (("test", False), ("test_other", True)):
            found = [row for row in rows if (row["id"] in other) == kept]
            expected = summary["folds"][0][f"{key}_{name}"]
            assert rate(found, split) == pytest.approx(expected)


def test_texts_are_those_of_the_data(run, places):
    """And their phones those of the lexicon."""
    units, folder, _ = run
    data = Path(places["LibriSpeech"])
    lines = (data / "librispeech-lexicon.txt").read_text().splitlines()
    phones = dict(line.split("\t") for line in lines)
    said = {}
    for file in data.glob("test-*/*/*/*.trans.txt"):
        lines = file.read_text().splitlines()
        said.update(line.split(" ", 1) for line in lines)
    if units == "phones":
        said = {
            clip: " ".join(phones[word] for word in text.split())
            for clip, text in said.items()
        }
    rows = read_csv(folder / "fold1" / "predictions.csv")
    assert {row["id"]: row["text"] for row in rows} == said


def test_alignments_are_written_for_each_set(run):
    _, folder, _ = run
    clean, other = (
        (folder / "fold1" / name).read_text()
        for name in ("alignments.txt", "alignments_other.txt")
    )
    assert "2300-3240-0000" in clean and "3528-" not in clean
    assert "3528-4240-0000" in other and "2300-" not in other


def test_the_lowest_error_rate_is_selected(run):
    units, folder, summary = run
    name = "valid per: " if units == "phones" else "valid wer: "
    log = (folder / "fold1" / "train_log.txt").read_text().splitlines()
    rates = [float(x.split(name)[1].split(",")[0]) for x in log if name in x]
    assert len(rates) == 2
    assert summary["folds"][0]["best_epoch"] == 1 + rates.index(min(rates))


def test_units_are_in_the_checkpoint(run):
    units, folder, _ = run
    _, about = read_trained(folder / "fold1" / "model.safetensors")
    labels = about["settings"]["must_match"]["labels"]
    assert labels[0] == "<blank>"
    assert len(labels) == (29 if units == "characters" else 70)


def test_a_transcriber_writes_what_the_test_predicted(run, places):
    """Each file alone, as in the test's batches."""
    _, folder, _ = run
    rows = read_csv(folder / "fold1" / "predictions.csv")
    files = Path(places["LibriSpeech"]).rglob("*.flac")
    files = {file.stem: file for file in files}
    transcriber = Transcriber(folder)
    for row in rows[:6]:
        assert transcriber(files[row["id"]]) == row["predicted"]


def test_an_interrupted_run_ends_the_same(train, words, tmp_path, capsys):
    """A kill in mid-epoch, with batches by duration; and a finished run."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train.main(words(whole, batch_seconds=5))
    usual = train.LibriSpeechBrain.on_fit_batch_end

    def dying(brain, *arguments):
        usual(brain, *arguments)
        if (brain.train_sampler.epoch, brain.step) == (2, 3):
            raise KeyboardInterrupt

    line = words(broken, batch_seconds=5, ckpt_interval_steps=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.LibriSpeechBrain, "on_fit_batch_end", dying)
        with pytest.raises(SystemExit, match="^130$"):
            train.main(line)
    train.main(line)
    text = "resuming fold1 within epoch 2, after step 2\n"
    assert text in capsys.readouterr().out
    one, other = (summary_of(f)["folds"][0] for f in (whole, broken))
    assert one.pop("seconds") and other.pop("seconds")
    assert one == other  # losses and weights to the last bit
    train.main(line)
    out = capsys.readouterr().out
    assert "fold1 is finished already" in out and "\nwer " in out


def test_pieces_of_words(train, words, tmp_path):
    """They are in the checkpoint, and those of the training text."""
    changes = {"units": "sentencepiece", "pieces": 22, "number_of_epochs": 1}
    train.main(words(tmp_path / "out", **changes))
    fold = tmp_path / "out" / "fold1"
    _, about = read_trained(fold / "model.safetensors")
    labels = about["settings"]["must_match"]["labels"]
    assert len(labels) == 23 and labels[0] == "<blank>"
    assert {"test_wer", "test_cer"} <= summary_of(tmp_path / "out")["folds"][
        0
    ].keys()


def test_a_few_speakers_and_no_long_clips_are_trained_on(
    train, words, tmp_path
):
    """Long clips are listed, not cut; those of the validation part as well."""
    changes = {"train_hours": 0.002, "longest": 1.5, "fixed_epochs": True}
    out = tmp_path / "out"
    train.main(words(out, number_of_epochs=1, **changes))
    summary = summary_of(out)
    assert "h of 3 speakers to train on): fixed epochs" in summary["protocol"]
    log = (out / "log.txt").read_text()
    assert "longer than 1.5 s and are not trained on:" in log
    (fold,) = summary["folds"]
    assert fold["valid_wer"] is None and fold["test_other_wer"] >= 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"few_shot": 8}, "clips of each class are drawn, and .* has no label"),
        ({"units": "words"}, "units is 'words', which is none of: "),
        ({"batch_seconds": 0}, "batch_seconds is 0: give a number above 0"),
        ({"longest": 0.1}, "longest is 0.1 s, and the shortest of the "),
        ({"warm_up": 1.5}, "warm_up is 1.5: give a share, below 1"),
        ({"decoder": "best"}, "decoder is 'best', which is none of"),
        ({"best_metric": "{name: per, mode: min}"}, "no metric 'per'"),
        ({"pieces": 4, "units": "sentencepiece"}, "4 pieces are too few"),
        (
            {"features": "!new:petl_modules.data.Waveform {seconds: 1.0}"},
            "transcripts are of whole ones",
        ),
    ],
)
def test_wrong_values_are_named(changes, message, train, words, tmp_path):
    with pytest.raises(SystemExit, match=message):
        train.main(words(tmp_path / "out", **changes))


@pytest.fixture(scope="module")
def tuned(places, tmp_path_factory):
    """An encoder that says of itself that it was tuned on transcripts."""
    folder = tmp_path_factory.mktemp("encoders") / "tuned"
    shutil.copytree(places["tiny-wav2vec2"], folder)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["Wav2Vec2ForCTC"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_an_encoder_that_saw_transcripts_is_refused(
    train, words, tuned, tmp_path
):
    with pytest.raises(SystemExit, match="fine-tuned on transcripts"):
        train.main(words(tmp_path / "out", backbone=tuned))


@pytest.mark.slow
@pytest.mark.whole
def test_training_leaves_the_blank_plateau(train, words, tmp_path):
    """A short training on 96 sentences, tested on other speakers."""
    data = write_miniature("LibriSpeech", tmp_path / "data", sentences=12)
    changes = {"units": "phones", "reduction": 4, "lr": 0.01}
    changes |= {"batch_seconds": 16, "number_of_epochs": 8}
    out = tmp_path / "out"
    train.main(words(out, data_folder=data, manifest_folder=out, **changes))
    (fold,) = summary_of(out)["folds"]
    assert fold["train_loss"] < 1.6  # on the plateau about 3
    assert fold["test_per"] < 0.6


def test_own_recordings(script, words, places, tuned, tmp_path, capsys):
    """Letters of any alphabet, ten folds by chance of which one is tested.

    The encoder may have seen transcripts, which are others.
    """
    changes = {"data_folder": places["my_speech"], "allow_partial": None}
    changes |= {"backbone": tuned, "number_of_epochs": 1}
    train = script("templates/speech_recognition/train.py")
    out = tmp_path / "out"
    train.main(words(out, manifest_folder=tmp_path, **changes))
    summary = summary_of(out)
    assert summary["protocol"].startswith("10 folds")
    assert summary["folds"][0]["test_wer"] >= 0
    assert "8 characters: ' ghilow\u00f3'" in capsys.readouterr().out
    _, about = read_trained(out / "fold1" / "model.safetensors")
    assert "\u00f3" in about["settings"]["must_match"]["labels"]


@pytest.mark.whole
@pytest.mark.slow
def test_two_processes_give_the_rates_of_one(words, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node=2", ROOT / "recipes/LibriSpeech/train.py"]
    launch += words(tmp_path, distributed_backend="gloo", number_of_epochs=1)
    ended = subprocess.run(launch, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    (fold,) = summary_of(tmp_path)["folds"]
    assert fold["test_wer"] >= 0 and fold["train_loss"] > 0
    rows = read_csv(tmp_path / "fold1" / "predictions.csv")
    assert len(rows) == len({row["id"] for row in rows}) == 16


def test_manifest_has_texts(words, places, tmp_path, script):
    prepare = script("recipes/LibriSpeech/librispeech_prepare.py")
    manifest, _ = prepare.prepare_librispeech(
        places["LibriSpeech"], tmp_path, allow_partial=True
    )
    record = read_manifest(manifest)["3528-4240-0000"]
    assert record["part"] == "test-other" and record["condition"] == "other"
    assert record["text"].isupper() and record["speaker"] == "3528"
