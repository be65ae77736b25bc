"""Figure of a test by trials: the scores of both kinds, and both error rates."""

import logging

import numpy as np

from petl_modules.verification.error_rates import error_curve, rates_at


def write_error_curve(folder, rows):
    """Write ``trials.png``: distributions of scores, and the error curve.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    rows : list of dict
        ``same`` and ``score`` of each test trial and, if it is known, the
        ``threshold`` that decides.
    """
    # Matplotlib logs each font it tries, and the run's log keeps all levels
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.figure import Figure  # slow to import, needed only here

    scores = np.array([float(row["score"]) for row in rows])
    same = np.array([row["same"] in (1, "1") for row in rows])
    curve = error_curve(scores, same)
    rate, threshold = curve.eer()
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    number = int(np.clip(len(scores) ** 0.5, 10, 60))
    bins = np.linspace(scores.min(), scores.max() + 1e-9, number + 1)
    for kind, name in ((same, "one speaker"), (~same, "two speakers")):
        label = f"{name}, {np.count_nonzero(kind):,} trials"
        left.hist(scores[kind], bins, density=True, alpha=0.6, label=label)
    label = f"equal error rates: {threshold:.3f}"
    left.axvline(threshold, color="black", linestyle=":", label=label)
    if "threshold" in rows[0]:
        used = float(rows[0]["threshold"])
        accepts, rejects = rates_at(used, scores, same)
        label = f"threshold that decides: {used:.3f}"
        left.axvline(used, color="C3", linestyle="--", label=label)
        right.plot([accepts], [rejects], "s", color="C3", label=label)
        right.legend(fontsize=8)
    left.set(xlabel="score", ylabel="density", title="test scores")
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15)}
    left.legend(fontsize=8, ncols=3, **place)
    right.plot(curve.false_accepts, curve.false_rejects)
    right.plot([rate], [rate], "o", color="black")
    right.annotate(
        f"equal error rate {rate:.2%}",
        (rate, rate),
        xytext=(8, 8),
        textcoords="offset points",
    )
    right.set(
        xlabel="false accepts",
        ylabel="false rejects",
        title="error rates of all thresholds",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    figure.savefig(folder / "trials.png", dpi=150)
