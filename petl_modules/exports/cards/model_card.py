"""The model card of a trained model: ``README.md`` of an exported folder."""

import json

from petl_modules import __version__
from petl_modules.exports.cards.base import base_of
from petl_modules.exports.cards.markdown import inline
from petl_modules.exports.cards.results import results_section
from petl_modules.inference.trained_model import (
    CLASSIFICATION,
    RECOGNITION,
    VERIFICATION,
)

PIPELINES = {
    CLASSIFICATION: "audio-classification",
    RECOGNITION: "automatic-speech-recognition",
}
DOES = {
    CLASSIFICATION: "says which of {n} classes a sound is of",
    VERIFICATION: "says whether two recordings are of one speaker",
    RECOGNITION: "writes what is said, in {n} units",
}
LONGEST_LIST = 50  # labels that are named one by one


def model_card(trained, use, notes=(), library="petl_modules"):
    """Return the text of the model card.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.
    use : str
        A code block in Markdown with the lines that load the folder.
    notes : iterable of str
        Sentences about this format's limits and differences.
    library : str
        The library that loads it, by the hub's name.

    Returns
    -------
    str
        Markdown, with what the hub reads in front.
    """
    about = trained.about
    title = (
        f"{about.get('method', 'model')} for {about.get('dataset', 'audio')}"
    )
    does = DOES[trained.task].format(n=len(trained.labels))
    sections = {
        f"# {inline(title)}": [
            f"A model for {trained.task}: it {does}.",
            f"Trained with petl_modules {__version__}: a pretrained encoder "
            "with few weights of its own."
            if trained.base
            else f"Trained with petl_modules {__version__}, from scratch.",
        ],
        "## Use": [use.strip()],
        "## Base": _base(trained),
        "## Results": results_section(about),
        "## Size": _size(trained),
        "## Limits": [f"- {line}" for line in [*_limits(trained), *notes]],
    }
    parts = [_front_matter(trained, library)]
    for head, lines in sections.items():
        between = "\n" if head == "## Limits" else "\n\n"
        parts.append(f"{head}\n\n{between.join(lines)}")
    if trained.task == CLASSIFICATION:
        parts.append(f"## Classes\n\n{_classes(trained.labels)}")
    return "\n\n".join(parts) + "\n"


def loaded_as(trained, folder):
    """Return by which name the lines of a card open a folder.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The model.
    folder : pathlib.Path
        The folder that is written.

    Returns
    -------
    str
        A text of Python: the name on the hub, or the folder's.
    """
    return json.dumps(trained.shared_as or folder.name, ensure_ascii=False)


def _front_matter(trained, library):
    """Return the lines in front, which the hub reads: YAML."""
    base, about = base_of(trained), trained.about
    tags = ["audio", "petl", about.get("method"), about.get("dataset")]
    facts = {
        "license": base.licence,
        "library_name": library,
        "base_model": base.name if base.is_published else None,
        "pipeline_tag": PIPELINES.get(trained.task),
        "tags": [str(tag) for tag in tags if tag],
    }
    lines = [  # JSON is YAML
        f"{key}: {json.dumps(value)}" for key, value in facts.items() if value
    ]
    return "\n".join(["---", *lines, "---"])


def _base(trained):
    """Return the paragraphs about the frozen encoder."""
    base = base_of(trained)
    if base.name is None:
        return ["None: all weights were trained from scratch."]
    digest = trained.model.settings()["encoder"]["backbone"]["weights"]
    at = f" at commit `{base.revision}`" if base.revision else ""
    lines = [
        f"The encoder is `{base.name}`{at}; the SHA-256 of its weights begins "
        f"with `{digest[:12]}`. {base.terms()} The terms of the data that this "
        "model was trained on hold as well."
    ]
    if not trained.base_checked:
        lines.append(
            "Its name was given by hand, and the hub was not reached to "
            "compare its weights with those of the training; loading does."
        )
    elif not base.is_published:
        lines.append(
            "It was a folder of the machine that trained it, which others do "
            "not have."
        )
    return lines


def _size(trained):
    """Return the table of parameters."""
    counts = trained.model.count_parameters()
    kinds = {
        "all": counts["total_parameters"],
        "trained": counts["trainable_parameters"],
        "of these in the encoder": counts["petl_parameters"],
    }
    rows = [f"| {kind} | {count:,} |" for kind, count in kinds.items()]
    return ["\n".join(["| parameters | |", "|---|---:|", *rows])]


def _limits(trained):
    """Return sentences about what the model cannot do."""
    rate = trained.features.sample_rate
    longest = getattr(trained.features, "longest", None)
    whole = "whole recordings are read"
    if longest is not None:
        seconds = f"{longest / rate:.4g} s"
        count = trained.windows.test
        whole = (
            f"of a recording, the first {seconds} are heard"
            if count == 1
            else f"of a recording, {count} windows of {seconds} are heard"
        )
    yield f"Sound is read at {rate} Hz, one channel; {whole}."
    if trained.task == CLASSIFICATION:
        yield (
            "Silence, and a sound that is of none of the classes, get a class "
            "as well: the probabilities always sum to 1."
        )
    if trained.task == VERIFICATION:
        yield (
            f"Scores are made by `{trained.settings['scoring']}`; from "
            f"{trained.threshold:.4g} on, two recordings count as one "
            "speaker's. At this threshold both error rates were equal for the "
            "validation speakers; other rooms and microphones need another."
        )
        yield (
            "Voices are personal data: compare or store recordings of people "
            "only with their consent, and as the law allows."
        )
    yield (
        "The results are those of the data set's own test, and say little of "
        "other microphones, rooms and kinds of sound."
    )


def _classes(labels):
    """Return the names of the classes, or how many there are."""
    shown = ", ".join(map(inline, labels[:LONGEST_LIST]))
    more = len(labels) - LONGEST_LIST
    return shown + (f", and {more} more (`config.json`)" if more > 0 else "")
