"""SpeechBrain's Checkpointer with atomic checkpoints and checksums.

A checkpoint is written under a temporary name, flushed to the disk, sealed
with the checksums of its files, and renamed. Incomplete or changed checkpoints
are ignored, and the newest intact one is loaded.
"""

import hashlib
import json
import logging
import os
import shutil

from speechbrain.utils.checkpoints import Checkpointer, ckpt_recency
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.logger import get_logger

from petl_modules.utils import flush_folder, write_json

logger = get_logger(__name__)

UNFINISHED = "unfinished-"
SEAL = "checksums.json"


def seal(folder):
    """Flush a checkpoint's files to the disk and write their checksums.

    Arguments
    ---------
    folder : pathlib.Path
        The checkpoint.
    """
    sums = {}
    for file in sorted(set(folder.iterdir()) - {folder / SEAL}):
        with open(file, "rb") as stream:
            sums[file.name] = hashlib.sha256(stream.read()).hexdigest()
            os.fsync(stream.fileno())
    write_json(folder / SEAL, sums)


def damage(folder):
    """Return the damage of a sealed checkpoint.

    Arguments
    ---------
    folder : pathlib.Path
        The checkpoint.

    Returns
    -------
    str or None
        What is wrong. None: the checkpoint is intact.
    """
    try:
        sums = json.loads((folder / SEAL).read_bytes())
        if {file.name for file in folder.iterdir()} != {SEAL, *sums}:
            return "files are missing or were added"
        for name, expected in sums.items():
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if found != expected:
                return f"{name} was changed or cut"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return str(error)
    return None


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
        seal(saved.path)
        saved.path.rename(final)
        flush_folder(final.parent)
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
                problem = damage(folder)
                self.known[folder] = problem is None
                if problem:
                    logger.warning(
                        f"the checkpoint {folder} is damaged and left out: "
                        f"{problem}"
                    )
        return [folder for folder in found if self.known[folder]]

    def delete_checkpoints(self, *, importance_keys=(ckpt_recency,), **options):
        """Delete like ``Checkpointer.delete_checkpoints``, each key once.

        A killed deletion leaves a folder without some of the sealed files,
        which is ignored as damaged.
        """
        # save_and_keep_only appends to a default list that its calls share
        keys = list(dict.fromkeys(importance_keys))
        super().delete_checkpoints(importance_keys=keys, **options)
