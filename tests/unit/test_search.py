"""Searches: what is suggested, what is told, and that the test is not read."""

import argparse
import json
import math
from pathlib import Path

import numpy
import pytest
import yaml

from petl_modules.sweeps import read_sweep, search_report
from petl_modules.sweeps import searching as room
from petl_modules.sweeps.cell import Cell
from petl_modules.sweeps.points import points_of
from petl_modules.sweeps.ranges import Range
from petl_modules.sweeps.states import is_done, write_error
from petl_modules.sweeps.suggestions import suggest
from petl_modules.sweeps.trials import folder_of, with_trials
from petl_modules.sweeps.values import folder_part
from petl_modules.utils import UserError, read_csv

optuna = pytest.importorskip(
    "optuna", reason="pip install -r requirements-search.txt"
)

RANGES = {"lr": Range(1e-4, 1e-1, log=True), "rank": Range(2, 8)}
BEST_LR = 0.004
FILE = """
grid: {dataset: [birds], method: [lora], seed: [10, 11]}
search:
    lr: {low: 1.0e-4, high: 1.0e-1, log: True}
output_folder: out
"""


def peak(lr, seed=10):
    """A validation accuracy that is known: its best is at ``BEST_LR``."""
    return 0.9 - 0.1 * math.log10(lr / BEST_LR) ** 2 + (seed - 10.5) / 100


class Stand:
    """Plans and runs cells whose result is a closed form of their values.

    ``score`` has the values by key and the seed, ``test`` is what stands as
    the test metric, ``fails`` says which values fail.
    """

    def __init__(self, monkeypatch):
        self.score = lambda lr, seed: peak(lr, seed)
        self.test, self.metric = 0.5, ("accuracy", "max")
        self.fails, self.stops = lambda lr: False, None
        self.ran, self.sizes = [], []
        monkeypatch.setattr(search_report, "draw_trials", self.draw)
        monkeypatch.setattr(room, "plan_cells", self.plan)
        monkeypatch.setattr(room, "run_cells", self.run)
        monkeypatch.setattr(room, "write_record", lambda *_: None)

    def draw(self, _, ranked):  # which takes half a second
        self.drawn = ranked

    def plan(self, sweep):
        return [
            Cell(
                *(point["dataset"], "ast", point["method"], "", ""),
                {key: point[key] for key in sweep.search},
                str(
                    Path(
                        sweep.output_folder,
                        *(point["dataset"], "ast"),
                        folder_part(point["method"], {"lr": point["lr"]}),
                        point["seed"],
                    )
                ),
                *("", fold),
                metric=self.metric,
            )
            for point in points_of(sweep)
            for fold in (1, 2)
        ]

    def run(self, cells, *_):
        cells = [cell for cell in cells if not is_done(cell)]
        self.sizes.append(len(cells))
        for cell in cells:
            if self.stops is not None and len(self.ran) >= self.stops:
                raise KeyboardInterrupt
            lr, seed = float(cell.options["lr"]), int(Path(cell.folder).name)
            self.ran.append(cell.place)
            if self.fails(lr):
                write_error(cell, 1, ["diverged"])
                continue
            name, fold = self.metric[0], cell.fold
            # The folds differ, too; their mean is the closed form
            value = self.score and self.score(lr, seed) + (fold - 1.5) / 50
            result = {
                "fold": fold,
                f"valid_{name}": value,
                f"test_{name}": self.test,
                f"train_{name}": self.test,
            }
            cell.place.mkdir(parents=True, exist_ok=True)
            (cell.place / "error.json").unlink(missing_ok=True)
            (cell.place / "result.json").write_text(
                json.dumps({"fold": result})
            )
        return True


@pytest.fixture
def stand(monkeypatch):
    return Stand(monkeypatch)


def write(folder, text=FILE):
    folder.mkdir(exist_ok=True)
    (folder / "sweep.yaml").write_text(text)
    return with_trials(read_sweep(folder / "sweep.yaml"))


def search(folder, number, at_once=1, text=FILE):
    """Search, and return the rates of all trials in order, and the tables."""
    sweep = write(folder, text)
    options = argparse.Namespace(search=number, at_once=at_once)
    succeeded = room.search(sweep, None, options)
    rows = read_csv(folder_of(sweep) / "trials.csv")
    return [row["lr"] for row in rows], rows, succeeded


def values_of(texts):
    return {key: float(text) for key, text in texts.items()}


def test_suggestions_are_those_of_optuna(monkeypatch):
    """Told by another way: a study that has run the trials by itself."""
    told = []
    for _ in range(14):
        values = values_of(suggest(RANGES, told, "max", 3))
        told.append((values, peak(values["lr"]) + values["rank"] / 100))
    told[4] = told[4][0], math.nan
    told[6] = told[6][0], None

    def objective(trial):
        number = trial.number - (trial.number > 6)
        values = {
            "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
            "rank": trial.suggest_int("rank", 2, 8),
        }
        assert values == told[trial.number][0], number
        return told[trial.number][1]

    seed = numpy.random.SeedSequence((3, len(told), 0)).generate_state(1)[0]
    study = optuna.create_study(direction="maximize")
    for number, (values, value) in enumerate(told):
        study.enqueue_trial(values)
        if value is None:
            trial = study.ask()  # stays open
            trial.suggest_float("lr", 1e-4, 1e-1, log=True)
            trial.suggest_int("rank", 2, 8)
        else:
            study.optimize(objective, n_trials=1)
    study.sampler = optuna.samplers.TPESampler(
        seed=int(seed), constant_liar=True
    )
    trial = study.ask()
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    rank = trial.suggest_int("rank", 2, 8)
    found = suggest(RANGES, told, "max", 3)
    assert found == {"lr": f"{float(f'{lr:.3g}'):.12g}", "rank": str(rank)}
    assert {t.state.name for t in study.trials[:14]} == {
        *("COMPLETE", "FAIL", "RUNNING")
    }


def test_first_suggestions_are_spread():
    told = []
    for _ in range(10):
        told.append((values_of(suggest(RANGES, told, "max", 0)), 0.5))
    places = [math.log10(values["lr"]) for values, _ in told]
    assert len({values["lr"] for values, _ in told}) == 10
    assert min(places) < -3 and max(places) > -2


def test_all_of_few_values_are_tried_and_no_more():
    told, ranges = [], {"rank": Range(1, 3)}
    while (texts := suggest(ranges, told, "max", 1)) and len(told) < 9:
        told.append((values_of(texts), 0.5))
    assert sorted(values["rank"] for values, _ in told) == [1, 2, 3]


def test_the_optimum_is_found(stand, tmp_path):
    rates, rows, succeeded = search(tmp_path, 30)
    assert succeeded and len(rates) == 30
    best = max(rows, key=lambda row: float(row["validation"]))
    assert abs(math.log10(float(best["lr"]) / BEST_LR)) < 0.15
    # Later trials are nearer: it is more than chance
    away = [abs(math.log10(float(rate) / BEST_LR)) for rate in rates]
    assert numpy.median(away[15:]) < 0.7 * numpy.median(away[:10])
    for row in rows:  # the mean over two seeds and two folds
        assert float(row["validation"]) == pytest.approx(
            (peak(float(row["lr"]), 10) + peak(float(row["lr"]), 11)) / 2
        )
        assert row["folds"] == "4"
    found = yaml.safe_load(
        (tmp_path / "out/sweep-search/best.yaml").read_text()
    )
    assert found == {"birds": {"lora": {"lr": float(best["lr"])}}}


def test_an_error_rate_is_made_small(stand, tmp_path):
    stand.metric, stand.score = ("wer", "min"), lambda *at: 1 - peak(*at)
    rates, rows, _ = search(tmp_path, 30)
    best = min(rows, key=lambda row: float(row["validation"]))
    assert abs(math.log10(float(best["lr"]) / BEST_LR)) < 0.15
    assert best["metric"] == "valid_wer"


@pytest.mark.parametrize("poison", ["poison", None, [1], 1e300])
def test_the_test_part_is_never_read(poison, stand, tmp_path):
    plain = search(tmp_path / "a", 12)
    stand.test = poison
    assert search(tmp_path / "b", 12) == plain


def test_more_trials_are_those_of_a_longer_search(stand, tmp_path):
    whole, _, _ = search(tmp_path / "a", 14)
    search(tmp_path / "b", 6)
    assert search(tmp_path / "b", 14)[0] == whole
    stand.ran.clear()
    assert search(tmp_path / "b", 14)[0] == whole
    assert stand.ran == []


def test_an_interrupted_search_goes_on(stand, tmp_path):
    whole, _, _ = search(tmp_path / "a", 8)
    stand.ran.clear()
    stand.stops = 14  # within a trial
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "b", 8)
    stand.stops = None
    assert search(tmp_path / "b", 8)[0] == whole
    assert len(stand.ran) == len({*stand.ran}) == 8 * 4


def test_results_alone_are_enough(stand, tmp_path):
    whole, _, _ = search(tmp_path, 12)
    (tmp_path / "out/sweep-search/trials.json").unlink()
    stand.ran.clear()
    assert search(tmp_path, 12)[0] == whole
    assert stand.ran == []


def test_a_failed_trial_is_told_and_tried_again(stand, tmp_path):
    stand.fails = lambda lr: lr > 0.01
    _, rows, succeeded = search(tmp_path, 12)
    failed = [row for row in rows if row["state"] == "failed"]
    assert failed and not succeeded
    assert all(float(row["lr"]) > 0.01 for row in failed)
    assert all(row["validation"] == "" for row in failed)
    before = [row["lr"] for row in rows]
    stand.fails = lambda lr: False
    stand.ran.clear()
    rates, rows, succeeded = search(tmp_path, 12)
    assert rates == before  # what was asked for stays
    assert succeeded and {row["state"] for row in rows} == {"done"}
    assert len(stand.ran) == 4 * len(failed)


def test_some_at_once(stand, tmp_path):
    rates, _, _ = search(tmp_path, 10, at_once=4)
    assert stand.sizes == [16, 16, 8]
    assert len({*rates}) == 10


def test_each_combination_has_its_trials(stand, tmp_path):
    text = FILE.replace("[lora]", "[lora, houlsby]")
    _, rows, _ = search(tmp_path, 3, text=text)
    assert [(row["method"], row["trial"]) for row in rows] == [
        (method, str(number))
        for method in ("lora", "houlsby")
        for number in (1, 2, 3)
    ]


def test_a_picture_has_a_panel_for_each_key(stand, tmp_path, monkeypatch):
    search(tmp_path, 3, text=FILE.replace("[lora]", "[lora, houlsby]"))
    monkeypatch.undo()
    search_report.draw_trials(tmp_path / "a.png", stand.drawn)
    assert len(stand.drawn) == 2
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


def test_damaged_trials_are_named(stand, tmp_path):
    search(tmp_path, 2)
    file = tmp_path / "out/sweep-search/trials.json"
    file.write_text(file.read_text().replace('"lr": "', '"lr": "fast'))
    with pytest.raises(UserError, match=r"trials.json.*fast.*Delete it"):
        search(tmp_path, 3)


def test_fixed_epochs_cannot_be_searched(stand, tmp_path):
    stand.score = None
    with pytest.raises(UserError, match="leave out fixed_epochs"):
        search(tmp_path, 2)


def test_trials_of_other_ranges_count_but_are_not_told(stand, tmp_path):
    search(tmp_path, 4)
    text = FILE.replace("1.0e-4", "1.0e-2")
    rates, _, _ = search(tmp_path, 6, text=text)
    assert len(rates) == 6
    assert all(float(rate) >= 0.01 for rate in rates[4:])
