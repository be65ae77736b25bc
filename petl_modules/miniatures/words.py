"""The miniatures' words and emotions, in the phones of ``phones.PHONES``."""

# Some words are another word reversed (no and on, four and off), or nearly so
# (two and eight, tree and right): a model without the order of time cannot
# distinguish them.
WORDS = {
    "eight": "et",
    "four": "fo",
    "no": "no",
    "off": "of",
    "on": "on",
    "right": "rayt",
    "tree": "tri",
    "two": "tu",
    "lamp": "lamp",
    "lights": "layts",
    "music": "myusik",
}
# The phones of these words as a lexicon writes them, vowels with their stress
ARPABET = {
    "a": "AA1",
    "e": "EH1",
    "i": "IY1",
    "o": "OW1",
    "u": "UW1",
    "f": "F",
    "k": "K",
    "l": "L",
    "m": "M",
    "n": "N",
    "p": "P",
    "r": "R",
    "s": "S",
    "t": "T",
    "y": "Y",
}
# The ten digits, as far as there are phones for them: three begins as free does
DIGITS = {
    "zero": "ziro",
    "one": "wan",
    "two": "tu",
    "three": "fri",
    "four": "fo",
    "five": "fayv",
    "six": "siks",
    "seven": "sev@n",
    "eight": "et",
    "nine": "nayn",
}

# Commands and their intents: action, object, location
COMMANDS = {
    "lights on": ("activate", "lights", "none"),
    "no lights": ("deactivate", "lights", "none"),
    "lamp on": ("activate", "lamp", "none"),
    "no lamp": ("deactivate", "lamp", "none"),
    "music on": ("activate", "music", "none"),
    "no music": ("deactivate", "music", "none"),
}
SENTENCES = ("no music on", "two lights on right", "off no lamp")
# By emotion, changes of the voice: level of the pitch, slope of the pitch from
# start to end and its swing (in log pitch), tempo, tension and breath
EMOTIONS = {
    "neu": (1.0, -0.10, 0.00, 1.00, 0.5, 1.0),
    "ang": (1.35, -0.45, 0.20, 1.20, 0.9, 0.7),
    "sad": (0.9, -0.15, -0.05, 0.75, 0.2, 3.0),
    "hap": (1.35, 0.45, 0.25, 1.05, 0.6, 1.0),
}


def phones_of(text):
    """Return the phones of a text of known words, with pauses between words.

    Example
    -------
    >>> phones_of("no lights")
    'no layts'
    """
    return " ".join(WORDS[word] for word in text.split())
