"""The card of an exported model."""


def model_card(trained, use, notes=()):
    """Return the text of README.md."""
    return "\n\n".join([f"# {trained.settings['method']}", use, *notes, ""])
