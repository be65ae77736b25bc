"""The comparison of runs: from folders to tables, pictures and a page."""

import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
from matplotlib.text import Text

from petl_modules import compare as command
from petl_modules.comparison import compare, comparing, corrected_t, pictures
from petl_modules.comparison.finding import find_runs
from petl_modules.comparison.groups import group_results
from petl_modules.comparison.results import read_results
from petl_modules.comparison.rows import difference_rows
from petl_modules.comparison.settings import keys_of, value_of
from petl_modules.comparison.tables import latex_table
from petl_modules.runs.yaml_text import one_line_values
from petl_modules.utils import DataError, UserError, read_csv
from petl_modules.verification import error_curve
from tests.compared import guesses, merged, records_of, write_compared

FILES = {
    *("runs.csv", "table.csv", "table.md", "table.tex", "differences.csv"),
    *("pareto.png", "folds.png", "comparison.html"),
}


def shares(base, folds=5, seed=0):
    """A metric by fold, around a value."""
    noise = np.random.default_rng(seed).normal(0, 0.01, folds)
    return {k + 1: round(base + x, 4) for k, x in enumerate(noise)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two methods with two seeds, one with two learning rates, one unfinished."""
    folder = tmp_path_factory.mktemp("compared") / "results"
    for seed in (1, 2):
        for method, value, size in (("linear", 0.7, 500), ("lora", 0.8, 9000)):
            write_compared(
                folder / method / str(seed),
                method,
                shares(value, seed=seed + size),
                seed=seed,
                trainable=size,
                records=records_of(5),
            )
    for lr in (0.001, 0.01):
        write_compared(
            folder / f"bottleneck-lr={lr}",
            "bottleneck",
            shares(0.75 + lr, seed=4),
            lr=lr,
            trainable=70_000,
            records=records_of(5),
            facts=False,
        )
    begun = folder / "begun"
    begun.mkdir()
    shutil.copy(folder / "lora" / "1" / "hyperparams.yaml", begun)
    return folder


@pytest.fixture(scope="module")
def made(results, tmp_path_factory):
    """The folder of a comparison, and what it returned."""
    out = tmp_path_factory.mktemp("out") / "deep" / "compare"
    return out, *compare([str(results)], out, "linear")


def judged(*folders, baseline="linear"):
    """What ``compare`` returns; without tables and pictures."""
    found = group_results(read_results(find_runs(folders)))
    return comparing.judge(found, baseline, margin=0.01)


def difference(folder):
    """The only difference of runs in a folder, as a row of its table."""
    (row,) = difference_rows(judged(folder))
    return row


def rows_of(path, **wanted):
    return [
        row
        for row in read_csv(path)
        if all(row[key] == value for key, value in wanted.items())
    ]


def test_all_files_are_written(made):
    assert {file.name for file in made[0].iterdir()} == FILES


def test_runs_have_a_row_a_fold(made, results):
    rows = read_csv(made[0] / "runs.csv")
    assert len(rows) == 4 * 5 + 2 * 5
    (row,) = rows_of(made[0] / "runs.csv", method="lora", seed="2", fold="3")
    assert row["dataset"] == "birds" and row["backbone"] == "some-ast"
    assert row["metric"] == "accuracy"
    assert float(row["value"]) == shares(0.8, seed=9002)[3]
    assert row["trainable_parameters"] == "9000" and row["seconds"] == "30.0"
    file = results / "lora" / "2" / "fold3" / "model.safetensors"
    assert int(row["adapter_bytes"]) == file.stat().st_size
    assert (row["train_clips"], row["test_clips"]) == ("60", "20")
    assert row["commit"] == "0123456789ab" and row["versions"] == "torch 2.11.0"
    assert row["peak_memory_bytes"] == "500000000"


def test_what_was_not_recorded_is_empty(made):
    row = rows_of(made[0] / "runs.csv", method="bottleneck")[0]
    recorded = ("device", "commit", "versions", "peak_memory_bytes")
    assert {row[key] for key in recorded} == {""}


def test_keys_of_the_grid_are_columns(made):
    rows = rows_of(made[0] / "runs.csv", method="bottleneck")
    assert {row["lr"] for row in rows} == {"0.001", "0.01"}
    names = read_csv(made[0] / "table.csv")
    assert {row["configuration"] for row in names} == {
        *("linear", "lora", "bottleneck-lr=0.001", "bottleneck-lr=0.01")
    }
    header = list(rows[0])
    assert "rank" not in header and "output_folder" not in header


def test_mean_and_deviation(made):
    values = [x for s in (9001, 9002) for x in shares(0.8, seed=s).values()]
    (row,) = rows_of(made[0] / "table.csv", method="lora")
    assert float(row["mean"]) == pytest.approx(np.mean(values))
    assert float(row["std"]) == pytest.approx(np.std(values))
    assert (row["seeds"], row["folds"]) == ("2", "5")


def test_one_run_has_the_deviation_of_its_summary(made, results):
    folder = results / "bottleneck-lr=0.01"
    summary = json.loads((folder / "summary.json").read_text())
    name = "bottleneck-lr=0.01"
    (row,) = rows_of(made[0] / "table.csv", configuration=name)
    assert float(row["std"]) == pytest.approx(summary["accuracy_std"])


def test_difference_pairs_folds_and_seeds(made):
    gains = [
        shares(0.8, seed=9000 + seed)[fold] - shares(0.7, seed=500 + seed)[fold]
        for seed in (1, 2)
        for fold in range(1, 6)
    ]
    (row,) = rows_of(made[0] / "differences.csv", configuration="lora")
    assert int(row["pairs"]) == 10
    assert float(row["difference"]) == pytest.approx(np.mean(gains))
    assert float(row["n_test / n_train"]) == pytest.approx(1 / 3)
    judged = corrected_t(gains, 1 / 3, 0.01)
    found = [float(row[k]) for k in ("low", "high", "p_value", "p_better")]
    assert found == pytest.approx(
        [judged.low, judged.high, judged.p_value, judged.p_better]
    )
    assert row["verdict"] == "better"


def test_results_of_earlier_versions_tell_nothing(made):
    name = "bottleneck-lr=0.001"
    (row,) = rows_of(made[0] / "differences.csv", configuration=name)
    assert row["verdict"] == "cannot tell" and row["low"] == ""
    assert "do not say how many clips" in row["notes"]


def test_unfinished_runs_are_named(made, results):
    assert made[2].unfinished == [str(results / "begun")]
    page = (made[0] / "comparison.html").read_text()
    assert "Left out: not finished" in page and str(results / "begun") in page


def test_fold_that_runs_is_named(results, tmp_path):
    run = shutil.copytree(results / "lora" / "1", tmp_path / "run")
    (run / "fold4" / "result.json").unlink()
    found = read_results([run])
    assert found.unfinished == [str(run / "fold4")] and len(found.folds) == 4


def test_best_first(made):
    lines = (made[0] / "table.md").read_text().splitlines()
    names = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert names[2:] == [
        *("| lora", "| bottleneck-lr=0.01", "| bottleneck-lr=0.001"),
        "| linear",
    ]


def test_without_baseline_there_are_no_differences(results, tmp_path):
    compare([results], tmp_path / "out")
    files = {file.name for file in (tmp_path / "out").iterdir()}
    assert files == FILES - {"differences.csv"}
    (row,) = rows_of(tmp_path / "out" / "table.csv", method="lora")
    assert row["verdict"] == ""


@pytest.mark.parametrize("name", ["pareto.png", "folds.png"])
def test_pictures_are_images(made, name):
    content = (made[0] / name).read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 10_000


@pytest.fixture
def figures(monkeypatch):
    """The figures of pictures that are drawn."""
    figures, new = [], pictures.new_figure
    monkeypatch.setattr(
        pictures,
        "new_figure",
        lambda *size: figures.append(new(*size)) or figures[-1],
    )
    return figures


def test_a_configuration_looks_the_same_in_all_rows(results, figures):
    (group,) = group_results(read_results(find_runs([results])))
    some = group.configurations
    rows = [(group, some), (group, some[::-1])]
    pictures.draw_pareto(io.BytesIO(), rows)
    # As on a page, which has a picture a group
    pictures.draw_pareto(io.BytesIO(), rows[1:], pictures.names_of(rows))
    first, second, alone = (
        {
            text.get_text(): str(bars.get_color())
            for text, bars in zip(key.texts, key.legend_handles)
        }
        for figure in figures
        for axes in figure.axes
        if (key := axes.get_legend())
    )
    assert first == second == alone and [*first] == [*second][::-1]
    assert len(set(first.values())) == len(first) > 1


@pytest.mark.filterwarnings("error:constrained_layout not applied")
@pytest.mark.parametrize("count", [2, pictures.MOST])
@pytest.mark.parametrize("draw", [pictures.draw_pareto, pictures.draw_folds])
def test_texts_of_pictures_are_inside_and_apart(draw, count, results, figures):
    """Titles and names are long, and there are few methods or many."""
    (group,) = group_results(read_results(find_runs([results])))
    group = group._replace(protocol="few-shot: 8 a class; " * 9)
    one = group.configurations[0]
    some = [
        one._replace(
            name=f"{one.name}-{place}-backbone=/a/long/path/of/one" * 2
        )
        for place in range(count)
    ]
    draw(io.BytesIO(), [(group, some), (group, some)])
    (figure,) = figures
    figure.draw_without_rendering()  # the file has another resolution
    titles = [
        axes._left_title.get_window_extent()
        for axes in figure.axes
        if axes.get_title(loc="left")
    ]
    assert len(titles) == 2 and not titles[0].overlaps(titles[1])
    for text in figure.findobj(Text):
        if len(text.get_text()) > 12:  # ticks out of sight have texts, too
            box = text.get_window_extent()
            assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text
            assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text


def test_command_says_what_it_found(results, tmp_path, capsys):
    out = tmp_path / "out"
    command.main([str(results), "--baseline=linear", f"--out={out}"])
    said = capsys.readouterr()
    assert re.search(r"lora +\d\d\.\d\d  better \(\+\d+\.\d\d\)\n", said.out)
    assert f"report: {out}/comparison.html" in said.out
    assert f"left out, as not finished:\n  {results / 'begun'}" in said.err


@pytest.mark.parametrize(
    "words, message",
    [
        (["{}/none"], "none is no folder"),
        (["{}/lora/1/fold2"], "fold2 is one fold of a run: name .*lora/1"),
        (["{}/lora/1/fold2/save"], "no folder|holds no run"),
        (["{}/begun"], "none of 1 runs has finished"),
        (["{}", "--baseline", "prefix"], "'prefix'; there are: bottleneck, li"),
        (
            ["{}", "--baseline", "bottleneck"],
            r"take one of\s+bottleneck-lr=0.001",
        ),
        (["{}", "--out", "{}"], "is not empty: name a new folder, with --out"),
        (["{}", "--margin", "-1"], "--margin is -1.0: give 0 or more points"),
    ],
)
def test_errors_name_the_remedy(words, message, results, tmp_path, capsys):
    words = [word.format(results) for word in words]
    if "--out" not in words:
        words += ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    text = f"{ended.value.code} {capsys.readouterr().err}"
    assert re.search(message, text, re.S)
    assert not (tmp_path / "out").exists()


def test_folder_without_runs_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no run of a recipe: expected"):
        find_runs([tmp_path / "empty"])


@pytest.mark.parametrize(
    "name, content",
    [
        ("summary.json", "{"),
        ("summary.json", '{"dataset": "birds"}'),
        ("fold2/result.json", "{}"),
        ("data.json", "[]"),
    ],
)
def test_damaged_file_is_named(name, content, results, tmp_path):
    run = shutil.copytree(results / "lora" / "1", tmp_path / "run")
    (run / name).write_text(content)
    with pytest.raises(DataError, match=f"{name} is damaged .*elete"):
        compare([run], tmp_path / "out")


def test_changed_result_is_refused(results, tmp_path):
    """A better number, written into a result."""
    run = shutil.copytree(results / "lora" / "1", tmp_path / "run")
    file = run / "fold1" / "result.json"
    file.write_text(
        re.sub(r"(test_accuracy\": )0.\d", r"\g<1>0.9", file.read_text())
    )
    with pytest.raises(DataError, match="not the file that checksums.json"):
        compare([run], tmp_path / "out")


def test_copy_of_a_run_is_refused(results, tmp_path):
    shutil.copytree(results / "lora" / "1", tmp_path / "copy")
    with pytest.raises(UserError, match="would count twice"):
        compare([results, tmp_path / "copy"], tmp_path / "out")


def test_run_that_is_named_twice_counts_once(results):
    runs = find_runs([results, results / "lora", results / "lora" / "1"])
    assert len(runs) == 7


def test_mixed_metrics_are_refused(results, tmp_path):
    write_compared(tmp_path / "run", "lora", shares(0.3), metric="eer")
    with pytest.raises(UserError, match="compare runs of one metric at a time"):
        compare([results, tmp_path / "run"], tmp_path / "out")


def test_data_sets_and_protocols_stand_alone(results, tmp_path):
    """No mean and no difference over them."""
    other = tmp_path / "other"
    write_compared(other / "a", "lora", shares(0.4), dataset="dogs")
    write_compared(other / "b", "lora", {1: 0.9}, protocol="one split")
    compared = judged(results, other)
    assert [(g.dataset, len(g.configurations)) for g, *_ in compared] == [
        *(("birds", 4), ("birds", 1), ("dogs", 1))
    ]
    assert [base is None for _, base, _ in compared] == [False, True, True]


def test_every_key_of_a_recipe_file_is_found():
    """The fast reading of keys, against that of a YAML parser."""
    text = merged("audio_classification", "lora")
    parsed = one_line_values(text)
    found = keys_of(text)
    assert len(found) > 50 and found.keys() < parsed.keys()
    for key in ("lr", "methods", "augment", "best_metric", "alpha", "layers"):
        theirs = parsed[key]
        with_number = theirs.replace("5.0e-3", "0.005")
        assert value_of(found[key]) in (theirs, with_number), key


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Names that mean something to a browser, LaTeX, Markdown, a terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    name = "<script>alert(1)</script> $x$ 5 %_& | \x1b[31m https://evil.com/a"
    for seed in (1, 2):
        for method in ("linear", "lora"):
            write_compared(
                folder / "in" / f"{method}{seed}",
                method,
                shares(0.5, seed=seed),
                seed=seed,
                dataset=name,
            )
    compare([folder / "in"], folder / "out", "linear")
    return folder / "out", name


def test_page_loads_nothing(made, hostile):
    for out in (made[0], hostile[0]):
        page = (out / "comparison.html").read_text()
        places = re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']*)""", page)
        assert len(places) >= 2
        assert all(p.startswith("data:image/png;base64,") for p in places)
        assert not re.search(r"@import|url\(|fetch\(|<link|<iframe", page)
        assert "default-src 'none'; img-src data:" in page


def test_page_shows_names_as_they_are(hostile):
    page = (hostile[0] / "comparison.html").read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert "\x1b" not in page


def test_latex_and_markdown_show_names_as_they_are(hostile):
    tables = (hostile[0] / "table.tex").read_text()
    body = [x for x in tables.splitlines() if not x.startswith("%")]
    assert "<script" not in "\n".join(body) and "\x1b" not in tables
    markdown = (hostile[0] / "table.md").read_text()
    assert r"\<script\>" in markdown and "\x1b" not in markdown


def test_csv_keeps_names(hostile):
    with open(hostile[0] / "runs.csv", newline="", encoding="utf-8") as file:
        assert {row["dataset"] for row in csv.DictReader(file)} == {hostile[1]}


def test_latex_of_each_special_character():
    text = latex_table(["a_b"], [[(1, r"5 % & $x$ #1 {y} ~ ^ \z")]])
    assert r"a\_b \\" in text
    line = next(x for x in text.splitlines() if x.startswith("5"))
    assert line == (
        r"5 \% \& \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{}z \\"
    )


def birds(fold, share, seed):
    """Which clips of a fold are right."""
    chance = np.random.default_rng([fold, seed])
    clips = [c for c, r in records_of(5).items() if r["fold"] == fold]
    return dict(zip(clips, chance.random(len(clips)) < share))


def test_bootstrap_draws_recordings_of_the_manifest(tmp_path):
    records = records_of(5, recording=lambda i: f"tape{i // 10}")
    for method, share in (("linear", 0.3), ("lora", 0.9)):
        for seed in (1, 2):
            right = {k: birds(k, share, seed) for k in range(1, 6)}
            values = {k: np.mean([*r.values()]) for k, r in right.items()}
            write_compared(
                tmp_path / "in" / f"{method}{seed}",
                method,
                values,
                seed=seed,
                records=records,
                rows=guesses(right),
            )
    row = difference(tmp_path / "in")
    assert row["bootstrap of"] == "10 recordings"
    low, mean, high = (
        row[k] for k in ("bootstrap_low", "difference", "bootstrap_high")
    )
    assert 0.3 < low < mean < high < 0.9
    assert row["verdict"] == "better" and row["notes"] == ""
    shutil.rmtree(tmp_path / "in" / "manifests")
    row = difference(tmp_path / "in")
    assert row["bootstrap of"] == "100 clips"
    assert "the manifest is not there" in row["notes"]


def test_other_test_clips_are_not_paired(tmp_path):
    """Fold 2 of one run has tested other clips than that of the other."""
    for method in ("linear", "lora"):
        right = {k: birds(k, 0.5, 1) for k in (1, 2)}
        if method == "lora":
            right[2] = {f"other {clip}": x for clip, x in right[2].items()}
        values = {k: np.mean([*r.values()]) for k, r in right.items()}
        write_compared(
            tmp_path / "in" / method, method, values, rows=guesses(right)
        )
    row = difference(tmp_path / "in")
    assert row["pairs"] == 1 and "have tested other clips" in row["notes"]
    assert "fold2" in row["notes"] and "fold1" not in row["notes"]


def test_predictions_that_do_not_give_the_metric_are_not_drawn(tmp_path):
    for method in ("linear", "lora"):
        right = {1: birds(1, 0.5, 1)}
        write_compared(
            tmp_path / "in" / method, method, {1: 0.99}, rows=guesses(right)
        )
    row = difference(tmp_path / "in")
    assert "or do not give the metric" in row["notes"]
    assert "one fold of one seed has no interval" in row["notes"]


@pytest.mark.parametrize("gain, said", [(-0.1, "better"), (0.1, "worse")])
def test_lower_error_rates_are_better(gain, said, tmp_path):
    """Words: the number of errors over that of words, seeds drawn too."""
    chance = np.random.default_rng(1)
    records = records_of(5, speaker=lambda i: f"speaker {i % 25}")

    def spoken(rate, values):
        def rows(fold):
            errors = chance.random((20, 10)) < rate
            values[fold] = errors.mean()
            clips = [c for c, r in records.items() if r["fold"] == fold]
            return [
                {"id": c, "text": "a " * 10, "predicted": "", "wer_errors": n}
                for c, n in zip(clips, errors.sum(1))
            ]

        return rows

    for method, rate in (("linear", 0.3), ("lora", 0.3 + gain)):
        for seed in (1, 2, 3):
            values = {}
            rows = spoken(rate, values)
            kept = {fold: rows(fold) for fold in range(1, 6)}
            write_compared(
                tmp_path / "in" / f"{method}{seed}",
                method,
                values,
                seed=seed,
                metric="wer",
                records=records,
                rows=kept.get,
            )
    row = difference(tmp_path / "in")
    assert row["verdict"] == said and row["bootstrap of"] == "25 speakers"
    assert row["difference"] == pytest.approx(gain, abs=0.03)
    ends = [row[k] for k in ("low", "high")]
    drawn = [row[k] for k in ("bootstrap_low", "bootstrap_high")]
    for low, high in (ends, drawn):
        assert low < row["difference"] < high
        assert np.sign(low) == np.sign(high) == np.sign(gain)
    assert row[f"p_{said}"] > 0.95


def test_clips_under_another_condition_do_not_count(tmp_path):
    """They are in predictions.csv too, and have an error rate of their own."""
    records = records_of(1, 20)
    for clip in list(records)[10:]:
        records[clip]["condition"] = "noisy"
    for method, errors in (("linear", 2), ("lora", 1)):
        rows = [
            {"id": c, "text": "a b c d", "predicted": "", "wer_errors": n}
            for c, n in zip(records, [errors] * 10 + [4] * 10)
        ]
        for seed in (1, 2):
            write_compared(
                tmp_path / "in" / f"{method}{seed}",
                method,
                {1: errors / 4},
                seed=seed,
                metric="wer",
                records=records,
                rows={1: rows}.get,
            )
    row = difference(tmp_path / "in")
    assert row["bootstrap of"] == "10 clips"
    assert row["bootstrap_low"] == row["bootstrap_high"] == -0.25


def test_equal_differences_tell_nothing(tmp_path):
    """They have no spread to judge by: such as of a very small test part."""
    for seed in (1, 2):
        for method, value in (("linear", 0.5), ("lora", 0.75)):
            write_compared(
                tmp_path / "in" / f"{method}{seed}",
                method,
                {1: value, 2: value},
                seed=seed,
                records=records_of(2),
            )
    row = difference(tmp_path / "in")
    assert row["verdict"] == "cannot tell" and row["low"] is None
    assert "all differences are equal" in row["notes"]


def test_trials_of_speakers(tmp_path):
    """Error rates of one list of trials, three seeds, speakers drawn."""
    chance = np.random.default_rng(2)
    records = records_of(1, 60, speaker=lambda i: f"speaker {i % 12}")
    names = [*records]
    pairs = sorted({tuple(sorted(chance.choice(60, 2, 0))) for _ in range(500)})
    same = np.array([(a - b) % 12 == 0 for a, b in pairs])
    for method, gap in (("linear", 1.0), ("lora", 3.0)):
        for seed in (1, 2, 3):
            scores = chance.normal(size=len(pairs)) + gap * same
            rows = [
                {
                    "first": names[a],
                    "second": names[b],
                    "same": int(s),
                    "score": float(x),
                    "threshold": 0.0,
                }
                for (a, b), s, x in zip(pairs, same, scores)
            ]
            write_compared(
                tmp_path / "in" / f"{method}{seed}",
                method,
                {1: error_curve(scores, same).eer()[0]},
                seed=seed,
                metric="eer",
                records=records,
                rows={1: rows}.get,
            )
    row = difference(tmp_path / "in")
    assert row["bootstrap of"] == "12 speakers" and row["pairs"] == 3
    low, mean, high = (
        row[k] for k in ("bootstrap_low", "difference", "bootstrap_high")
    )
    assert low < mean < high < -0.05
    assert row["verdict"] == "better"


def test_many_configurations_have_small_pictures(tmp_path, monkeypatch):
    """The best ones and the baseline are drawn; the tables have all."""
    monkeypatch.setattr(pictures, "MOST", 3)
    for n in range(6):
        write_compared(
            tmp_path / "in" / str(n), "lora", {1: 0.9 - n / 10}, lr=n / 100
        )
    compared, _ = compare([tmp_path / "in"], tmp_path / "out", "lora-lr=0.05")
    ((group, baseline, differences),) = compared
    kept = [one.name for one in pictures.shown(group, baseline)]
    assert kept == ["lora-lr=0", "lora-lr=0.01", "lora-lr=0.05"]
    assert len(differences) == 5
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "The pictures show 3 of 6 methods." in page


def test_guide_says_the_margin():
    assert any(
        "±0.02 of the metric (--margin 2" in line
        for line in comparing.guide_of("lora", 0.02)
    )
