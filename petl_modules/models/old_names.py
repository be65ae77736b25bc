"""Names of earlier versions: the one table from old to new.

Checkpoints of format 1 and recipe files of that time are converted by it, so
that trained runs stay usable.
"""

import io
import re

import ruamel.yaml

# Last parts of tensor names, in the parameters of inserted blocks
TENSORS = {
    "a.weight": "lora_a.weight",
    "b.weight": "lora_b.weight",
    "down.weight": "down_proj.weight",
    "down.bias": "down_proj.bias",
    "up.weight": "up_proj.weight",
    "up.bias": "up_proj.bias",
    "experts.down": "experts.down_proj",
    "experts.down_bias": "experts.down_proj_bias",
    "experts.up": "experts.up_proj",
}

# YAML tags of what a trained run is made of, all within petl_modules
TAGS = {
    "adapters.Bottleneck": "blocks.Bottleneck",
    "adapters.ConvPass": "blocks.ConvPass",
    "adapters.Conformer": "blocks.Conformer",
    "features.FilterBank": "data.FilterBank",
    "features.Waveform": "data.Waveform",
    "insertion.Insert": "methods.Insert",
    "lora.LoRA": "methods.LoRA",
    "moa.DenseMoA": "blocks.DenseMoA",
    "moa.SoftMoA": "blocks.SoftMoA",
    "prompts.PrefixTuning": "methods.PrefixTuning",
    "prompts.PromptTuning": "methods.PromptTuning",
}

# What methods have got since, with what they did before
SINCE = {
    "Insert": {"layers": "all", "reads": "input", "share": []},
    "LoRA": {"layers": "all", "form": {"class": "LowRank"}},
    "PrefixTuning": {"layers": "all"},
    "PromptTuning": {
        "layers": "all",
        "replace_distillation": True,
        "init": "vpt",
    },
}

# One object did what encoder, pooling and head do now; accuracy selected
PARTS = """
best_metric: {name: accuracy, mode: max}
encoder: !new:petl_modules.models.TunedEncoder
    tokens: all
pool: !new:petl_modules.models.MeanPooling
head: !name:torch.nn.Linear
    out_features: !apply:len [!ref <labels>]
model: !new:petl_modules.models.TunedModel
    encoder: !ref <encoder>
    pooling: !ref <pool>
    head: !ref <head>
    must_match: {labels: !ref <labels>}
"""


def tensor_name(name):
    """Return today's name of a tensor in a checkpoint of format 1.

    Example
    -------
    >>> tensor_name("0.layers.1.query.a.weight")
    '0.layers.1.query.lora_a.weight'
    >>> tensor_name("head.weight")
    'head.weight'
    """
    if name.startswith(("backbone.", "head.")):
        return name
    front, *parts = name.rsplit(".", 2)
    last = ".".join(parts)
    return f"{front}.{TENSORS.get(last, last)}"


def upgrade_checkpoint(state, about):
    """Convert a checkpoint of format 1 to format 2.

    Arguments
    ---------
    state : dict
        Tensors by name.
    about : dict
        The file's metadata.

    Returns
    -------
    tuple of dict
        Both as today's version writes them.
    """
    old = about["settings"]
    settings = {
        "encoder": {
            "backbone": old["backbone"],
            "methods": old["methods"],
            "tokens": old["pooling"],
            "hidden_states": "last",
            "train_backbone": old["train_backbone"],
            "train_norms": old["train_norms"],
        },
        "pooling": {"class": "MeanPooling"},
        "head": {"class": "Linear", "out_features": len(old["labels"])},
        "must_match": {"labels": old["labels"]},
    }
    state = {tensor_name(name): value for name, value in state.items()}
    return state, {**about, "format": 2, "settings": settings}


def upgrade_methods(methods):
    """Return a checkpoint's methods with what they have got since.

    Arguments
    ---------
    methods : list of dict
        As ``petl_modules.models.settings.describe`` gives them.

    Returns
    -------
    list of dict
    """
    upgraded = []
    for method in methods:
        since = SINCE.get(method["class"], {})
        new = {key: since[key] for key in since if key not in method}
        upgraded.append({**method, **new})
    return upgraded


def is_old_recipe(text):
    """Tell whether an earlier version wrote a recipe file."""
    return re.search(r"^tuned_model:", text, re.MULTILINE) is not None


def upgrade_recipe(text):
    """Convert an earlier version's recipe file, as saved with a trained fold.

    Arguments
    ---------
    text : str
        The file's text.

    Returns
    -------
    str
        What the trained model is made of, under today's names; keys that
        only the training needs are left out. A file of today's version is
        returned as it is.
    """
    if not is_old_recipe(text):
        return text
    tags = "|".join(map(re.escape, TAGS))
    text = re.sub(
        rf"(:petl_modules\.)({tags})\b", lambda m: m[1] + TAGS[m[2]], text
    )
    yaml = ruamel.yaml.YAML()
    tree, parts = yaml.load(text), yaml.load(PARTS)
    old = tree["tuned_model"]
    labels = old.pop("labels")
    if "pooling" in old:
        old["tokens"] = old.pop("pooling")
    parts["encoder"].update(old)
    stream = io.StringIO()
    yaml.dump({"labels": labels, "features": tree["features"], **parts}, stream)
    return stream.getvalue()
