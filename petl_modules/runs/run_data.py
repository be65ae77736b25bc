"""The data of a run: prepared, the same as those of its folder, and planned."""

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path

from speechbrain.utils.distributed import (
    ddp_barrier,
    if_main_process,
    run_on_main,
)
from speechbrain.utils.logger import get_logger

from petl_modules.data import Windows, used_part
from petl_modules.data.prepare import read_manifest, read_skipped
from petl_modules.runs.checks import check_arguments
from petl_modules.runs.interfaces import NEEDS, check_object
from petl_modules.runs.plan import Plan
from petl_modules.runs.run_folder import is_begun
from petl_modules.utils import (
    HparamsError,
    alone_in,
    n_processes,
    naming,
    read_json,
    write_json,
)

DATA_FORM = {
    "clips": range(1 << 53),
    "data": re.compile("[0-9a-f]{64}"),
    "processes": range(1, 1 << 53),
}

logger = get_logger(__name__)


def prepare_data(recipe, prepare, options, make_plan):
    """Prepare a run's data and plan its folds.

    Arguments
    ---------
    recipe : petl_modules.runs.RecipeFile
        The recipe file.
    prepare, options, make_plan
        See ``Experiment.prepare``.

    Returns
    -------
    plan : petl_modules.runs.plan.Plan
        The folds, and the protocol they follow.
    labels : list of str
        Class names, or what else the task learns from the data.
    skipped : list of str
        Clips that preparation has left out.

    Raises
    ------
    HparamsError
        If the prepare function has no such arguments, a plan cannot be made,
        or the folder holds a run on other data or another number of processes.
    """
    folder = Path(recipe.settings["output_folder"])
    check_arguments(prepare, options)
    check_object("plan", make_plan, NEEDS["plan"])
    if if_main_process() and not is_begun(folder):
        # Wrong methods are known before all audio is read
        recipe.make({"encoder"} & recipe.settings.keys())
    keys = {"test_features", "windows"} & recipe.settings.keys()
    made = recipe.make(["features", *keys])
    features, windows = made["features"], made.get("windows") or Windows()
    check_object("features", features, NEEDS["features"])
    cached = bool(recipe.settings.get("feature_cache"))
    windows.require(features, ["train"], cached)
    tested = made.get("test_features", features)
    windows.require(tested, ["valid", "test"], cached)
    if "features" in options and (windows.moving or windows.test == "whole"):
        options = {**options, "features": None}  # more than the beginning
    with _alone(recipe.settings.get("manifest_folder")):
        manifest, labels = run_on_main(prepare, kwargs=options)
    records = read_manifest(manifest)
    skipped = read_skipped(manifest)
    if if_main_process():
        claim_data(folder, records, n_processes())
    ddp_barrier()
    with naming("plan, in the recipe file"):
        plan = make_plan(records)
    if not isinstance(plan, Plan):
        raise HparamsError(
            f"plan, in the recipe file, made a {type(plan).__name__}: it "
            "must make a Plan, as petl_modules.runs.plan_folds does"
        )
    facts = [f"{len(records)} clips", plan.protocol]
    facts.append(used_part(records, features, windows))
    if skipped:
        facts.append(f"{len(skipped)} unreadable clips are left out")
    logger.info("; ".join(filter(None, facts)))
    return plan, labels, skipped


@contextlib.contextmanager
def _alone(folder):
    """Let no two runs prepare the same data at a time.

    The second one finds all done. A manifest that is there may be on a disk
    that cannot be written to.
    """
    if not folder or not if_main_process():
        yield
        return
    folder = Path(folder)
    with contextlib.suppress(OSError):  # preparing says what is wrong
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        yield
        return
    with alone_in(folder):
        yield


def claim_data(folder, records, processes):
    """Write a run's data hash and processes, or check that they are the same.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder.
    records : dict
        The manifest.
    processes : int
        Number of processes that train together.

    Raises
    ------
    HparamsError
        If the folder holds a run on other data, or with another number of
        processes, which changes the size of a step's batch.
    """
    ours = {
        "clips": len(records),
        "data": data_digest(records),
        "processes": processes,
    }
    file = folder / "data.json"
    if is_begun(folder) and file.is_file():
        remedy = "Delete it: the same command makes it again"
        theirs = read_json(file, DATA_FORM, remedy)
        lines = [
            f"  {key}: {theirs[key]} there, {ours[key]} now"
            for key in ours
            if theirs[key] != ours[key]
        ]
        if lines:
            raise HparamsError(
                f"{folder} holds a run on other data or processes:\n"
                + "\n".join(lines)
                + "\nName another --output_folder, or move that one away"
            )
    else:
        write_json(file, ours)


def data_digest(records):
    """Return the hash of a manifest by which a run knows its data.

    Arguments
    ---------
    records : dict
        The manifest.

    Returns
    -------
    str
        64 hex digits.
    """
    content = json.dumps(records, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
