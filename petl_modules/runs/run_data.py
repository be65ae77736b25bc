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
from petl_modules.runs.folder_files import is_begun
from petl_modules.runs.interfaces import NEEDS, check_object
from petl_modules.runs.plan import Plan
from petl_modules.runs.run_folder import elsewhere, is_in_use
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
    data : dict or None
        The content of ``data.json``. None: this is not the main process.

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
    data = None
    if if_main_process():
        data = claim_data(folder, records, n_processes())
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
    return plan, labels, skipped, data


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

    Returns
    -------
    dict
        The content of ``data.json``.

    Raises
    ------
    HparamsError
        See ``check_data``.
    """
    data = {
        "clips": len(records),
        "data": data_digest(records),
        "processes": processes,
    }
    with alone_in(folder):
        check_data(folder, data)
    return data


def check_data(folder, data):
    """Write ``data.json``, or check that it is the same.

    Arguments
    ---------
    folder : pathlib.Path
        The run's folder, which this process has locked.
    data : dict
        The content.

    Raises
    ------
    HparamsError
        If the folder holds a run on other data, or with another number of
        processes, which changes the size of a step's batch.
    """
    file = folder / "data.json"
    if not is_in_use(folder) or not file.is_file():
        write_json(file, data)
        return
    remedy = "Delete it: the same command makes it again"
    theirs = read_json(file, DATA_FORM, remedy)
    lines = [
        f"  {key}: {theirs[key]} there, {data[key]} now"
        for key in data
        if theirs[key] != data[key]
    ]
    if lines:
        raise HparamsError(
            f"{folder} holds a run on other data or processes:\n"
            + "\n".join(lines)
            + f"\n{elsewhere(folder)}"
        )


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
