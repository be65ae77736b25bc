"""From records with transcripts to the datasets of a fold."""

from functools import partial

import torch

from petl_modules.data import ClipDataset, load_features, longest_first
from petl_modules.utils import HparamsError

KEYS = ["id", "features", "said", "target", "count"]


def make_utterances(parts, data_folder, features, units):
    """Make SpeechBrain datasets of features and units.

    Arguments
    ---------
    parts : dict
        A ``Record`` by id, by part (see ``petl_modules.runs.plan.Fold``).
        Validation and test clips with a ``condition`` become datasets of
        their own, so that their error rates stand beside the others'.
    data_folder, features
        See ``petl_modules.data.load_features``; features of whole clips.
    units : petl_modules.recognition.Units
        What is recognised.

    Returns
    -------
    dict
        A ``ClipDataset`` for each part, such as ``train``, ``valid``, ``test``
        and ``test_<condition>``, with ``id``, ``features``, ``said`` (the text
        or its phones), ``target`` (``[count]``, the units' indices) and
        ``count`` (``[1]``). Clips to validate or test are sorted by duration,
        the longest first.

    Raises
    ------
    HparamsError
        All clips of a part have a condition, or features are of a part of a
        clip: audio must not be cut under its transcript.
    """
    if getattr(features, "longest", None):
        raise HparamsError(
            "features, in the recipe file, use a part of each clip, and "
            "transcripts are of whole ones: leave out their 'seconds'"
        )
    load = partial(load_features, features, data_folder)
    # No closures: spawned workers must be able to pickle the pipeline
    items = [
        {"func": load, "takes": "wav", "provides": "features"},
        {"func": str, "takes": units.key, "provides": "said"},
        {
            "func": partial(_encode, units),
            "takes": "said",
            "provides": "target",
        },
        {"func": _count, "takes": "target", "provides": "count"},
    ]
    return {
        part: ClipDataset(records, items, KEYS)
        for part, records in _by_condition(parts).items()
    }


def _by_condition(parts):
    """Return the parts, those to validate and test by condition."""
    found = {}
    for part, records in parts.items():
        if part == "train":  # the sampler orders it
            found[part] = records
            continue
        found[part] = {}
        for clip in longest_first(records):
            record = records[clip]
            condition = record.get("condition")
            name = f"{part}_{condition}" if condition else part
            found.setdefault(name, {})[clip] = record
        if not found[part]:
            raise HparamsError(
                f"all clips of the part '{part}' have a condition: its error "
                "rate needs clips without one"
            )
    return found


def _encode(units, said):
    return torch.tensor(units.encode(said))


def _count(target):
    return torch.tensor([len(target)])
