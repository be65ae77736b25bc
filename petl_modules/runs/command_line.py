"""The command line of a recipe: any key of its files, and run options.

Authors
 * The PETL audio recipes team 2026
"""

from pathlib import Path

from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

from petl_modules.runs.recipe_file import (
    dump_yaml,
    find_file,
    merge,
    nearest,
    parse_yaml,
    resolve,
)
from petl_modules.utils import HparamsError

RUN_OPTIONS = [*HELP_TEXTS, "jit_module_keys", "compile_module_keys"]


REFUSED = {
    "fold": "train.py sets it for each of --folds",
    "labels": "the prepare script gives them",
    "test_only": "a fold is tested when it is trained, and its predictions "
    "are kept",
    "optimizer_step_limit": "use --number_of_epochs, which the schedule knows",
    "remove_vector_weight_decay": "weight decay is on everything trained",
}


USAGE = (
    "usage: train.py HPARAMS.yaml [--base BASE.yaml] [--print_hparams] "
    "[--any_key value ...] [SpeechBrain's run options]"
)


HELP = f"""{USAGE}

HPARAMS.yaml     a file of hparams/; looked up here, then in the recipe's folder
--print_hparams  show the merged recipe file with all of its keys, and stop
--any_key value  change a key of it, such as --data_folder DIR --folds [1,3]
--base           put another backbone's file at the bottom
run options      --device, --precision, --compile, --debug, ..."""


def split_arguments(arguments):
    """Splits a command line at its options.

    ``--key value``, ``--key=value`` (a value may hold further ``=``) and
    ``--flag`` are understood.

    Arguments
    ---------
    arguments : list of str
        The command line without the script.

    Returns
    -------
    tuple
        The recipe file, and from option to its list of values.

    Raises
    ------
    HparamsError
        If there is no recipe file or an option stands twice.

    Example
    -------
    >>> split_arguments(["a.yaml", "--x=1=2", "--folds", "[1,", "3]", "--debug"])
    ('a.yaml', {'x': ['1=2'], 'folds': ['[1,', '3]'], 'debug': []})
    """
    if not arguments or arguments[0].startswith("-"):
        raise HparamsError(f"no recipe file was named\n{USAGE}")
    file, *rest = arguments
    options = {}
    for argument in rest:
        if argument.startswith("--"):
            key, equals, value = argument[2:].partition("=")
            if key in options:
                raise HparamsError(f"--{key} stands twice")
            options[key] = values = [value] if equals else []
        elif options:
            values.append(argument)
        else:
            raise HparamsError(
                f"'{argument}' is no option: write --key value\n{USAGE}"
            )
    return file, options


def read_value(key, given, default):
    """A value of the command line, checked against what it replaces.

    Arguments
    ---------
    key : str
        Its key.
    given : list of str
        The words behind ``--key``.
    default : object
        The value in the recipe file.

    Returns
    -------
    object

    Raises
    ------
    HparamsError
        If there is no value, or one of another type than the default.
    """
    if not given:
        raise HparamsError(f"--{key} lacks its value")
    text = " ".join(given)
    if isinstance(default, list) and not text.startswith("["):
        text = f"[{', '.join(text.replace(',', ' ').split())}]"
    if isinstance(default, str) and not text.startswith("!"):
        if len(given) > 1:
            raise HparamsError(
                f"--{key} takes one value; '{given[1]}' is one too many "
                "(quote values with spaces)"
            )
        return text
    value = parse_yaml(text, f"the value of --{key}")
    kinds = {
        bool: (bool, "True or False"),
        int: (int, "a whole number"),
        float: ((int, float), "a number"),
        list: (list, "a list, such as [1,3]"),
    }
    for kind, (accepted, words) in kinds.items():
        if isinstance(default, kind):
            right = isinstance(value, accepted)
            right &= isinstance(value, bool) == (kind is bool)
            if not right:
                raise HparamsError(f"--{key} takes {words}, not '{text}'")
            break
    return value


def run_options(file, options):
    """SpeechBrain's run options, by its own parser.

    Arguments
    ---------
    file : str
        The recipe file.
    options : dict
        From name to the words behind it.

    Returns
    -------
    speechbrain.utils.run_opts.RunOptions

    Raises
    ------
    HparamsError
        If an option has more values than it takes.
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


def override(tree, options, name):
    """Puts the command line's values into a recipe, in place.

    Arguments
    ---------
    tree : ruamel.yaml.CommentedMap
        The merged recipe.
    options : dict
        From name to the words behind it.
    name : str
        The recipe file, for the errors.

    Returns
    -------
    dict
        Those options that are SpeechBrain's run options.

    Raises
    ------
    HparamsError
        If a key is unknown or a value has the wrong type.
    """
    defaults = resolve(dump_yaml(tree))
    runs = {}
    for key, given in options.items():
        if key in REFUSED:
            raise HparamsError(
                f"--{key} is not for this recipe: {REFUSED[key]}"
            )
        if key in tree:
            tree[key] = read_value(key, given, defaults[key])
        elif key in RUN_OPTIONS:
            runs[key] = given
        else:
            keys = [k for k in tree if k[:2] != "__" and k not in REFUSED]
            raise HparamsError(
                f"unknown key --{key}"
                + nearest(key, [*keys, *RUN_OPTIONS])
                + f" --print_hparams shows those of {name}"
            )
    return runs


def compose(arguments, recipe):
    """One recipe text from files and command line.

    Arguments
    ---------
    arguments : list of str
        The command line without the script.
    recipe : pathlib.Path
        The recipe's folder; files are looked up in the working directory
        first, then here.

    Returns
    -------
    tuple
        The merged text with references unresolved, and SpeechBrain's run
        options. The keys ``method`` (the file's stem) and ``backbone_name``
        are filled in, and paths of folders made absolute.

    Raises
    ------
    HparamsError
        If a key is unknown, a value has the wrong type, or a file is
        missing.
    """
    file, options = split_arguments(arguments)
    folders = [Path.cwd(), recipe]
    path = find_file(file, [*folders, recipe / "hparams"])
    base = None
    if "base" in options:
        base = read_value("base", options.pop("base"), "ast.yaml")
    home = path.resolve().parents[1]
    if home != recipe.resolve() and (home / "train.py").is_file():
        raise HparamsError(
            f"{path} belongs to another recipe: start {home / 'train.py'}, or "
            f"name the file in {recipe / 'hparams'}"
        )
    tree = merge(path, base, [*folders, recipe / "hparams"])
    for key in ("backbone", "data_folder", "max_grad_norm"):
        if key not in tree:
            raise HparamsError(
                f"{path} has no key '{key}': does it lack its base, such as "
                "'base: ast.yaml'?"
            )
    runs = override(tree, options, path.name)
    if "method" not in options:
        tree["method"] = path.stem
    settings = resolve(dump_yaml(tree))
    if not settings["max_grad_norm"] > 0:
        raise HparamsError(
            f"max_grad_norm {settings['max_grad_norm']} must be above 0: "
            "SpeechBrain would turn all gradients round, or to zero. "
            "'.inf' clips nothing"
        )
    tree["data_folder"] = str(Path(settings["data_folder"]).absolute())
    if settings.get("table") is not None:
        table = Path(str(settings["table"]))
        if not table.exists():  # then in the data folder
            inside = Path(tree["data_folder"], table)
            table = inside if inside.exists() else table
        tree["table"] = str(table.absolute())
    if Path(settings["backbone"]).is_dir():
        tree["backbone"] = str(Path(settings["backbone"]).resolve())
    if "backbone_name" not in options:
        tree["backbone_name"] = Path(settings["backbone"]).resolve().name
    tree.yaml_set_start_comment(
        f"{path.name}, put together with its base and the command line\n\n"
    )
    return dump_yaml(tree), run_options(file, runs)
