"""What the Debian packages of recorded speech hold, read from their layout.

One function a package yields its recordings: the file, the voice, the language,
what is said where a text list or the file's name tells it, and the collection's
licence. A voice is one language of one collection, taken for one speaker; the
English and the Spanish prompts of Asterisk are spoken by one woman.

Functions import what is not of Python alone: the names are needed before it is
installed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

CC_BY_SA = "CC-BY-SA-3.0"
MIXED = "GPL-2.0-or-later"  # ktuberling: some files CC BY or CC0


@dataclass(frozen=True)
class Recording:
    """One recording of a package.

    Arguments
    ---------
    file : pathlib.Path
        The sound.
    collection : str
        ``asterisk``, ``klettres``, ``ktuberling`` or ``tuxpaint``.
    voice : str
        Whose voice it is, or "" for a sound that is no voice.
    language : str
        Code of the language, or "".
    text : str
        What is said, in the script of the language; "" if nothing tells it.
    english : str
        What is said or heard, in English, as far as the package tells: the
        name of the file or of the picture.
    licence : str
        SPDX identifier.
    """

    file: Path
    collection: str
    voice: str
    language: str
    text: str
    english: str
    licence: str


def asterisk(root):
    """Yield the prompts of a telephone exchange; texts are not in the package."""
    base = root / "usr/share/asterisk/sounds"
    # A folder is named as en_US_f_Allison
    for file in sorted(base.glob("*_*_*_*/**/*.wav")):
        folder, *rest = file.relative_to(base).with_suffix("").parts
        language, _, _, speaker = folder.split("_", 3)
        silent = rest[0] == "silence"
        tone = re.fullmatch("beep.*|.*tone", rest[-1])
        voice = "" if silent or tone else f"asterisk-{speaker}"
        yield Recording(
            file, "asterisk", voice, language, "", " ".join(rest), CC_BY_SA
        )


def klettres(root):
    """Yield letters and syllables, with the text of the list ``sounds.xml``."""
    base = root / "usr/share/klettres"
    for listing in sorted(base.glob("*/sounds.xml")):
        language = listing.parent.name
        for part, name, sound in _sounds(listing):
            if (file := base / sound).is_file():
                # A letter is spoken by its name, which no list tells
                text = name if part == "syllables" else ""
                yield Recording(
                    file,
                    "klettres",
                    f"klettres-{language}",
                    language,
                    text,
                    f"letter {name}" if part == "alphabet" else name,
                    "GPL-2.0-or-later",
                )


def ktuberling(root):
    """Yield words of children's pictures, named in English by the game."""
    base = root / "usr/share/ktuberling/sounds"
    for listing in sorted(base.glob("*.soundtheme")):
        language = listing.stem.split("@")[0]
        for _, name, sound in _sounds(listing):
            if (file := base / sound).is_file():
                english = re.sub("^(tv|egypt|moon|xmas|pizzeria)_", "", name)
                english = re.sub("[-_]", " ", english)
                yield Recording(
                    file,
                    "ktuberling",
                    f"ktuberling-{language}",
                    language,
                    english if language == "en" else "",
                    english,
                    MIXED,
                )


def tuxpaint(root):
    """Yield spoken names of pictures, with the pictures' lists of texts."""
    base = root / "usr/share/tuxpaint/stamps"
    for file in sorted(base.rglob("*.ogg")):
        found = re.fullmatch(r"(.+)_desc_([a-z]+)(\.ogg)?\.ogg", file.name)
        stem = found[1] if found else file.stem.removesuffix("_desc")
        english, texts = _captions(file.with_name(f"{stem}.txt"))
        language = found[2] if found else ""
        yield Recording(
            file,
            "tuxpaint",
            f"tuxpaint-{language}" if language else "",
            language,
            texts.get(language, ""),
            english or stem,
            "GPL-2.0-only",
        )


PACKAGES = {
    "asterisk-core-sounds-en-wav": asterisk,
    "asterisk-core-sounds-es-wav": asterisk,
    "asterisk-core-sounds-fr-wav": asterisk,
    "asterisk-core-sounds-ru-wav": asterisk,
    "asterisk-prompt-it-menardi-wav": asterisk,
    "klettres-data": klettres,
    "ktuberling-data": ktuberling,
    "tuxpaint-stamps-default": tuxpaint,
}


def _sounds(listing):
    """Yield part, name and file of each sound that a list names."""
    from petl_modules.utils import DataError, read_bytes

    content = read_bytes(listing, "take the package again")
    try:
        tree = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise DataError(
            f"{listing} is no list of sounds ({error}): take the package again"
        ) from error
    for parent in tree.iter():
        for entry in parent.findall("sound"):
            yield parent.tag, entry.get("name"), entry.get("file")


def _captions(path):
    """Return the English text of a picture and the texts by language."""
    from petl_modules.utils import read_bytes

    if not path.is_file():
        return "", {}
    content = read_bytes(path, "take the package again")
    first, *others = content.decode("utf-8", "replace").splitlines() or [""]
    split = (line.split(".utf8=", 1) for line in others if ".utf8=" in line)
    return first.strip(), {code: text.strip() for code, text in split}
