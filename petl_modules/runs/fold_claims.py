"""Which folds a process trains: those that it has locked."""

from petl_modules.runs.fold_files import RESULT
from petl_modules.runs.folder_files import remove_leftovers
from petl_modules.runs.run_data import check_data
from petl_modules.runs.run_folder import claim_settings, fold_holders
from petl_modules.utils import HparamsError, alone_in, lock_folder


def claim_folds(file, text, data, plan):
    """Lock the folds of a plan that have no result yet.

    Before it, a process with other settings or data may have had the folder, if
    it began no fold: both are claimed again, under the same lock.

    Arguments
    ---------
    file, text
        See ``claim_folder``.
    data : dict
        See ``check_data``.
    plan : petl_modules.runs.plan.Plan
        The folds.

    Returns
    -------
    list of str
        Names of the folds that this process trains.

    Raises
    ------
    HparamsError
        If another process trains one of them: then none is locked. Or see
        ``claim_folder`` and ``check_data``.
    """
    folder = file.parent
    with alone_in(folder):
        claim_settings(file, text)
        check_data(folder, data)
        # Who finishes a fold writes the result, then unlocks it. So the lock is
        # looked at first: a fold with neither is nobody's
        others = fold_holders(folder)
        left = [
            f for f in plan.folds if not (folder / f.name / RESULT).exists()
        ]
        if any(fold.name in others for fold in left):
            raise HparamsError(_busy(folder, plan, left, others))
        for fold in left:
            hold_fold(folder / fold.name)
    return [fold.name for fold in left]


def hold_fold(folder):
    """Lock a fold's folder, which is made if it is missing.

    Arguments
    ---------
    folder : pathlib.Path
        The fold's folder.

    Raises
    ------
    HparamsError
        If another process has locked it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock_folder(folder)
    remove_leftovers(folder)


def _busy(folder, plan, left, others):
    """Return what to do if other processes train folds of the plan."""
    busy = [fold for fold in left if fold.name in others]
    lines = [f"  {fold.name}: {others[fold.name]}" for fold in busy]
    free = {fold.number for fold in left} - {fold.number for fold in busy}
    remedy = "name other folds with --folds"
    if free:
        numbers = ",".join(map(str, sorted(free)))
        remedy = f"train the others with --folds [{numbers}]"
    elif plan.n_folds == 1:
        remedy = "name another --output_folder"
    return (
        f"{folder}: folds of this run are in use by other processes:\n"
        + "\n".join(lines)
        + f"\nWait for their end, stop them, or {remedy}"
    )
