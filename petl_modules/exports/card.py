"""The README.md of an exported folder."""


def model_card(trained, use, notes=()):
    """Return the text of the card; ``use`` is a block of code."""
    return "\n\n".join(["# A trained model", use, *notes]) + "\n"
