"""A recipe's README, cut down to one method."""

import re
from fnmatch import fnmatch

END = """
## In this folder

- `hparams/{method}.yaml`: all settings; backbone: {backbone}
- `{script}`, `{prepare}`: training; checking and listing the data
- `extra_requirements.txt`: the package with encoders and methods,
  `pip install -r extra_requirements.txt`

Papers: [PETL of AST](https://arxiv.org/abs/2312.03694),
[Soft-MoA](https://arxiv.org/abs/2402.00828).
"""


def adapt_readme(readme, *, method, backbone, scripts, with_numbers):
    """Return a recipe's README with the rows of one method.

    Arguments
    ---------
    readme : str
        The recipe's README.
    method : str
        The stem of the method's file.
    backbone : str
        The exported file's backbone, in words.
    scripts : tuple of str
        The names of the script that trains and of the prepare script.
    with_numbers : bool
        Whether the README's numbers are those of this backbone.

    Returns
    -------
    str
    """
    text = readme.partition("\n## Adding a dataset")[0]  # the template's
    text = re.sub(
        r"\[([^]]+)\]\(\.\./[^)]*\)", r"\1", text
    )  # out of the folder
    text = re.sub(r"\bhparams/\w+\.yaml", f"hparams/{method}.yaml", text)
    text = re.sub(r" --base \w+\.yaml", "", text)  # the exported file has it
    files, kept = [f"{method}.yaml", *scripts], []
    for paragraph in text.rstrip().split("\n\n"):
        if paragraph.startswith("| file "):
            head, rule, *rows = paragraph.splitlines()
            rows = [x for x in rows if x.startswith(f"| `{method}.yaml` ")]
            if not with_numbers:
                rows = [
                    re.sub(r"(?<=\|) \d[\d.± ]*(?=\|)", " ", x) for x in rows
                ]
            if not re.search(r"\w", "".join(x.split("|", 2)[2] for x in rows)):
                del kept[-1]  # the line that introduces the table
                continue
            paragraph = "\n".join([head, rule, *rows])
        elif _is_of_other_files(paragraph, files):
            if kept[-1].endswith(":"):  # it introduces what goes
                del kept[-1]
            continue
        kept.append(paragraph)
    script, prepare = scripts
    end = END.format(
        method=method, backbone=backbone, script=script, prepare=prepare
    )
    return "\n\n".join(kept) + "\n" + end


def _is_of_other_files(paragraph, files):
    """Return whether a paragraph is of scripts or recipe files not in ``files``.

    Of the recipe files that it names, one is enough to keep it.

    Example
    -------
    >>> _is_of_other_files("`ecapa*.yaml` train from scratch", ["ecapa.yaml"])
    False
    >>> _is_of_other_files("python recipes/VoxCeleb1/identify.py", ["train.py"])
    True
    """
    names = re.findall(r"[\w*]+\.yaml\b", paragraph)
    found = (fnmatch(file, name) for name in names for file in files)
    scripts = {*re.findall(r"\w+\.py\b", paragraph)}
    return bool(scripts - {*files}) or (bool(names) and not any(found))
