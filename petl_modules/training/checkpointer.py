"""SpeechBrain's Checkpointer, with checkpoints that outlive a crash.

A checkpoint is written under another name, flushed to the disk, sealed with
the checksums of its files, and renamed. One that is not whole or was changed
since is left out, and the newest sound one is taken.

Authors
 * The PETL audio recipes team 2026
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
    """Flushes a checkpoint's files to the disk and writes their checksums.

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
    """Says what is wrong with a sealed checkpoint.

    Arguments
    ---------
    folder : pathlib.Path
        The checkpoint.

    Returns
    -------
    str or None
        None: it is sound.
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
    """Checkpoints that are whole or not there, and checked when read.

    ``speechbrain.utils.checkpoints.Checkpointer`` writes into the final
    folder, its meta file first: after a kill in mid-save the half-written
    folder would be the newest, and recovery would fail.

    Arguments
    ---------
    checkpoints_dir : str
        Where checkpoints go. Unfinished ones there are removed.
    recoverables : dict
        Objects to save, by name.
    """

    def __init__(self, checkpoints_dir, recoverables=None):
        super().__init__(checkpoints_dir, recoverables)
        self.known = {}  # from a checkpoint's folder to whether it is sound
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
        """As SpeechBrain's, sealed and renamed at the end."""
        saved = super().save_checkpoint(
            *args, verbosity=logging.DEBUG, **kwargs
        )
        ddp_barrier()  # all have written
        if saved is None:  # not the main process
            ddp_barrier()
            return None
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        seal(saved.path)
        saved.path.rename(final)
        flush_folder(final.parent)
        ddp_barrier()  # now all see it
        self.known[final] = True
        logger.log(verbosity, f"Saved a checkpoint in {final}")
        files = {n: final / p.name for n, p in saved.paramfiles.items()}
        return saved._replace(path=final, paramfiles=files)

    def _list_checkpoint_dirs(self):
        """Folders of sound checkpoints; a warning tells of the others."""
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

    def delete_checkpoints(
        self,
        *,
        num_to_keep=1,
        min_keys=None,
        max_keys=None,
        importance_keys=(ckpt_recency,),
        ckpt_predicate=None,
        verbosity=logging.INFO,
    ):
        """As SpeechBrain's, each out of sight before it is taken apart."""
        keys = [{"min_key": key} for key in min_keys or []]
        keys += [{"max_key": key} for key in max_keys or []]
        keys += [{"importance_key": key} for key in importance_keys]
        found, kept = {}, set()
        for key in keys:
            listed = self.find_checkpoints(ckpt_predicate=ckpt_predicate, **key)
            found.update({checkpoint.path: None for checkpoint in listed})
            kept.update(checkpoint.path for checkpoint in listed[:num_to_keep])
        ddp_barrier()  # nobody reads one any more
        if if_main_process():
            for path in found.keys() - kept:
                aside = self._aside(path)
                path.rename(aside)
                shutil.rmtree(aside)
                logger.log(verbosity, f"Deleted checkpoint in {path}")
        ddp_barrier()
