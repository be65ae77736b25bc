"""The files of a miniature."""

from dataclasses import dataclass, field


@dataclass
class Plan:
    """The files of a miniature.

    Arguments
    ---------
    sounds : dict
        From path to sampling rate and a function of a
        ``numpy.random.Generator`` that gives the samples.
    texts : dict
        From path to content.
    """

    sounds: dict = field(default_factory=dict)
    texts: dict = field(default_factory=dict)
