"""A recipe's README, cut down to one method."""

import re

END = """
## In this folder

- `hparams/{method}.yaml`: all settings, on `{backbone}`
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
        The backbone that the exported file names.
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
    kept = []
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
        kept.append(paragraph)
    script, prepare = scripts
    end = END.format(
        method=method, backbone=backbone, script=script, prepare=prepare
    )
    return "\n\n".join(kept) + "\n" + end
