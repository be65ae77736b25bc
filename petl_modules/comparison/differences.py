"""Differences of configurations to a baseline, with their uncertainty."""

import statistics
from typing import NamedTuple

from petl_modules.comparison.corrected_t import (
    UNKNOWN,
    Judged,
    corrected_t,
    verdict,
)
from petl_modules.comparison.paired_draws import draw_shares, draw_trials
from petl_modules.comparison.predictions import fits, read_tested
from petl_modules.utils import UserError, listed

MOST = 10  # names in an error


class Difference(NamedTuple):
    """A configuration against the baseline, on the folds of both.

    Arguments
    ---------
    name, baseline : str
        Names of configurations.
    pairs : int
        Number of folds, seeds and draws that both have.
    mean : float or None
        Mean difference of the metric; None without pairs.
    ratio : float or None
        n_test / n_train, numbers of clips; None: not recorded.
    judged : Judged or None
        Of the corrected t-test. It is positive if the configuration is better.
    drawn : tuple of float or None
        The bootstrap's interval, positive as ``judged``.
    clusters : str
        What the bootstrap draws, such as ``40 speakers``.
    verdict : str
        See ``petl_modules.comparison.corrected_t.verdict``.
    least : float or None
        The smallest mean difference that the t-test would tell.
    notes : list of str
        What limits it.
    """

    name: str
    baseline: str
    pairs: int
    mean: float | None = None
    ratio: float | None = None
    judged: Judged | None = None
    drawn: tuple | None = None
    clusters: str = ""
    verdict: str = UNKNOWN
    least: float | None = None
    notes: tuple = ()


def find_baseline(group, name):
    """Return the configuration that a name stands for.

    Arguments
    ---------
    group : petl_modules.comparison.groups.Group
        The group.
    name : str
        A method, or a configuration of it. Where a method has only one, that
        is meant.

    Returns
    -------
    petl_modules.comparison.groups.Configuration or None
        None: the group has none of that name.

    Raises
    ------
    UserError
        The method has several.
    """
    there = group.configurations
    found = [one for one in there if one.name == name]
    found = found or [
        one
        for one in there
        if one.method == name or name.startswith(f"{one.method}-")
    ]
    if len(found) > 1:
        names = listed(sorted(one.name for one in found), MOST)
        raise UserError(
            f"--baseline {name} has several configurations on {group.title}: "
            f"take one of\n{names}"
        )
    return found[0] if found else None


class Comparer:
    """Compares the configurations of a group with its baseline.

    Arguments
    ---------
    group : petl_modules.comparison.groups.Group
        The group.
    baseline : petl_modules.comparison.groups.Configuration
        One of its configurations.
    margin : float
        Differences within it count as equal.
    clusters : callable
        Returns the ``Clusters`` of a run.
    """

    def __init__(self, group, baseline, margin, clusters):
        self.group = group
        self.baseline = baseline
        self.margin = margin
        self.clusters = clusters
        self.tested = {}  # predictions of the baseline, by place

    def compare(self, one):
        """Return the ``Difference`` of a configuration to the baseline."""
        places = sorted(one.results.keys() & self.baseline.results.keys())
        pairs, notes = self._pair(one, places)
        alone = len(one.results.keys() ^ self.baseline.results.keys())
        if alone:
            notes.append(f"folds that only one of both has, left out: {alone}")
        found = Difference(one.name, self.baseline.name, len(pairs))
        if not pairs:
            notes.append("no fold, seed and draw in common")
            return found._replace(notes=tuple(notes))
        results = [(a, b) for a, b, _ in pairs]
        gains = [self.group.sign * (a.value - b.value) for a, b in results]
        ratio, judged = _ratio(results), None
        if len(pairs) < 2:
            notes.append("one fold of one seed has no interval")
        elif ratio is None:
            notes.append("the runs do not say how many clips train and test")
        else:
            judged = corrected_t(gains, ratio, self.margin)
            if judged is None:
                notes.append("all differences are equal: nothing to judge by")
        drawn, what = self._draw(pairs, notes)
        said = self._verdict(judged, drawn, notes)
        return found._replace(
            mean=statistics.fmean(a.value - b.value for a, b in results),
            ratio=ratio,
            judged=judged,
            drawn=drawn,
            clusters=what,
            verdict=said,
            least=judged and (judged.high - judged.low) / 2 + self.margin,
            notes=tuple(notes),
        )

    def _pair(self, one, places):
        """Return the pairs that have tested the same clips, and notes.

        A pair has both results, and both predictions or None.
        """
        pairs, apart = [], []
        for place in places:
            a, b = one.results[place], self.baseline.results[place]
            tested = self._read(a), self._read_baseline(place)
            if None not in tested:
                same = tested[0].clips == tested[1].clips
                known = fits(tested[0], a.value, self.group.metric)
                known &= fits(tested[1], b.value, self.group.metric)
            else:
                known, same = False, a.run.data == b.run.data != ""
            if not same:
                apart.append(f"{a.folder} and {b.folder}")
                continue
            pairs.append((a, b, tested if known else None))
        notes = []
        if apart:
            notes.append(
                f"{len(apart)} folds are not paired, as they have tested other "
                f"clips, or do not say which, such as {apart[0]}"
            )
        return pairs, notes

    def _read(self, result):
        return read_tested(
            result.folder,
            self.group.metric,
            self.clusters(result.run).conditioned,
        )

    def _read_baseline(self, place):
        if place not in self.tested:
            self.tested[place] = self._read(self.baseline.results[place])
        return self.tested[place]

    def _draw(self, pairs, notes):
        """Return the bootstrap's interval, and what it has drawn."""
        if any(tested is None for _, _, tested in pairs):
            notes.append(
                "no bootstrap: predictions are not kept, or do not give the metric"
            )
            return None, ""
        clusters = self.clusters(pairs[0][0].run)
        if not clusters.known:
            notes.append(
                "the manifest is not there: the bootstrap draws single clips, "
                "and is too sure where they share a speaker or recording"
            )
        if self.group.metric == "eer":
            found = draw_trials(pairs, clusters)
        else:
            found = draw_shares(pairs, clusters)
        if found is None:
            notes.append("no bootstrap: folds have different trials")
            return None, ""
        (low, high), count = found
        if self.group.sign < 0:
            low, high = -high, -low
        return (low, high), f"{count} {clusters.kind}"

    def _verdict(self, judged, drawn, notes):
        """Return what both intervals say: they must agree."""
        if judged is None:
            return UNKNOWN
        said = verdict(judged.low, judged.high, self.margin)
        if drawn and said != UNKNOWN and said != verdict(*drawn, self.margin):
            notes.append(f"{said} by the t-test, not by the bootstrap")
            said = UNKNOWN
        return said


def _ratio(results):
    """Return n_test / n_train, or None where a result does not say it."""
    clips = [(r.test_clips, r.train_clips) for pair in results for r in pair]
    if not all(test and train for test, train in clips):
        return None
    return statistics.fmean(test / train for test, train in clips)
