"""SpeechBrain's Checkpointer, with saves that a kill cannot leave half done.

Authors
 * The PETL audio recipes team 2026
"""

import logging
import shutil

from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

UNFINISHED = "unfinished-"


class AtomicCheckpointer(Checkpointer):
    """Writes a checkpoint under another name and renames it when complete.

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
        if if_main_process():
            for folder in self.checkpoints_dir.glob(f"{UNFINISHED}*"):
                shutil.rmtree(folder)

    def _new_checkpoint_dirpath(self):
        final = super()._new_checkpoint_dirpath()
        return final.with_name(UNFINISHED + final.name)

    def _custom_checkpoint_dirpath(self, name):
        final = super()._custom_checkpoint_dirpath(name)
        return final.with_name(UNFINISHED + final.name)

    def save_checkpoint(self, *args, verbosity=logging.INFO, **kwargs):
        """As SpeechBrain's, and renames at the end."""
        saved = super().save_checkpoint(
            *args, verbosity=logging.DEBUG, **kwargs
        )
        if saved is None:  # not the main process
            return None
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        saved.path.rename(final)
        logger.log(verbosity, f"Saved a checkpoint in {final}")
        files = {n: final / p.name for n, p in saved.paramfiles.items()}
        return saved._replace(path=final, paramfiles=files)
