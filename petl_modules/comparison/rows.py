"""Rows of the CSV files of a comparison."""

from petl_modules.comparison.groups import grid_keys
from petl_modules.comparison.published import source_of

RECORDED = (
    *("trainable_parameters", "petl_parameters", "total_parameters"),
    *("adapter_bytes", "seconds", "epochs", "best_epoch", "train_clips"),
    *("test_clips", "peak_memory_bytes", "device", "processes", "commit"),
    "versions",
)


def run_rows(results):
    """Return the rows of ``runs.csv``, one a run and a fold.

    Arguments
    ---------
    results : petl_modules.comparison.results.Results
        What was read.

    Returns
    -------
    list of dict
        What is not recorded is None.
    """
    keys = grid_keys(results)
    rows = []
    for one in results.folds:
        run = one.run
        what = {
            "run": run.folder,
            "dataset": run.dataset,
            "backbone": run.backbone,
            "method": run.method,
        }
        found = {
            "seed": run.seed,
            "fold": one.fold,
            "draw": one.draw,
            "metric": run.metric,
            "value": one.value,
            **{name: getattr(one, name) for name in RECORDED},
            "protocol": run.protocol,
        }
        values = {
            f"{key} (key)" if key in what or key in found else key: (
                results.settings.value(run.kind, run.settings, key)
            )
            for key in keys
        }
        rows.append({**what, **values, **found})
    return rows


def summary_rows(compared):
    """Return the rows of ``table.csv``, one a configuration.

    Arguments
    ---------
    compared : list of tuple
        A group, its baseline or None, and its differences by name.

    Returns
    -------
    list of dict
    """
    return [
        {
            "dataset": group.dataset,
            "backbone": group.backbone,
            "method": one.method,
            "configuration": one.name,
            "seeds": one.count("seed"),
            "folds": one.count("fold"),
            "draws": one.count("draw"),
            "metric": group.metric,
            "mean": one.mean(),
            "std": one.deviation(),
            **_paper(group, one),
            **{
                name: one.mean(name)
                for name in (
                    *("trainable_parameters", "petl_parameters"),
                    *("adapter_bytes", "seconds", "peak_memory_bytes"),
                )
            },
            **difference_values(group, differences.get(one.name)),
            "protocol": group.protocol,
        }
        for group, _, differences in compared
        for one in group.configurations
    ]


def _paper(group, one):
    """Return a paper's number in the metric's own unit, and where it stands."""
    unit, _, _ = group.unit
    known = one.paper is not None
    return {
        "paper": float(f"{float(one.paper['value']) / unit:.12g}")
        if known
        else None,
        "paper_source": source_of(one.paper) if known else None,
    }


def difference_rows(compared):
    """Return the rows of ``differences.csv``; see ``summary_rows``."""
    return [
        {
            "dataset": group.dataset,
            "backbone": group.backbone,
            "configuration": name,
            **difference_values(group, one),
            "n_test / n_train": one.ratio,
            "bootstrap of": one.clusters,
            "notes": "; ".join(one.notes),
            "protocol": group.protocol,
        }
        for group, _, differences in compared
        for name, one in differences.items()
    ]


def difference_values(group, one):
    """Return a difference as values by column; None where there is none.

    The difference is that of the metric: below 0 is better where a lower
    metric is. So are the intervals.
    """
    judged = one.judged if one else None
    low, high = interval(group, judged and (judged.low, judged.high))
    drawn = interval(group, one.drawn if one else None)
    return {
        "baseline": one.baseline if one else None,
        "pairs": one.pairs if one else None,
        "difference": one.mean if one else None,
        **{"low": low, "high": high},
        **{"bootstrap_low": drawn[0], "bootstrap_high": drawn[1]},
        **{
            name: getattr(judged, name) if judged else None
            for name in ("p_value", "p_better", "p_equal", "p_worse")
        },
        "verdict": one.verdict if one else None,
        "told_from": one.least if one else None,
    }


def interval(group, ends):
    """Return an interval of gains as one of the metric's differences."""
    if not ends:
        return None, None
    return ends if group.sign > 0 else (-ends[1], -ends[0])
