"""Command lines that train a method on a miniature with a small backbone."""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BACKBONES = {
    "ast": ROOT / "pretrained" / "tiny-ast",
    "wav2vec2": ROOT / "pretrained" / "tiny-wav2vec2",
    "small-wav2vec2": ROOT / "pretrained" / "small-wav2vec2",
}
# 60 to 96 clips and a hidden size of 128 need other steps and widths than the
# real data. Soft-MoA's experts together are as large as one bottleneck adapter.
COMMON = {
    "allow_partial": True,
    "batch_size": 4,
    "number_of_epochs": 15,
    "augment": "!new:torch.nn.Identity {}",
    "num_workers": 0,
}
METHODS = {
    "linear": {"lr": 0.01, "number_of_epochs": 40},
    "layer_sum": {"lr": 0.01, "number_of_epochs": 40},
    "ladder": {"lr": 0.01},
    "attentive": {"lr": 0.01},
    "attentive_layers": {"lr": 0.01},
    "prototypes": {"lr": 0.01},
    "bitfit": {},
    "lora": {"lr": 0.02},
    "rslora": {"lr": 0.02},
    "lora_plus": {"lr": 0.005},
    "dora": {"lr": 0.02},
    "pissa": {"lr": 0.005},
    "hira": {"lr": 0.02},
    "gc_lora": {},
    "ia3": {"lr": 0.02},
    "ssf": {"lr": 0.01},
    "norms": {"lr": 0.01},
    "prefix": {},
    "prompt_shallow": {"prompts": 50},
    "prompt_deep": {"prompts": 10},
    "bottleneck": {"reduction": 4},
    "conformer": {"reduction": 8},
    "convpass": {"reduction": 8},
    "houlsby": {"reduction": 8},
    "adaptformer": {"reduction": 4},
    "mambadapter": {"reduction": 4},
    "dense_moa": {"reduction": 32},
    "soft_moa": {"reduction": 32},
    "dense_moa_lora": {"lr": 0.02},
    "soft_moa_lora": {"lr": 0.02},
    "full_finetuning": {"lr": 0.0005},
}
# Of speaker verification: clips are longer, and there are more of them
SPEAKER_METHODS = {
    "linear": {"lr": 0.01},
    "lora": {},
    "ipet": {"lr": 0.005, "prompts": 4, "reduction": 4},
    "bottleneck": {"lr": 0.001, "reduction": 4},
    "soft_moa": {"lr": 0.001, "reduction": 32},
    "ecapa": {"lr": 0.003, "number_of_epochs": 10, "channels": 64},
    "ecapa_partition": {
        "lr": 0.003,
        "number_of_epochs": 10,
        "channels": 64,
        "subsets": 4,
    },
}
# Of recognition: whole sentences, in batches of a number of seconds
SPEECH_COMMON = {
    "allow_partial": True,
    "batch_seconds": 16,
    "number_of_epochs": 18,
    "num_workers": 0,
}
SPEECH_METHODS = {
    "linear": {"lr": 0.01},
    "lora": {"lr": 0.02},
    "bottleneck": {"lr": 0.005, "reduction": 4},
}
SCRATCH = ("ecapa", "ecapa_partition")  # methods without a backbone
OWN_FILE = (
    "conformer",
    "convpass",
    "ipet",
)  # methods with another file for wav2vec 2.0


@dataclass
class Miniature:
    """Values that a miniature needs in its recipe's YAML files.

    Arguments
    ---------
    folder : str
        The dataset's usual name on the disk.
    seconds : float or None
        Length of a clip that is used. None: whole clips, which wav2vec 2.0
        alone takes.
    options : dict
        Further keys.
    speech : bool
        Whether the recipe has wav2vec 2.0 as well.
    cached : bool
        Whether features of a clip can be kept on the disk.
    methods : dict
        Further keys by method, the stem of a YAML file.
    common : dict
        Keys of all methods.
    """

    folder: str
    seconds: float
    options: dict
    speech: bool = True
    cached: bool = True
    methods: dict = field(default_factory=lambda: METHODS)
    common: dict = field(default_factory=lambda: COMMON)


MINIATURES = {
    "ESC50": Miniature(
        "ESC-50-master", 2.0, {"folds": "[1,2]", "few_shot": 6}, False
    ),
    "UrbanSound8k": Miniature(
        "UrbanSound8K", 2.0, {"folds": "[1,2]", "few_shot": 6}, False
    ),
    "GSC": Miniature("speech_commands_v0.02", 1.0, {"few_shot": 8}),
    "FSC": Miniature("fluent_speech_commands_dataset", 2.0, {}),
    "FSDD": Miniature(
        "free-spoken-digit-dataset", 1.0, {"folds": "[1,2]", "few_shot": 8}
    ),
    "GTZAN": Miniature("GTZAN", 2.0, {"test_windows": 4}, cached=False),
    "IEMOCAP": Miniature(
        "IEMOCAP_full_release", 2.0, {"folds": "[1,2]", "few_shot": 24}
    ),
}
VERIFICATION = {
    "VoxCeleb1": Miniature(
        "voxceleb1",
        2.0,
        {"valid_speakers": 4, "batch_size": 8, "embedding_size": 64},
        cached=False,
        methods=SPEAKER_METHODS,
    )
}
RECOGNITION = {
    "LibriSpeech": Miniature(
        "LibriSpeech",
        None,
        {},
        cached=False,
        methods=SPEECH_METHODS,
        common=SPEECH_COMMON,
    )
}
ALL = {**MINIATURES, **VERIFICATION, **RECOGNITION}


def trial(dataset, method, backbone="ast", **changes):
    """Return the command line of a trial.

    Arguments
    ---------
    dataset : str
        A key of ``ALL``.
    method : str
        A key of the miniature's ``methods``.
    backbone : str
        A key of ``BACKBONES``. A model without one leaves it out, and
        recognition has wav2vec 2.0 alone.
    **changes : object
        Further keys of the YAML file, with their values.

    Returns
    -------
    words : list of str
        For ``subprocess.run``.
    """
    miniature = ALL[dataset]
    kind = "wav2vec2" if miniature.seconds is None else backbone
    options = {
        "backbone": BACKBONES[kind],
        **miniature.common,
        **miniature.options,
        **miniature.methods[method],
    }
    script = ROOT / "recipes" / dataset / "train.py"
    return training(script, method, kind, miniature.seconds, options, changes)


def training(script, method, kind, seconds, options, changes):
    """Return the command line of a training.

    Arguments
    ---------
    script : pathlib.Path
        The ``train.py`` of a recipe or template.
    method : str
        The stem of one of its YAML files that AST has.
    kind : str
        A key of ``BACKBONES``. All but ``ast`` need the files of wav2vec 2.0.
    seconds : float or None
        Length of a clip that is used. None: whole clips.
    options : dict
        Keys of the YAML file, with their values.
    changes : dict
        Further ones, which prevail.

    Returns
    -------
    words : list of str
        For ``subprocess.run``.
    """
    options = {**options}
    if method in SCRATCH:
        del options["backbone"]
        options["seconds"] = seconds
    elif seconds is None:
        pass  # its files have wav2vec 2.0 as their base
    elif kind == "ast":
        options["frames"] = round(100 * seconds)
    else:
        options["seconds"] = seconds
        if method in OWN_FILE:
            method = f"{method}_wav2vec2"
        else:
            options["base"] = "wav2vec2.yaml"
    words = [sys.executable, str(script), f"hparams/{method}.yaml"]
    for key, value in {**options, **changes}.items():
        words += [f"--{key}", str(value)]
    return words


def command(dataset, method, data, output, backbone="ast", **changes):
    """Return the command line of a trial that writes below given folders.

    Arguments
    ---------
    dataset, method : str
        See ``trial``.
    data : pathlib.Path
        The folder that holds the miniatures, their manifests and features.
    output : pathlib.Path
        Where the run's results go.
    backbone : str
        A key of ``BACKBONES``.
    **changes : object
        See ``trial``.

    Returns
    -------
    words : list of str
        For ``subprocess.run``.
    """
    miniature = ALL[dataset]
    places = {
        "data_folder": data / miniature.folder,
        "manifest_folder": data / "manifests" / dataset,
        "output_folder": output,
    }
    if miniature.cached:
        places["feature_cache"] = data / "features"
    return trial(dataset, method, backbone, **places, **changes)


def shown(words):
    """Return a command as a user types it, with short paths."""
    here = f"{Path.cwd()}{os.sep}"
    return shlex.join(word.removeprefix(here) for word in words)
