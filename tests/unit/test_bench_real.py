"""The benchmark of all methods on real recordings."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pytest

from petl_modules.utils import DataError, read_csv

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "results" / "real.csv"
ROOMS = (
    *("common", "dots", "real_report", "real_trials", "runs"),
    *("speakers", "table_file"),
)


@pytest.fixture(scope="module")
def bench():
    """benchmarks/real.py as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        place = ROOT / "benchmarks" / "real.py"
        spec = importlib.util.spec_from_file_location("bench_real", place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    for name in ROOMS:
        sys.modules.pop(name, None)


def row(encoder, method, seed, *folds, **others):
    """A row of the table, as it is read from its file."""
    found = {"task": "digits", "encoder": encoder, "method": method}
    found |= {"positions": "", "seed": str(seed), "metric": "accuracy"}
    found |= {"value": str(fmean(folds)), "lowest": "", "highest": ""}
    found |= {"folds": " ".join(map(str, folds)), "seconds": "1.0"}
    found |= {"trainable_parameters": "1290", "clips": "720", "data": "d1"}
    return {**found, "commit": "0123abc", "machine": "a laptop", **others}


def test_differences_are_paired_over_folds(bench):
    rows = [
        row("small-wav2vec2", "linear", 10, 0.5, 0.7),
        row("small-wav2vec2", "linear", 11, 0.6, 0.8),
        row("small-wav2vec2", "lora", 10, 0.9, 0.7),
        row("small-wav2vec2", "lora", 11, 0.8, 0.6),
        row("tiny-wav2vec2", "lora", 10, 0.1, 0.4),
        row("tiny-wav2vec2", "lora", 11, 0.3, 0.2),
    ]
    text = bench.real_report.section("digits", rows)
    # Over seeds: linear .55 and .75, LoRA .85 and .65
    line = "| small-wav2vec2 | linear | 1,290 | 65.0 (55.0 to 75.0) | - | - |"
    assert line in text
    line = (
        "| lora | 1,290 | 75.0 (65.0 to 85.0) | +10.0 (-10.0 to +30.0) | 1 of 2"
    )
    assert line in text
    # No linear probe of that encoder
    line = "| tiny-wav2vec2 | lora | 1,290 | 25.0 (20.0 to 30.0) | - | - |"
    assert line in text
    assert "mean over seeds 10, 11; in" in text


def test_a_tie_is_no_better(bench):
    # 1, 1 and 1 of 120 clips, and 0, 1 and 2, as they are rounded
    values = {"linear": (0.0083, 0.0083, 0.0083), "lora": (0, 0.0083, 0.0167)}
    rows = [
        row("tiny-ast", method, seed, value)
        for method, found in values.items()
        for seed, value in enumerate(found)
    ]
    text = bench.real_report.section("digits", rows)
    assert "| +0.0 | 0 of 1 |" in text


def test_linear_without_positions_is_compared_with_its_like(bench):
    rows = [
        row("tiny-ast", method, 10, value, positions=positions)
        for method, positions, value in [
            ("linear", "center_cut", 0.6),
            ("linear", "zeros", 0.4),
            ("lora", "zeros", 0.45),
        ]
    ]
    text = bench.real_report.section("sounds", rows)
    line = "| lora, no positions | 1,290 | 45.0 | +5.0 | "
    assert line in text and "seed 10; in" in text


def test_voices_are_better_with_a_lower_rate(bench):
    rows = [
        row("tiny-wav2vec2", method, seed, rate, metric="eer")
        for method, rates in [("linear", (0.3, 0.32)), ("lora", (0.2, 0.34))]
        for seed, rate in enumerate(rates)
    ]
    text = bench.real_report.section("voices", rows)
    assert "| EER, % |" in text
    line = "| 27.0 (20.0 to 34.0) | -4.0 (-10.0 to +2.0) | 1 of 2 |"
    assert line in text


def fake_run(words, **_):
    """A run whose first fold is better than its last."""
    folder = Path(words[words.index("--output_folder") + 1])
    folder.mkdir(parents=True)
    voices = "trials.txt" in words
    names = ["test_eer"] if voices else ["test_accuracy"]
    folds = [
        {"seconds": 1.26, names[0]: 0.5 - 0.1 * fold}
        for fold in range(1 if voices else 3)
    ]
    found = {"folds": folds, "trainable_parameters": 12}
    (folder / "summary.json").write_text(json.dumps(found))
    data = words[words.index("--data_folder") + 1]
    about = {"clips": 9, "data": f"{Path(data).name}{'0' * 12}"}
    (folder / "data.json").write_text(json.dumps(about))
    return SimpleNamespace(returncode=0, stdout="", stderr="")


@pytest.fixture
def begin(bench, tmp_path, monkeypatch):
    """Run the benchmark with runs and voices that are made up."""

    def write_voices(words):
        Path(words[1]).mkdir()

    monkeypatch.setattr("runs.commit", lambda: "0123abc")
    monkeypatch.setattr("runs.own_machine", lambda: "a laptop")
    monkeypatch.setattr(subprocess, "run", fake_run)
    monkeypatch.setattr(bench.real_voices, "main", write_voices)

    def begin(*words):
        places = ["--folder", tmp_path / "runs", "--csv", tmp_path / "real.csv"]
        bench.main([*map(str, (*places, *words))])
        return read_csv(tmp_path / "real.csv")

    return begin


def test_benchmark_writes_table_and_picture(begin, tmp_path):
    places = ["--digits", tmp_path, "--sounds", tmp_path, "--speech", tmp_path]
    chosen = ["--methods", "linear,conformer,untrained", "--seeds", "1,2"]
    rows = begin(*places, *chosen)
    tasks = [found["task"] for found in rows]
    # Three encoders of two methods, and linear without positions
    assert tasks.count("digits") == 2 * (3 * 2 + 1)
    assert tasks.count("sounds") == 2 * (2 + 1)
    assert tasks.count("voices") == 2 * (2 * 2)
    assert rows[0] == {
        "task": "digits",
        "encoder": "tiny-ast",
        "method": "linear",
        "positions": "center_cut",
        "seed": "1",
        "metric": "accuracy",
        "value": "0.4",
        "lowest": "0.3",
        "highest": "0.5",
        "folds": "0.5000 0.4000 0.3000",
        "trainable_parameters": "12",
        "seconds": "3.8",
        "clips": "9",
        "data": f"{tmp_path.name}{'0' * 12}"[:12],
        "commit": "0123abc",
        "machine": "a laptop",
    }
    untrained = [x for x in rows if x["method"] == "untrained"]
    assert {x["task"] for x in untrained} == {"voices"}
    assert {x["trainable_parameters"] for x in untrained} == {"0"}
    assert untrained[0]["lowest"] == untrained[0]["highest"] == ""
    text = (tmp_path / "real.md").read_text("utf-8")
    end = ", on 9 clips. Commit 0123abc, a laptop.\n"
    assert text.count(end) == text.count("\n# ") + 1 == 3
    assert (tmp_path / "real.png").read_bytes().startswith(b"\x89PNG")


def test_tasks_without_a_folder_keep_their_rows(begin, tmp_path, capsys):
    sounds = begin("--sounds", tmp_path, "--methods", "linear", "--seeds", "1")
    out = capsys.readouterr().out
    assert "digits: left out, without --digits DIR" in out
    rows = begin("--digits", tmp_path, "--methods", "lora", "--seeds", "1")
    assert [x for x in rows if x["task"] == "sounds"] == sounds
    assert len(rows) == len(sounds) + 4
    text = (tmp_path / "real.md").read_text("utf-8")
    assert "# Digits of" in text and "# Classes of" in text


def test_a_task_without_such_an_encoder_is_left_out(begin, tmp_path, capsys):
    begin("--sounds", tmp_path, "--methods", "linear", "--seeds", "1")
    places = ["--digits", tmp_path, "--sounds", tmp_path]
    rows = begin(*places, "--encoders", "tiny-wav2vec2", "--methods", "lora")
    assert "sounds: left out, has no such encoder" in capsys.readouterr().out
    assert {(x["task"], x["method"]) for x in rows} == {
        ("digits", "lora"),
        ("sounds", "linear"),
    }


def test_runs_replace_their_trials_and_no_others(begin, tmp_path, monkeypatch):
    digits = ["--digits", tmp_path, "--encoders", "tiny-wav2vec2"]
    first = begin(*digits, "--methods", "lora,bottleneck", "--seeds", "1,2")
    monkeypatch.setattr("runs.commit", lambda: "4567def")
    monkeypatch.setattr("runs.own_machine", lambda: "a server")
    words = [*digits, "--folder", tmp_path / "new"]
    rows = begin(*words, "--methods", "linear,lora", "--seeds", "2,3")
    assert [(x["method"], x["seed"], x["commit"]) for x in rows] == [
        ("linear", "2", "4567def"),
        ("linear", "3", "4567def"),
        ("lora", "1", "0123abc"),
        ("lora", "2", "4567def"),
        ("lora", "3", "4567def"),
        ("bottleneck", "1", "0123abc"),
        ("bottleneck", "2", "0123abc"),
    ]
    assert [x for x in rows if x["commit"] == "0123abc"] == [
        x for x in first if (x["method"], x["seed"]) != ("lora", "2")
    ]
    text = (tmp_path / "real.md").read_text("utf-8")
    assert text.endswith(
        "on 9 clips. Made by (the CSV file has it row by row):\n\n"
        "- 4 rows: Commit 4567def, a server\n"
        "- 3 rows: Commit 0123abc, a laptop\n"
    )


def test_differences_are_of_seeds_that_both_have(bench):
    rows = [
        row("tiny-ast", "linear", 10, 0.5, 0.7),
        row("tiny-ast", "linear", 11, 0.9, 0.9),
        row("tiny-ast", "lora", 10, 0.6, 0.9),
        row("tiny-ast", "lora", 12, 0.1, 0.1),
        row("tiny-ast", "bitfit", 12, 0.4, 0.4),
    ]
    text = bench.real_report.section("digits", rows)
    line = "| 42.5 (35.0 to 50.0) | +15.0 (+10.0 to +20.0) | 2 of 2 | 10, 12 |"
    assert line in text and "mean over the seeds of a row; in" in text
    assert "| bitfit | 1,290 | 40.0 (40.0 to 40.0) | - | - | 12 |" in text
    voices = [
        {**found, "folds": found["folds"].split()[0], "value": value}
        for found, value in zip(rows, ("0.3", "0.5", "0.25", "0.1", "0.1"))
    ]
    text = bench.real_report.section("voices", voices)
    assert "| -5.0 | 1 of 1 | 10, 12 |" in text


@pytest.mark.parametrize(
    "change, message",
    [
        ({"clips": "3000", "data": "d2"}, "data d1, and this run has data d2"),
        ({"trainable_parameters": "9"}, "trainable_parameters 1290, and this"),
    ],
)
def test_rows_that_do_not_belong_together(bench, change, message):
    kept = [row("tiny-ast", "lora", 10, 0.5)]
    new = row("tiny-ast", "lora", 11, 0.5, **change)
    columns = (bench.TRIAL, bench.DATA, bench.VALUES)
    table = bench.TableFile(Path("absent"), *columns, str)
    with pytest.raises(DataError, match=f"{message}.*name another --csv"):
        table.require_comparable(new, kept)
    table.require_comparable({**new, "task": "sounds"}, kept)


def test_other_data_are_no_rows_of_the_table(begin, tmp_path):
    digits = ["--encoders", "tiny-wav2vec2", "--methods", "lora", "--seeds"]
    begin("--digits", tmp_path, *digits, "1")
    (tmp_path / "whole").mkdir()
    words = ["--digits", tmp_path / "whole", "--folder", tmp_path / "new"]
    before = (tmp_path / "real.csv").read_bytes()
    with pytest.raises(DataError, match="data .* this run has data whole0000"):
        begin(*words, *digits, "2")
    assert (tmp_path / "real.csv").read_bytes() == before
    # All of the task's rows are replaced
    assert len(begin(*words, *digits, "1")) == 1


def test_finished_runs_of_another_commit_make_the_table(
    begin, tmp_path, monkeypatch
):
    digits = ["--digits", tmp_path, "--methods", "lora", "--seeds"]
    first = begin(*digits, "1")
    monkeypatch.setattr("runs.commit", lambda: "4567def")
    (tmp_path / "real.csv").unlink()
    assert begin(*digits, "1") == first
    with pytest.raises(SystemExit, match="runs of commit 0123abc, and 4567def"):
        begin(*digits, "1,2")


def test_runs_on_other_data_are_not_mixed(begin, tmp_path):
    words = ("--methods", "linear", "--seeds", "1")
    (tmp_path / "other").mkdir()
    begin("--digits", tmp_path, *words)
    with pytest.raises(SystemExit, match=f"data {tmp_path}, and .*other is to"):
        begin("--digits", tmp_path / "other", *words)
    begin("--sounds", tmp_path / "other", *words)


def test_folder_of_data_that_failed_can_be_corrected(
    begin, bench, tmp_path, monkeypatch
):
    words = ("--methods", "linear", "--seeds", "1")
    (tmp_path / "wrong").mkdir()
    failed = SimpleNamespace(returncode=1, stderr="no recordings")
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(SystemExit, match="no recordings"):
            begin("--digits", tmp_path / "wrong", *words)

    def refuse(words):
        raise DataError("no list")

    with monkeypatch.context() as patch:
        patch.setattr(bench.real_voices, "main", refuse)
        with pytest.raises(DataError, match="no list"):
            begin("--speech", tmp_path / "wrong", *words)
    begin("--digits", tmp_path, "--speech", tmp_path, *words)
    # Voices of other recordings than their runs would have
    shutil.rmtree(tmp_path / "runs" / "voices")
    with pytest.raises(SystemExit, match="name another --folder"):
        begin("--speech", tmp_path / "wrong", *words)


@pytest.mark.parametrize(
    "old, new",
    [("0.4000 0.3000", "0.4000 a"), ("trainable_parameters", "trained")],
)
def test_damaged_table_is_named_before_any_run(begin, tmp_path, old, new):
    words = ("--methods", "lora", "--seeds", "1")
    begin("--sounds", tmp_path, *words)
    table = tmp_path / "real.csv"
    table.write_text(table.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(DataError, match="real.csv is damaged.*another --csv"):
        begin("--digits", tmp_path, *words)
    assert not (tmp_path / "runs" / "digits").exists()


def test_damaged_result_of_a_run_is_named(begin, tmp_path):
    words = ("--sounds", tmp_path, "--methods", "lora", "--seeds", "1")
    begin(*words)
    (damaged, _) = (tmp_path / "runs" / "sounds").rglob("summary.json")
    damaged.write_text('{"folds": ')
    with pytest.raises(DataError, match=f"{damaged} is damaged.*runs it again"):
        begin(*words)


def test_commands_have_what_the_recipes_need(bench, tmp_path):
    data = {task: tmp_path / task for task in bench.TASKS}

    def keys(*trial):
        words, _ = bench.command((*trial, 10), data, tmp_path)
        assert Path(words[1]).is_file()
        assert (Path(words[1]).parent / words[2]).is_file()
        return dict(zip(words[3::2], words[4::2], strict=True))

    digits = keys("digits", "small-wav2vec2", "linear", "")
    assert digits["--number_of_epochs"] == "20"
    assert digits["--backbone"].endswith("pretrained/small-wav2vec2")
    assert digits["--base"] == "wav2vec2.yaml" and digits["--seconds"] == "1.0"
    assert digits["--hidden_cache"] == str(tmp_path / "hidden")
    sounds = keys("sounds", "tiny-ast", "lora", "zeros")
    assert sounds["--positions"] == "zeros" and sounds["--frames"] == "500"
    assert sounds["--fixed_epochs"] == "True"
    voices = keys("voices", "tiny-wav2vec2", "untrained", "")
    assert voices["--embedding"] == "null" and "--allow_partial" not in voices
    assert voices["--valid_speakers"].startswith("[klettres-de,")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--digits=absent"], "--digits: there is no folder absent"),
        (["--tasks=words"], "no tasks words; there are: digits, sounds, voi"),
        (["--encoders=ast"], "no encoders ast"),
        ([], "nothing to run"),
        (["--seeds=10,", "--digits=."], "--seeds 10,: give numbers, as in"),
        (["--processes=0", "--digits=."], "--processes 0: choose 1 or more"),
        (["--sounds=.", "--encoders=tiny-wav2vec2"], "nothing to run"),
    ],
)
def test_options_that_cannot_be(bench, words, message, capsys):
    with pytest.raises(SystemExit):
        bench.parse(words)
    assert message in capsys.readouterr().err


@pytest.mark.whole
@pytest.mark.skipif(not TABLE.is_file(), reason="make bench-real writes it")
def test_table_of_the_repository(bench):
    rows = read_csv(TABLE)
    tasks = list(dict.fromkeys(found["task"] for found in rows))
    everything = [bench.CHOICES[name] for name in ("encoders", "methods")]
    for task in tasks:
        own = [found for found in rows if found["task"] == task]
        seeds = {int(found["seed"]) for found in own}
        known = bench.trials([task], *everything, seeds)
        of = [
            (task, f["encoder"], f["method"], f["positions"], int(f["seed"]))
            for f in own
        ]
        # A table may lack encoders, methods and seeds
        assert set(of) <= set(known) and len(set(of)) == len(of)
        linear = {trial[1] for trial in of if trial[2] == "linear"}
        assert linear == {trial[1] for trial in of}
    for found in rows:
        values = [float(x) for x in found["folds"].split()]
        number = {"digits": 6, "sounds": 5, "voices": 1}[found["task"]]
        assert len(values) == number and 0 <= min(values) <= max(values) <= 1
        assert float(found["value"]) == pytest.approx(fmean(values), abs=1e-4)
        if found["task"] != "voices":
            ends = float(found["lowest"]), float(found["highest"])
            assert ends == (min(values), max(values))
    text = TABLE.with_suffix(".md").read_text("utf-8")
    assert bench.real_report.report(rows) == text


@pytest.mark.whole
@pytest.mark.skipif(not TABLE.is_file(), reason="make bench-real writes it")
def test_encoder_that_heard_people_carries_over(bench):
    rows = [found for found in read_csv(TABLE) if found["task"] == "digits"]
    found = {
        key: fmean(of["folds"])
        for key, of in bench.real_report.means(rows).items()
    }
    small, tiny = (
        {method: mean for (e, method, _), mean in found.items() if e == encoder}
        for encoder in bench.TASKS["voices"][0][::-1]
    )
    assert small["linear"] > tiny["linear"] + 0.1
    assert max(small.values()) > small["linear"] + 0.05
