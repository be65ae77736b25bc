"""What the command line shows of a file: lines, a JSON object, rows."""

from petl_modules.utils import printable


class Guesses:
    """The classes of a file.

    Arguments
    ---------
    guesses : list of tuple
        Labels and probabilities.

    Example
    -------
    >>> Guesses([("dog", 0.75)]).content()
    {'classes': [{'label': 'dog', 'probability': 0.75}]}
    """

    def __init__(self, guesses):
        self.guesses = guesses

    def lines(self):
        """Return lines of text."""
        return [
            f"  {probability:7.2%}  {printable(label)}"
            for label, probability in self.guesses
        ]

    def rows(self):
        """Return rows of a table, the most probable class first."""
        keys = "label", "probability"
        return [dict(zip(keys, guess)) for guess in self.guesses]

    def content(self):
        """Return what an object of JSON holds."""
        return {"classes": self.rows()}


class Recording:
    """The classes of a recording's windows, and of all of them.

    Arguments
    ---------
    scores : petl_modules.inference.window_scores.WindowScores
        The scores.
    top : int
        How many classes to show.
    """

    def __init__(self, scores, top):
        self.scores, self.top = scores, top
        self.mean = Guesses(scores.best(top, of="mean"))
        self.max = Guesses(scores.best(top, of="max"))

    def lines(self):
        """Return a line for each window, then the mean and the maximum."""
        windows = [
            f"  {row['start']:9.2f} {row['stop']:9.2f}  "
            f"{row['probability']:7.2%}  {printable(row['label'])}"
            for row in self.scores.table(top=1)
        ]
        mean = f"  mean of {len(self.scores)} windows:"
        return [*windows, mean, *self.mean.lines(), "  maximum:"] + (
            self.max.lines()
        )

    def rows(self):
        """Return rows of a table, for each window its classes."""
        return self.scores.table(self.top)

    def content(self):
        """Return what an object of JSON holds."""
        windows = [
            {
                "start": round(window.start, 6),
                "stop": round(window.stop, 6),
                **Guesses(window.guesses).content(),
            }
            for window in self.scores.windows(self.top)
        ]
        mean, highest = self.mean.rows(), self.max.rows()
        return {"windows": windows, "mean": mean, "max": highest}

    def write_picture(self, path, title):
        """Write the picture of the scores over time."""
        self.scores.write_picture(path, title=title)
