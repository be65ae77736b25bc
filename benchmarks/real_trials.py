"""The trials of benchmarks/real.py: what is run, and its command lines."""

import common  # isort: skip, first: it prepares the path
from runs import UNORDERED, output_of
from speakers import UNTRAINED

from petl_modules.miniatures.trials import (
    COMMON,
    METHODS,
    SCRATCH,
    SPEAKER_METHODS,
    training,
)
from tools import real_voices

ENCODERS = {
    "tiny-ast": "ast",
    "tiny-wav2vec2": "wav2vec2",
    "small-wav2vec2": "wav2vec2",
}
SPEECH_ENCODERS = ("tiny-wav2vec2", "small-wav2vec2")
VOICES = "recorded_voices"
RECIPES = common.ROOT / "recipes"
TEMPLATE = common.ROOT / "templates" / "speaker_verification"
VOICE_METHODS = [m for m in SPEAKER_METHODS if m not in SCRATCH]
TASKS = {
    "digits": ([*ENCODERS], [*METHODS]),
    "sounds": (["tiny-ast"], [*METHODS]),
    "voices": ([*SPEECH_ENCODERS], ["untrained", *VOICE_METHODS]),
}
CHOICES = {
    "tasks": [*TASKS],
    "methods": [
        *dict.fromkeys(m for _, found in TASKS.values() for m in found)
    ],
    "encoders": [*ENCODERS],
}


def trials(tasks, encoders, methods, seeds):
    """Return the trials: task, encoder, method, positions, seed."""
    found = []
    for seed in seeds:
        for task in tasks:
            of, known = TASKS[task]
            for encoder in (x for x in of if x in encoders):
                for method in (x for x in known if x in methods):
                    ordered = "center_cut" if encoder == "tiny-ast" else ""
                    found.append((task, encoder, method, ordered, seed))
                    if ordered and method in UNORDERED:
                        found.append((task, encoder, method, "zeros", seed))
    return found


def command(trial, data, folder):
    """Return the command line of a trial, and the folder of its results.

    Arguments
    ---------
    trial : tuple
        See ``trials``.
    data : dict
        The data folder of each task.
    folder : pathlib.Path
        Where manifests, features and results go.
    """
    task, encoder, method, positions, seed = trial
    output = output_of(folder, trial)
    places = {
        "data_folder": data[task],
        "manifest_folder": folder / "manifests" / task,
        "output_folder": output,
        "seed": seed,
    }
    if positions:
        places["positions"] = positions
    options = {"backbone": common.ROOT / "pretrained" / encoder, **COMMON}
    if task == "voices":
        return voice_command(method, options, places), output
    options |= METHODS[method]
    if task == "digits":
        # 480 clips, not 60 to 96: about as many updates as on the miniatures
        options |= {
            "batch_size": 16,
            "number_of_epochs": options["number_of_epochs"] // 2,
        }
        script, seconds = RECIPES / "FSDD" / "train.py", 1.0
    else:
        # A validation part of 6 of 80 clips would select by chance
        options["fixed_epochs"] = True
        script, seconds = RECIPES / "ESC50" / "train.py", 5.0
    places["feature_cache"] = folder / "features"
    places["hidden_cache"] = folder / "hidden"
    words = training(
        script, method, ENCODERS[encoder], seconds, options, places
    )
    return words, output


def voice_command(method, options, places):
    """Return the command line of a training that verifies voices."""
    del options["allow_partial"]  # the template knows no number of clips
    options |= {
        "dataset": "recorded_voices",
        "trials": "trials.txt",
        "valid_speakers": f"[{','.join(real_voices.VALID)}]",
        "batch_size": 16,
        "number_of_epochs": 10,
        "embedding_size": 64,
    }
    if method == "untrained":
        method, changes = UNTRAINED["wav2vec2"]
        options |= {**changes, "number_of_epochs": 1}
    else:
        options |= SPEAKER_METHODS[method]
    script = TEMPLATE / "train.py"
    # Half the clips are shorter than 0.93 s, and would be repeated
    return training(script, method, "wav2vec2", 1.0, options, places)
