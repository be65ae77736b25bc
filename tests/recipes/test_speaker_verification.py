"""Speaker verification, from the command line to the comparison of files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_modules import embed, predict, verify
from petl_modules.inference.embedder import Embedder, Verifier
from petl_modules.inference.embedding_files import read_embeddings
from petl_modules.predict import Classifier
from petl_modules.utils import DataError, HparamsError, read_csv
from tests import corpora

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "VoxCeleb1"
CONTRACT = (
    "valid_eer threshold test_eer test_min_dcf last_epoch_test_eer trials_md5"
).split()


@pytest.fixture(scope="module")
def words(places, tmp_path_factory):
    """Gives a command line: two short epochs on wav2vec 2.0, with changes."""
    manifests = tmp_path_factory.mktemp("manifests")

    def command_line(output, file="lora", **changes):
        options = {
            "base": "wav2vec2.yaml",
            "backbone": places["tiny-wav2vec2"],
            "data_folder": places["voxceleb1"],
            "manifest_folder": manifests,
            "output_folder": output,
            "allow_partial": True,
            "valid_speakers": 2,
            "seconds": 0.5,
            "number_of_epochs": 2,
            "batch_size": 8,
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
    return script("recipes/VoxCeleb1/train.py")


@pytest.fixture(scope="module")
def run(train, words, tmp_path_factory):
    """The folder of a run, and its one fold's entry in the summary."""
    folder = tmp_path_factory.mktemp("run") / "out"
    train.main(words(folder))
    return folder, fold_of(folder)


@pytest.fixture(scope="module")
def clips(places):
    """Two clips of one speaker and one of another."""
    root = Path(places["voxceleb1"], "vox1_test_wav", "wav")
    one, other = sorted(root.iterdir())[:2]
    return [*sorted(one.rglob("0*.wav"))[:2], sorted(other.rglob("0*.wav"))[0]]


def fold_of(folder):
    (fold,) = json.loads((folder / "summary.json").read_text())["folds"]
    return fold


def test_summary_keeps_the_contract(run):
    folder, fold = run
    assert {*CONTRACT} <= fold.keys()
    assert not any("accuracy" in key for key in fold)
    assert 0 <= fold["test_eer"] <= 1 and fold["train_eer"] is None
    assert fold["threshold_from"] == "validation speakers"
    assert (folder / "trials.png").stat().st_size > 10_000
    drawn = (folder / "fold1" / "valid_trials.txt").read_text().splitlines()
    assert {line[0] for line in drawn} == {"0", "1"}
    assert len(drawn) == 2 * 12  # of each clip of two speakers


def test_scores_are_those_of_the_embeddings(run, places):
    """Each trial of the list, by the files of the finished run."""
    folder, _ = run
    rows = read_csv(folder / "fold1" / "predictions.csv")
    root = Path(places["voxceleb1"], "vox1_test_wav", "wav")
    names = sorted({row[side] for row in rows for side in ("first", "second")})
    vectors = Embedder(folder)([root / f"{name}.wav" for name in names])
    by_name = dict(zip(names, vectors))
    lines = Path(places["voxceleb1"], "veri_test2.txt").read_text().split("\n")
    assert len(rows) == len(lines) - 1
    for row, line in zip(rows, lines):
        label, first, second = line.replace(".wav", "").split()
        assert (row["same"], row["first"], row["second"]) == (
            label,
            first,
            second,
        )
        expected = by_name[first] @ by_name[second]
        assert float(row["score"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 5])
def test_an_embedding_does_not_depend_on_its_batch(
    batch, run, train, words, tmp_path
):
    """Nor does what follows from it, as clips have several lengths."""
    folder, fold = run
    train.main(words(tmp_path / "out", test_batch_size=batch))
    one, other = (
        [float(row["score"]) for row in read_csv(f / "fold1/predictions.csv")]
        for f in (folder, tmp_path / "out")
    )
    assert one == pytest.approx(other, abs=2e-5)
    assert fold_of(tmp_path / "out")["weights_sha256"] == fold["weights_sha256"]


def test_labels_of_the_test_choose_neither_epoch_nor_threshold(
    run, train, words, places, tmp_path
):
    _, fold = run
    data = tmp_path / "data"
    shutil.copytree(places["voxceleb1"], data)
    lines = (data / "veri_test2.txt").read_text().splitlines()
    kept = lines[:1] + [x for x in lines if x[0] == "0"][:3]
    (data / "veri_test2.txt").write_text("\n".join(kept))
    train.main(words(tmp_path / "out", data_folder=data))
    changed = fold_of(tmp_path / "out")
    for key in ("best_epoch", "threshold", "valid_eer", "weights_sha256"):
        assert changed[key] == fold[key]
    assert changed["trials_md5"] != fold["trials_md5"]


def test_trials_of_training_speakers_are_refused(train, words, tmp_path):
    data = corpora.write_voxceleb1(tmp_path / "data", leaked=True)
    message = "2 of 20 trials are of 2 speakers that the model is trained on"
    with pytest.raises(SystemExit, match=message):
        train.main(words(tmp_path / "out", data_folder=data))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_speakers": 1}, "need 2 at least"),
        ({"valid_speakers": 6}, "valid_speakers"),
        ({"trials": "no.txt"}, "there is no list no.txt"),
        ({"scoring": "plda"}, "none of: cosine, segment_distance"),
        ({"score_norm": "z"}, "none of: none, as-norm"),
        ({"test_windows": 3}, "needs a window's length"),
        ({"seconds": None, "test_seconds": 0.5}, "whole needs features"),
    ],
)
def test_wrong_values_are_named(changes, message, train, words, tmp_path):
    with pytest.raises(SystemExit, match=message):
        train.main(words(tmp_path / "out", **changes))


def test_short_clips_are_in_no_trial(train, words, places, tmp_path):
    """They are left out of drawn trials, and refused in a list."""
    data = tmp_path / "data"
    shutil.copytree(places["voxceleb1"], data)
    line = (data / "veri_test2.txt").read_text().splitlines()[0].split()[1]
    file = data / "vox1_test_wav" / "wav" / line
    soundfile.write(file, soundfile.read(file)[0][:7000], 16000)
    message = "1 clips, such as .* are shorter than 0.5 s"
    with pytest.raises(SystemExit, match=message):
        train.main(words(tmp_path / "out", data_folder=data))


def test_fixed_epochs_with_score_normalisation(train, words, tmp_path):
    """All speakers train; the threshold is one of training speakers."""
    options = {"fixed_epochs": True, "score_norm": "as-norm"}
    train.main(words(tmp_path, **options))
    fold = fold_of(tmp_path)
    assert fold["best_epoch"] == fold["epochs"] == 2
    assert fold["valid_eer"] is None
    assert fold["threshold_from"] == "training speakers"
    assert {"test_eer_as_norm", "test_min_dcf_as_norm"} <= fold.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {
            "pool": "!name:petl_modules.models.AttentiveStatistics {channels: 8}",
            "hidden_states": "weighted",
        },
        {"test_windows": 2, "test_seconds": 0.4, "scoring": "segment_distance"},
    ],
    ids=["attention and layers", "segments"],
)
def test_other_poolings_and_scores(changes, train, words, tmp_path, places):
    """Two files are compared as the test compares them."""
    train.main(words(tmp_path, number_of_epochs=1, **changes))
    root = Path(places["voxceleb1"], "vox1_test_wav", "wav")
    verifier = Verifier(tmp_path)
    for row in read_csv(tmp_path / "fold1" / "predictions.csv")[:4]:
        files = [root / f"{row[side]}.wav" for side in ("first", "second")]
        expected = float(row["score"])
        assert verifier(*files)[0] == pytest.approx(expected, abs=1e-4)


def test_an_interrupted_run_ends_the_same(run, train, words, tmp_path):
    _, fold = run
    usual, left = train.VoxCeleb1Brain.on_fit_batch_end, [4]

    def dying(brain, *arguments):
        usual(brain, *arguments)
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    line = words(tmp_path, ckpt_interval_steps=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.VoxCeleb1Brain, "on_fit_batch_end", dying)
        with pytest.raises(SystemExit):
            train.main(line)
    train.main(line)
    same = {k: v for k, v in fold.items() if k not in ("seconds",)}
    assert {k: v for k, v in fold_of(tmp_path).items() if k in same} == same


@pytest.mark.whole
@pytest.mark.slow
def test_two_processes_give_the_scores_of_one(run, words, tmp_path):
    folder, fold = run
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node=2", RECIPE / "train.py"]
    launch += words(tmp_path / "out", batch_size=4, distributed_backend="gloo")
    ended = subprocess.run(launch, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    one, other = (
        [float(row["score"]) for row in read_csv(f / "fold1/predictions.csv")]
        for f in (folder, tmp_path / "out")
    )
    assert one == pytest.approx(other, abs=1e-3)
    assert fold_of(tmp_path / "out")["valid_eer"] == fold["valid_eer"]


# Use of a run


def test_a_file_is_like_itself_and_comparison_is_symmetric(run, clips):
    folder, fold = run
    verifier = Verifier(folder)
    assert verifier.threshold == fold["threshold"]
    assert verifier(clips[0], clips[0])[0] == pytest.approx(1, abs=1e-12)
    score, same = verifier(clips[0], clips[2])
    assert verifier(clips[2], clips[0]) == (score, same)
    assert same == (score >= verifier.threshold)
    vectors = verifier.embed(clips)
    assert vectors[0] @ vectors[2] == pytest.approx(score, abs=1e-12)


def test_command_line_compares_two_files(run, clips, capsys):
    folder, fold = run
    verify.main([str(folder), str(clips[0]), str(clips[0])])
    words = f"score 1.0000  same speaker (threshold {fold['threshold']:.4f})"
    assert words in capsys.readouterr().out
    verify.main([str(folder), *map(str, clips[:2]), "--threshold", "1.1"])
    assert "different speakers (threshold 1.1000)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.wav"], "give two audio files"),
        (["a.wav", "b.wav", "--trials", "list.txt"], "give two audio files"),
        (["a.wav", "b.wav", "--output", "x.csv"], "go with --trials"),
    ],
)
def test_words_that_would_be_passed_over_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        verify.main(["run", *words])
    assert message in capsys.readouterr().err


def test_command_line_reads_a_list(run, places, tmp_path, capsys):
    folder, fold = run
    data = Path(places["voxceleb1"])
    root = str(data / "vox1_test_wav" / "wav")
    lines = (data / "veri_test2.txt").read_text()
    (tmp_path / "list.txt").write_text(lines)
    command = [str(folder), "--trials", str(tmp_path / "list.txt")]
    command += ["--folder", root, "--output", str(tmp_path / "scores.csv")]
    verify.main(command)
    assert f"equal error rate {fold['test_eer']:.2%}" in capsys.readouterr().out
    scores = [float(x["score"]) for x in read_csv(tmp_path / "scores.csv")]
    rows = read_csv(folder / "fold1" / "predictions.csv")
    expected = [float(row["score"]) for row in rows]
    assert scores == pytest.approx(expected, abs=1e-5)
    with pytest.raises(SystemExit, match="nothing is written over it"):
        verify.main(command)
    # Without labels
    bare = "\n".join(line[2:] for line in lines.splitlines())
    (tmp_path / "list.txt").write_text(bare)
    verify.main(command[:-2])
    assert "equal error rate" not in capsys.readouterr().out


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_thresholds_are_finite(threshold, run):
    with pytest.raises(HparamsError, match=f"threshold is {threshold}"):
        Verifier(run[0], threshold=threshold)


def test_a_changed_threshold_is_refused(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    file = folder / "fold1" / "result.json"
    entry = json.loads(file.read_text())
    entry["fold"]["threshold"] += 0.1
    file.write_text(json.dumps(entry))
    with pytest.raises(DataError, match="result.json is damaged"):
        Verifier(folder)
    assert Verifier(folder, threshold=0.5).threshold == 0.5


@pytest.mark.parametrize("command", [verify, embed])
def test_nothing_is_written_over(command, run, clips, tmp_path):
    """It is told before anything is embedded."""
    output = tmp_path / "kept"
    output.write_text("mine")
    words = [str(tmp_path / "no run"), "--output", str(output)]
    words += ["--trials", "list"] if command is verify else [str(clips[0])]
    with pytest.raises(SystemExit, match="nothing is written over it"):
        command.main(words)
    words[2] += "/below"
    with pytest.raises(SystemExit, match="kept is no folder"):
        command.main(words)
    assert output.read_text() == "mine"


def test_options_of_a_list_go_with_a_list(clips, capsys):
    words = ["run", *map(str, clips[:2]), "--output", "scores.csv"]
    with pytest.raises(SystemExit):
        verify.main(words)
    assert "go with --trials LIST" in capsys.readouterr().err


def test_a_list_of_another_folder_is_told_of_the_option(run, places):
    data = Path(places["voxceleb1"])
    words = [str(run[0]), "--trials", str(data / "veri_test2.txt")]
    with pytest.raises(SystemExit, match=f"below {data}; --folder DIR names"):
        verify.main(words)


def test_all_bad_files_of_a_list_are_named(run, clips, tmp_path):
    shutil.copy(clips[0], tmp_path / "good.wav")
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    (tmp_path / "list").write_text("good.wav text.wav\ngood.wav silent.wav\n")
    with pytest.raises(SystemExit) as end:
        verify.main([str(run[0]), "--trials", str(tmp_path / "list")])
    assert "2 of 3 files" in str(end.value)
    assert "text.wav" in str(end.value) and "silent.wav" in str(end.value)


def test_trials_without_bad_files_are_scored(run, clips, tmp_path, capsys):
    """What has been embedded is not lost; the command fails."""
    names = ["one.wav", "two.wav", "other.wav"]
    for name, clip in zip(names, clips):
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "text.wav").write_text("no audio")
    file, output = tmp_path / "list", tmp_path / "scores.csv"
    file.write_text(
        "1 one.wav two.wav\n0 text.wav one.wav\n0 one.wav other.wav\n"
    )
    command = [str(run[0]), "--trials", str(file), "--output", str(output)]
    with pytest.raises(SystemExit) as end:
        verify.main(command)
    assert end.value.code == 1
    verifier = Verifier(run[0])
    expected = [verifier(clips[0], clip)[0] for clip in clips[1:]]
    rows = read_csv(output)
    assert [row["second"] for row in rows] == names[1:]
    scores = [float(row["score"]) for row in rows]
    assert scores == pytest.approx(expected, abs=1e-9)
    out, err = capsys.readouterr()
    assert "2 trials, " in out and "equal error rate" in out
    assert "1 of 3 trials are not scored: 1 of 4 files cannot be used" in err
    assert str(tmp_path / "text.wav") in err
    # Trials of one label alone are left
    file.write_text("1 one.wav two.wav\n0 text.wav one.wav\n")
    with pytest.raises(SystemExit):
        verify.main(command[:-2])
    assert "no error rates" in capsys.readouterr().out


def test_sounds_without_a_voice_are_named(run, clips, tmp_path):
    folder, _ = run
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    samples, _ = soundfile.read(clips[0])
    soundfile.write(tmp_path / "short.wav", samples[:7000], 16000)
    for name, words in (
        ("silent.wav", "nothing but silence"),
        ("short.wav", "0.44 s are too short"),
        ("absent.wav", "absent.wav"),
    ):
        with pytest.raises(SystemExit, match=words):
            verify.main([str(folder), str(clips[0]), str(tmp_path / name)])


def test_embeddings_are_written_once_and_of_one_model(
    run, train, words, clips, tmp_path
):
    folder, _ = run
    output = tmp_path / "one.safetensors"
    embed_clips = [*map(str, clips), "--output", str(output)]
    with pytest.raises(SystemExit) as end:
        embed.main([str(folder), *embed_clips])
    assert end.value.code == 0
    found = read_embeddings(output)
    expected = Embedder(folder)(clips)
    assert np.allclose([*found.values()], expected, atol=1e-6)
    with pytest.raises(SystemExit, match="nothing is written over it"):
        embed.main([str(folder), *embed_clips])
    with pytest.raises(DataError, match=f"{output} and .*copy.* both have"):
        read_embeddings(output, shutil.copy(output, tmp_path / "copy"))
    train.main(words(tmp_path / "out", seed=11, number_of_epochs=1))
    other = tmp_path / "two.safetensors"
    with pytest.raises(SystemExit):
        embed.main(
            [str(tmp_path / "out"), str(clips[0]), "--output", str(other)]
        )
    with pytest.raises(DataError, match="another model"):
        read_embeddings(output, other)
    with pytest.raises(DataError, match="cannot be read as embeddings"):
        read_embeddings(clips[0])


def test_commands_refuse_runs_of_other_tasks(run, clips):
    folder, _ = run
    with pytest.raises(SystemExit, match="petl_modules.verify"):
        predict.main([str(folder), str(clips[0])])
    with pytest.raises(HparamsError, match="speaker verification"):
        Classifier(folder)


def test_runs_of_classes_embed_and_do_not_verify(
    script, flags, tmp_path, clips, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rows = read_csv(ROOT / "tests/recipes/audio_classification.csv")
    row = next(r for r in rows if "linear" in r["Hparam_file"])
    line = [str(ROOT / row["Hparam_file"]), "--output_folder=out"]
    line += ["--manifest_folder=m", "--device=cpu", *flags(row)]
    script(row["Script_file"]).main(line)
    vectors = Embedder("out")(clips)
    assert vectors.shape[0] == 3
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3))
    with pytest.raises(HparamsError, match="no run of speaker verification"):
        Verifier("out")


# Debug runs


@pytest.mark.parametrize(
    "changes",
    [{}, {"fixed_epochs": True}, {"score_norm": "as-norm"}],
    ids=["selected", "fixed epochs", "normalised"],
)
def test_a_debug_run_embeds_few_clips(
    changes, train, words, tmp_path, monkeypatch
):
    """Two trials, and no more of the training part than they need."""
    usual, embedded = train.VoxCeleb1Brain.evaluate_batch, []

    def counted(brain, batch, stage):
        embedded.extend(batch.id)
        return usual(brain, batch, stage)

    monkeypatch.setattr(train.VoxCeleb1Brain, "evaluate_batch", counted)
    train.main([*words(tmp_path, **changes), "--debug"])
    assert 0 < len(embedded) <= 25


def test_a_debug_run_with_too_few_batches_is_told(train, words, tmp_path):
    line = [*words(tmp_path, test_batch_size=1), "--debug"]
    with pytest.raises(HparamsError, match="give a larger --debug_batches"):
        train.main(line)
    train.main([*line, "--debug_batches=4"])
