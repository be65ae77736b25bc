"""SpeechBrain's Checkpointer with atomic checkpoints and checksums.

A checkpoint is written under a temporary name, flushed to the disk, sealed
with the checksums of its files, and renamed. Incomplete or changed checkpoints
are ignored, and the latest intact one is loaded. The latest is that of the
largest epoch and step: clocks jump, and computers differ in theirs.
"""

import logging
import math
import shutil

from speechbrain.utils.checkpoints import Checkpointer, ckpt_recency
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.logger import get_logger

from petl_modules.utils import SEAL, find_damage, flush, seal

logger = get_logger(__name__)

UNFINISHED = "unfinished-"


def progress(checkpoint):
    """Return epoch and step of a checkpoint; the end of an epoch comes last.

    Arguments
    ---------
    checkpoint : speechbrain.utils.checkpoints.Checkpoint
        ``meta`` has ``epoch`` and, within an epoch, ``step``.

    Returns
    -------
    tuple

    Example
    -------
    >>> from speechbrain.utils.checkpoints import Checkpoint
    >>> within = Checkpoint("a", {"epoch": 2, "step": 9}, {})
    >>> progress(within) < progress(Checkpoint("b", {"epoch": 2}, {}))
    True
    """
    meta = checkpoint.meta
    return meta.get("epoch", 0), meta.get("step", math.inf)


class SafeCheckpointer(Checkpointer):
    """A Checkpointer with atomic checkpoints that are verified before use.

    ``speechbrain.utils.checkpoints.Checkpointer`` writes into the final
    folder, its meta file first: if the process is killed while it saves, the
    half-written folder is the newest one, and recovery fails.

    Arguments
    ---------
    checkpoints_dir : str
        Folder of the checkpoints. Unfinished ones there are removed.
    recoverables : dict
        Objects to save, by name.
    """

    def __init__(self, checkpoints_dir, recoverables=None):
        super().__init__(checkpoints_dir, recoverables)
        self.known = {}  # from a checkpoint's folder to whether it is intact
        if if_main_process():
            for folder in self.checkpoints_dir.glob(f"{UNFINISHED}*"):
                shutil.rmtree(folder)

    def _new_checkpoint_dirpath(self):
        return self._aside(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return self._aside(super()._custom_checkpoint_dirpath(name))

    @staticmethod
    def _aside(final):
        return final.with_name(UNFINISHED + final.name)

    def save_checkpoint(self, *args, verbosity=logging.INFO, **kwargs):
        """Save like ``Checkpointer.save_checkpoint``, then seal and rename."""
        saved = super().save_checkpoint(
            *args, verbosity=logging.DEBUG, **kwargs
        )
        ddp_barrier()  # all processes have written
        if saved is None:  # not the main process
            ddp_barrier()
            return None
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        seal(saved.path, _files(saved.path))
        saved.path.rename(final)
        flush(final.parent)
        ddp_barrier()  # now all processes see the checkpoint
        self.known[final] = True
        logger.log(verbosity, f"Saved a checkpoint in {final}")
        files = {n: final / p.name for n, p in saved.paramfiles.items()}
        return saved._replace(path=final, paramfiles=files)

    def _list_checkpoint_dirs(self):
        """Return the folders of intact checkpoints; warn about the others."""
        found = super()._list_checkpoint_dirs()
        for folder in found:
            if folder not in self.known:
                problem = _damage(folder)
                self.known[folder] = problem is None
                if problem:
                    logger.warning(
                        f"the checkpoint {folder} is damaged and left out: "
                        f"{problem}"
                    )
        return [folder for folder in found if self.known[folder]]

    def find_checkpoints(
        self, importance_key=None, max_key=None, min_key=None, **options
    ):
        """Find like ``Checkpointer.find_checkpoints``, the latest by progress.

        ``Checkpointer`` goes by the clock, here and when it deletes.
        """
        if importance_key is ckpt_recency or not (
            importance_key or max_key or min_key
        ):
            importance_key = progress
        return super().find_checkpoints(
            importance_key, max_key, min_key, **options
        )

    def delete_checkpoints(self, *, importance_keys=(ckpt_recency,), **options):
        """Delete like ``Checkpointer.delete_checkpoints``, each key once.

        A killed deletion leaves a folder without some of the sealed files,
        which is ignored as damaged.
        """
        # save_and_keep_only appends to a default list that its calls share
        keys = list(dict.fromkeys(importance_keys))
        super().delete_checkpoints(importance_keys=keys, **options)


def _files(folder):
    """Return the names of a checkpoint's files."""
    return {file.name for file in folder.iterdir()} - {SEAL}


def _damage(folder):
    """Return what is wrong with a checkpoint, or None."""
    try:
        return find_damage(folder, _files(folder))
    except OSError as error:  # it cannot be listed, or is gone
        return str(error)
