"""Runs that were begun with other settings than the sweep file now says."""

import logging
from pathlib import Path

from petl_modules.comparison.settings import keys_of, value_of
from petl_modules.utils import listed

logger = logging.getLogger(__name__)

MOST = 10  # changes that are named
# A run's file has the commit of an encoder, which the plan does not know
UNKNOWN = {"backbone"}


class Changes:
    """Changes of settings since runs were begun.

    A run keeps its settings, and finished cells are not run again: who edits
    the file between two starts has to know. Runs that are not finished refuse
    other settings by themselves.
    """

    def __init__(self):
        self.folders = {}  # by text

    def look(self, folder, keys, given):
        """Compare a run with what it would be now.

        Arguments
        ---------
        folder : pathlib.Path
            The run's folder.
        keys : dict
            See ``petl_modules.comparison.settings.keys_of``.
        given : iterable of str
            Keys of the grid, which the folder's name tells.
        """
        try:
            text = Path(folder, "hyperparams.yaml").read_text("utf-8")
        except (OSError, ValueError):  # it has not begun, or says so itself
            return
        there = keys_of(text)
        for key in keys.keys() - {*given} - UNKNOWN:
            if keys[key] == there.get(key):
                continue
            now, before = value_of(keys[key]), value_of(there.get(key))
            # A run fills in what is null
            if now not in (before, "null"):
                text = f"{key}: {before} there, {now} now"
                self.folders.setdefault(text, []).append(folder)

    def tell(self):
        """Warn of the changes, each once."""
        if not self.folders:
            return
        lines = [
            f"{text}; runs: {len(folders)}, such as {folders[0]}"
            for text, folders in sorted(self.folders.items())
        ]
        logger.warning(
            "Runs were begun with other settings than the file has now, and "
            "keep them:\n%s\nTo have both, put the key into 'grid', or name "
            "another output_folder",
            listed(lines, MOST),
        )
