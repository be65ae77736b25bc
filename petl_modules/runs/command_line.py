"""Command line of a recipe: any key of its files, and SpeechBrain's options."""

from pathlib import Path

from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

from petl_modules.backbones import checkpoint_name
from petl_modules.runs.arguments import USAGE, read_value, split_arguments
from petl_modules.runs.checks import FOLDERS
from petl_modules.runs.layering import find_file, nearest, read_mapping
from petl_modules.runs.recipe_file import RecipeFile
from petl_modules.utils import HparamsError, noting

# Of a run's recipe file; an earlier version began it with other words
ORIGIN = "with its base and the command line"
HEAD = f"merged {ORIGIN}"
RUN_OPTIONS = [*HELP_TEXTS, "jit_module_keys", "compile_module_keys"]

REFUSED = {
    "fold": "train.py sets it for each of --folds",
    "labels": "the prepare script gives them",
    "test_only": "a fold is tested when it is trained, and its predictions "
    "are kept",
    "optimizer_step_limit": "use --number_of_epochs, which the schedule knows",
    "remove_vector_weight_decay": "weight decay is on everything trained",
    "jit": "the encoders cannot be scripted; use --compile True",
    "auto_mix_prec": "use --precision fp16 or bf16",
    "bfloat16_mix_prec": "use --precision bf16",
    "data_parallel_backend": "torchrun starts a process for each GPU",
}

HELP = f"""{USAGE}

HPARAMS.yaml     a file of hparams/; looked up here, then in the recipe's folder
--print_hparams  show the merged recipe file with all of its keys, and stop
--prepare_only   prepare the data, and stop
--any_key value  change a key of it, such as --data_folder DIR --folds [1,3]
--base           put another backbone's file at the bottom
run options      --device, --precision, --compile, --debug, ..."""


def run_options(file, options):
    """Parse SpeechBrain's run options with its own parser.

    Arguments
    ---------
    file : str
        The recipe file.
    options : dict
        From option to the words after it.

    Returns
    -------
    speechbrain.utils.run_opts.RunOptions

    Raises
    ------
    HparamsError
        If an option has too many values.
    """
    words = [file]
    defaults = RunOptions().as_dict()
    for key, given in options.items():
        if defaults[key] is False:  # a flag, to SpeechBrain's parser
            value = read_value(key, given or ["True"], False)
            words += [f"--{key}"] if value else []
        else:
            words += [f"--{key}", *given]
    _, found, rest = RunOptions.from_command_line_args(words)
    if rest:
        raise HparamsError(f"'{rest}' belongs to no option\n{USAGE}")
    return found


def override(recipe, options):
    """Write the command line's values into a recipe file.

    Arguments
    ---------
    recipe : RecipeFile
        The recipe file; changed in place.
    options : dict
        From option to the words after it.

    Returns
    -------
    dict
        The options that are SpeechBrain's run options.

    Raises
    ------
    HparamsError
        If keys are unknown or values have the wrong type; names them all.
    """
    defaults, values, runs, mistakes = recipe.settings, {}, {}, []
    for key, given in options.items():
        with noting(mistakes):
            _refuse(key, defaults)
            if key in defaults:
                values[key] = read_value(key, given, defaults[key])
            else:
                runs[key] = given
    if mistakes:
        raise HparamsError(*mistakes)
    recipe.update(values)
    return runs


def _refuse(key, defaults):
    """Refuse an option that is neither a key of the file nor a run option."""
    if key in REFUSED:
        raise HparamsError(f"--{key} is not for this recipe: {REFUSED[key]}")
    if key not in defaults and key not in RUN_OPTIONS:
        keys = [k for k in defaults if k[:2] != "__" and k not in REFUSED]
        raise HparamsError(
            f"unknown key --{key}"
            + nearest(key, [*keys, *RUN_OPTIONS])
            + " A recipe's command shows all of its keys with --print_hparams"
        )


def _refuse_unused(path, base, recipe, options):
    """Refuse a base and a backbone that would change nothing."""
    if base is not None and "data_folder" in read_mapping(path):
        raise HparamsError(
            f"{path.name} is complete, so --base {base} would change nothing: "
            "leave it out, or name a method's file such as hparams/lora.yaml"
        )
    if "backbone" in options and recipe.tree["backbone"] is None:
        raise HparamsError(
            f"{path.name} trains a model from scratch, without a backbone: "
            "leave --backbone out, or name another file"
        )


def compose(arguments, folder):
    """Merge recipe files and command line into one recipe file.

    Arguments
    ---------
    arguments : list of str
        The command line without the script.
    folder : pathlib.Path
        The recipe's folder. Files are searched for in the working directory
        first, then here.

    Returns
    -------
    tuple
        The ``RecipeFile`` and SpeechBrain's run options. The keys ``method``
        (the file's stem) and ``backbone_name`` are set, and paths of folders
        are absolute.

    Raises
    ------
    HparamsError
        If a key is unknown, a value has the wrong type, or a file is
        missing.
    """
    file, options = split_arguments(arguments)
    places = [Path.cwd(), folder, folder / "hparams"]
    path = find_file(file, places)
    home = path.resolve().parents[1]
    if home != folder.resolve() and (home / "train.py").is_file():
        raise HparamsError(
            f"{path} belongs to another recipe: start {home / 'train.py'}, or "
            f"name the file in {folder / 'hparams'}"
        )
    base = None
    if "base" in options:
        base = read_value("base", options.pop("base"), "ast.yaml")
        if not isinstance(base, str):
            raise HparamsError(f"--base takes a file name, not {base}")
    recipe = RecipeFile.read(path, base, places)
    if "data_folder" not in recipe.tree:
        raise HparamsError(
            f"{path} has no key 'data_folder': does it lack its base, such as "
            "'base: ast.yaml'?"
        )
    if "backbone" not in recipe.tree:  # a model is trained from scratch
        recipe.update({"backbone": None})
    recipe.update({"method": path.stem})
    _refuse_unused(path, base, recipe, options)
    runs = override(recipe, options)
    form = {"backbone": (str, None), "data_folder": str}
    recipe.require(form, path.name)
    filled_in = _absolute_paths(recipe.settings)
    backbone = recipe.settings["backbone"]
    if backbone and "backbone_name" not in options:
        filled_in["backbone_name"] = checkpoint_name(backbone)
    recipe.update(filled_in)
    recipe.tree.yaml_set_start_comment(f"{path.name}, {HEAD}\n\n")
    return recipe, run_options(file, runs)


def _absolute_paths(settings):
    """Return the keys that hold a local path, with absolute paths."""
    paths = {
        key: str(Path(value).expanduser())
        for key in FOLDERS
        if isinstance(value := settings.get(key), str) and value[:1] == "~"
    }
    data_folder = Path(settings["data_folder"]).expanduser().absolute()
    paths["data_folder"] = str(data_folder)
    if settings.get("table") is not None:
        table = Path(str(settings["table"]))
        if not table.exists() and (data_folder / table).exists():
            table = data_folder / table
        paths["table"] = str(table.absolute())
    backbone = settings["backbone"]
    if backbone and Path(backbone).is_dir():
        paths["backbone"] = str(Path(backbone).resolve())
    return paths
