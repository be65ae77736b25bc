"""Groups of results that may be compared, and their configurations."""

import statistics
from typing import NamedTuple

from petl_modules.runs.report import COSTS
from petl_modules.utils import UserError


class Configuration(NamedTuple):
    """A method with one choice of the settings that vary.

    Arguments
    ---------
    name : str
        Such as ``lora``, or ``lora-lr=0.001`` where several are there.
    method : str
        The method.
    values : dict
        Values of the settings that vary, by key.
    results : dict
        Results by seed, fold and draw.
    paper : dict or None
        What a paper reports, see ``petl_modules.comparison.published``.
    """

    name: str
    method: str
    values: dict
    results: dict
    paper: dict | None = None

    def mean(self, key="value"):
        """Return the mean of what results have; None if one has it not."""
        found = [getattr(result, key) for result in self.results.values()]
        return None if None in found else statistics.fmean(found)

    def deviation(self):
        """Return the population standard deviation of the metric.

        It is that of a run's own summary, here over seeds, folds and draws.
        One result alone has none.
        """
        found = [result.value for result in self.results.values()]
        return statistics.pstdev(found) if len(found) > 1 else None

    def count(self, key):
        """Return how many seeds, folds or draws there are."""
        index = ("seed", "fold", "draw").index(key)
        return len({place[index] for place in self.results})


class Group(NamedTuple):
    """Results of one data set, protocol and encoder.

    Arguments
    ---------
    dataset, protocol, backbone, metric, mode : str
        See ``petl_modules.comparison.results.Run``.
    configurations : list of Configuration
        The best first.
    """

    dataset: str
    protocol: str
    backbone: str
    metric: str
    mode: str
    configurations: list

    @property
    def title(self):
        """Data set and encoder."""
        return f"{self.dataset}, {self.backbone}"

    @property
    def sign(self):
        """-1 where a lower metric is better."""
        return -1 if self.mode == "min" else 1

    @property
    def unit(self):
        """Factor by which the metric is shown, number of digits, and unit."""
        return (1, 4, "") if self.metric in COSTS else (100, 2, "%")


def group_results(results):
    """Return the groups of results.

    Arguments
    ---------
    results : petl_modules.comparison.results.Results
        What was read.

    Returns
    -------
    list of Group
        Sorted by data set, encoder and protocol.

    Raises
    ------
    UserError
        Runs of one group have different metrics, or two folders hold the same
        fold of the same run.
    """
    groups = {}
    for result in results.folds:
        run = result.run
        key = (run.dataset, run.backbone, run.protocol)
        groups.setdefault(key, []).append(result)
    return [
        _group(found, results.settings) for _, found in sorted(groups.items())
    ]


def _group(found, settings):
    """Return the group of some results."""
    first = found[0].run
    for result in found:
        run = result.run
        if (run.metric, run.mode) != (first.metric, first.mode):
            raise UserError(
                f"{first.folder} has the metric {first.metric} ({first.mode}) "
                f"and {run.folder} {run.metric} ({run.mode}), on the same data "
                "and protocol: compare runs of one metric at a time"
            )
    methods = {}
    for result in found:
        methods.setdefault(result.run.method, []).append(result)
    made = [
        configuration
        for method, own in methods.items()
        for configuration in _configurations(method, own, settings)
    ]
    group = Group(
        first.dataset,
        first.protocol,
        first.backbone,
        first.metric,
        first.mode,
        made,
    )
    made.sort(key=lambda one: (-group.sign * one.mean(), one.name))
    return group


def _configurations(method, results, settings):
    """Return the configurations of a method."""
    runs = {result.run.folder: result.run for result in results}
    kind = results[0].run.kind
    varying = settings.varying(kind, [run.settings for run in runs.values()])
    values = {
        folder: {k: settings.value(kind, run.settings, k) for k in varying}
        for folder, run in runs.items()
    }
    found = {}
    for result in results:
        own = values[result.run.folder]
        name = "-".join([method, *(f"{k}={v}" for k, v in own.items())])
        one = found.setdefault(name, Configuration(name, method, own, {}))
        other = one.results.setdefault(result.place, result)
        if other is not result:
            raise UserError(
                f"{other.folder} and {result.folder} are the same fold of the "
                "same settings and seed, which would count twice: name one "
                "of these runs"
            )
    return [*found.values()]


def grid_keys(results):
    """Return the keys that vary within a method, of all groups.

    Arguments
    ---------
    results : petl_modules.comparison.results.Results
        What was read.

    Returns
    -------
    list of str
    """
    kinds = {}
    for result in results.folds:
        run = result.run
        kinds.setdefault(run.kind, {})[run.folder] = run.settings
    found = {
        key
        for kind, runs in kinds.items()
        for key in results.settings.varying(kind, [*runs.values()])
    }
    return sorted(found)
