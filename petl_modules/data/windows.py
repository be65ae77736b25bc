"""Windows: which parts of a clip are used, in training and in a test."""

from petl_modules.utils import HparamsError, counted_seed


class Windows:
    """Choose the parts of a clip that are used.

    A window has as many samples as the features take of a clip, their
    ``longest``. By default it is the beginning of a clip, and shorter clips
    stay as they are. With random windows, or several in a test, a clip that is
    shorter than a window is repeated up to its length, in all parts of the
    data.

    Arguments
    ---------
    train : str
        ``first``: the beginning of a clip. ``random``: a window that is drawn
        for each clip and epoch. It depends on these and the seed alone.
    test : int or str
        In validation and test, how many windows of a clip are used, evenly
        spaced from its beginning to its end; the model's outputs for them are
        averaged. ``whole``: the clip in one piece, by features that cut none.
    seed : int
        The run's seed.

    Raises
    ------
    HparamsError
        There is no such choice.

    Example
    -------
    >>> Windows(test=3).starts(samples=480_000, longest=80_000)
    [0, 200000, 400000]
    """

    def __init__(self, train="first", test=1, seed=0):
        if train not in ("first", "random"):
            raise HparamsError(
                f"windows: train '{train}' is neither first nor random"
            )
        if isinstance(test, str) and test.isdecimal():
            test = int(test)  # from a command line whose default is a text
        if test != "whole" and (type(test) is not int or test < 1):
            raise HparamsError(
                f"windows: test is '{test}': give a number of windows from 1, "
                "or whole"
            )
        self.train = train
        self.test = test
        self.seed = seed

    @property
    def moving(self):
        """Whether windows begin elsewhere than the clips."""
        return self.train == "random" or self.test not in (1, "whole")

    def require(self, features, parts, cached=False):
        """Check that features and feature cache go with the windows.

        Arguments
        ---------
        features : callable
            See ``petl_modules.data.load_features``.
        parts : iterable of str
            The parts that have these features.
        cached : bool
            Whether there is a feature cache.

        Raises
        ------
        HparamsError
            They do not.
        """
        longest = getattr(features, "longest", None)
        name = type(features).__name__
        whole = self.test == "whole" and {*parts} != {"train"}
        if whole and longest is not None:
            raise HparamsError(
                f"windows: test whole needs features that cut no clip, and "
                f"{name} takes {longest / features.sample_rate:.4g} s. "
                "wav2vec 2.0 can do so, with --seconds .inf"
            )
        if self.moving and longest is None and not whole:
            raise HparamsError(
                f"windows: train {self.train}, test {self.test} needs a "
                f"window's length, and {name} cuts no clip. Give its seconds"
            )
        if self.moving and cached:
            raise HparamsError(
                "feature_cache keeps the features of one window a clip, and "
                f"windows has train {self.train}, test {self.test}: leave "
                "feature_cache out"
            )

    def draw(self, samples, longest, clip, epoch):
        """Draw the first sample of a training window.

        Arguments
        ---------
        samples : int
            Number of samples of the clip.
        longest : int
            Number of samples of a window.
        clip : str
            The clip's id.
        epoch : int
            The epoch, from 1.

        Returns
        -------
        int
            0 if the clip is no longer than a window, or windows are not drawn.
        """
        if self.train == "first" or samples <= longest:
            return 0
        number = counted_seed(self.seed, epoch, clip)
        return number % (samples - longest + 1)

    def starts(self, samples, longest):
        """Return the first samples of the windows of a test.

        Arguments
        ---------
        samples, longest : int
            See ``draw``.

        Returns
        -------
        list of int
        """
        rest, last = max(0, samples - longest), max(1, self.test - 1)
        return [i * rest // last for i in range(self.test)]

    def each(self, model, features, lengths=None):
        """Return a model's outputs for each window of a test.

        Arguments
        ---------
        model : callable
            Maps ``[batch, ...]`` and ``lengths`` to ``[batch, outputs]``.
        features : torch.Tensor
            ``[batch, ...]``, or ``[batch, windows, ...]`` if there are
            several.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``.

        Returns
        -------
        torch.Tensor
            ``[batch, windows, outputs]``.
        """
        if self.test in (1, "whole"):
            return model(features, lengths).unsqueeze(1)
        if lengths is not None:
            lengths = lengths.repeat_interleave(self.test)
        outputs = model(features.flatten(0, 1), lengths)
        return outputs.unflatten(0, (-1, self.test))

    def average(self, model, features, lengths=None):
        """Return a model's outputs, averaged over the windows of each clip.

        Arguments
        ---------
        model, features, lengths
            See ``each``.

        Returns
        -------
        torch.Tensor
            ``[batch, outputs]``.
        """
        return self.each(model, features, lengths).mean(1)

    def describe(self, longest):
        """Return in words what is used of a long clip.

        Arguments
        ---------
        longest : str
            The length of a window.

        Returns
        -------
        str

        Example
        -------
        >>> Windows("random", 10).describe("4 s")
        'random 4 s are trained on, 10 windows of 4 s are tested'
        """
        if not self.moving:
            return f"the first {longest} are used"
        first = "the first" if self.train == "first" else "random"
        tested = f"{self.test} windows of {longest}"
        if self.test in (1, "whole"):
            tested = "the first " + longest if self.test == 1 else "whole clips"
        return f"{first} {longest} are trained on, {tested} are tested"
