"""Ranges of the keys that a search varies."""

from typing import NamedTuple

from petl_modules.runs.layering import nearest
from petl_modules.sweeps.values import text_of
from petl_modules.utils import HparamsError

FORM = {"low": float, "high": float, "log?": bool, "step?": float}
KEYS = [key.removesuffix("?") for key in FORM]
DIGITS = 3  # of values between steps: folders are named by them
CLOSE = 1e-6  # of a step


class Range(NamedTuple):
    """The values that a search may give a key.

    Arguments
    ---------
    low, high : int or float
        The ends, which belong to it. Two whole numbers: whole numbers alone.
    log : bool
        Whether values are drawn by their logarithm.
    step : int, float or None
        Values are whole numbers of steps above ``low``.

    Example
    -------
    >>> Range(1e-4, 1e-2, log=True).text_of(0.00123456)
    '0.00123'
    >>> Range(16, 128, step=16).whole, 0.35 in Range(0.0, 0.3)
    (True, False)
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self):
        """Whether its values are whole numbers."""
        ends = self.low, self.high, self.step or 1
        return all(isinstance(one, int) for one in ends)

    def __contains__(self, value):
        if not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.whole else None)
        return step is None or _is_multiple(value - self.low, step)

    def text_of(self, value):
        """Return a value as a text; between steps it has few digits."""
        if self.whole:
            return text_of(int(value), "")
        if self.step is None:
            value = float(f"{value:.{DIGITS}g}")
            value = min(max(value, self.low), self.high)
        return text_of(float(f"{value:.12g}"), "")  # 0.3, not 0.1 + 0.2

    @property
    def ends(self):
        """The texts of both ends."""
        return [self.text_of(self.low), self.text_of(self.high)]

    def __str__(self):
        kinds = [f"in steps of {self.step:g}"] if self.step else []
        kinds += ["whole numbers"] if self.whole else []
        kinds += ["logarithmic"] if self.log else []
        text = " to ".join(self.ends)
        return f"{text} ({', '.join(kinds)})" if kinds else text


def read_range(about, place):
    """Return the range that a sweep file gives a key.

    Arguments
    ---------
    about : dict
        Has ``FORM``.
    place : str
        Where it stands, for the error message.

    Returns
    -------
    Range

    Raises
    ------
    HparamsError
        There is no such range.
    """
    for key in about:
        if key not in KEYS:
            raise HparamsError(
                f"{place}: unknown key '{key}'{nearest(key, KEYS)} A range "
                f"has: {', '.join(KEYS)}"
            )
    found = Range(
        *(_plain(about[key]) for key in ("low", "high")),
        bool(about.get("log", False)),
        _plain(about["step"]) if "step" in about else None,
    )
    if found.low >= found.high:
        raise HparamsError(f"{place}: low is not below high")
    if found.log and found.low <= 0:
        raise HparamsError(f"{place}: 'log' needs a low above 0")
    if found.log and found.step is not None:
        raise HparamsError(f"{place}: 'log' has no steps: leave out one")
    if found.step is not None and not (
        found.step > 0 and _is_multiple(found.high - found.low, found.step)
    ):
        raise HparamsError(
            f"{place}: high is not a whole number of steps above low"
        )
    return found


def _plain(number):
    """Return a number without what YAML knows of its writing."""
    return int(number) if isinstance(number, int) else float(number)


def _is_multiple(value, step):
    """Return whether a value is a whole number of steps."""
    return abs(value / step - round(value / step)) < CLOSE
