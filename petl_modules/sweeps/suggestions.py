"""Values that a search tries next, by Optuna.

What Optuna knows is given to it anew each time: nothing is kept but the
results of trials.
"""

import math
import warnings

import numpy

from petl_modules.utils import require_extra

TRIES = 20  # suggestions in place of one that was tried before


def suggest(ranges, told, mode, seed):
    """Return values that no trial had.

    The sampler is a tree-structured Parzen estimator (Bergstra et al. 2011),
    with Optuna's defaults: the first ten values are random.

    Arguments
    ---------
    ranges : dict
        ``petl_modules.sweeps.ranges.Range`` by key.
    told : list of tuple
        Of each trial in order: its values by key, and what it has reached.
        None: it has not ended. NaN: it has failed.
    mode : str
        Whether ``max`` or ``min`` is better.
    seed : int
        With the same trials, the same seed suggests the same.

    Returns
    -------
    dict or None
        Texts by key. None: nothing new comes, as where all of few whole
        numbers were tried.

    Raises
    ------
    UserError
        Optuna is not installed.
    """
    optuna = require_extra("optuna", "search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {k: _space(optuna, one) for k, one in ranges.items()}
    known = [values for values, _ in told]
    for number in range(TRIES):
        study = optuna.create_study(
            direction="maximize" if mode == "max" else "minimize",
            sampler=_sampler(optuna, seed, len(told), number),
        )
        for values, value in told:
            if all(values[key] in one for key, one in ranges.items()):
                study.add_trial(_trial(optuna, spaces, values, value))
        found = study.ask(spaces).params
        texts = {key: one.text_of(found[key]) for key, one in ranges.items()}
        if {key: float(text) for key, text in texts.items()} not in known:
            return texts
    return None


def _sampler(optuna, *seeds):
    """Return a sampler; each trial has its own, by numbers.

    One seed for all would begin anew whenever a search goes on, and suggest
    the same again.
    """
    seed = int(numpy.random.SeedSequence(seeds).generate_state(1)[0])
    with warnings.catch_warnings():  # of what is not final in earlier versions
        warnings.simplefilter("ignore")
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _space(optuna, one):
    """Return a range as Optuna has it."""
    kinds = optuna.distributions
    if one.whole:
        return kinds.IntDistribution(
            one.low, one.high, log=one.log, step=one.step or 1
        )
    return kinds.FloatDistribution(
        one.low, one.high, log=one.log, step=one.step
    )


def _trial(optuna, spaces, values, value):
    """Return a trial as Optuna has it."""
    states = optuna.trial.TrialState
    if value is None:
        state = states.RUNNING
    else:
        state = states.FAIL if math.isnan(value) else states.COMPLETE
    return optuna.trial.create_trial(
        state=state,
        value=value if state == states.COMPLETE else None,
        params=values,
        distributions=spaces,
    )
