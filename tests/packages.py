"""Debian packages of recorded speech, made in seconds: layout without voices."""

import subprocess

import numpy as np
import soundfile

from tools.speech_packages import PACKAGES

PROMPTS = "usr/share/asterisk/sounds"
LETTERS = "usr/share/klettres"
PICTURES = "usr/share/ktuberling/sounds"
STAMPS = "usr/share/tuxpaint/stamps"
VOICES = {
    "asterisk-core-sounds-en-wav": "en_US_f_Allison",
    "asterisk-core-sounds-es-wav": "es_MX_f_Allison",
    "asterisk-core-sounds-fr-wav": "fr_CA_f_June",
    "asterisk-core-sounds-ru-wav": "ru_RU_f_IvrvoiceRU",
    "asterisk-prompt-it-menardi-wav": "it_IT_f_Menardi",
}
SYLLABLES = """<klettres><language code="{0}"><alphabet>
<sound name="B" file="{0}/alpha/b.ogg" /></alphabet><syllables>
<sound name="BA" file="{0}/syllab/ba.ogg" />
<sound name="BE" file="{0}/syllab/be.ogg" />
<sound name="SEIS" file="{0}/syllab/seis.ogg" />
<sound name="BO" file="{0}/syllab/absent.ogg" />
</syllables></language></klettres>"""
SPELT = ("cs", "es", "it", "ru")  # languages with syllables
THEME = """<language code="fr">
<sound name="tv_car" file="fr/voiture.wav" /></language>"""
CAPTIONS = {
    "cat": "A cat.\nru.utf8=Кошка.\nfr.utf8=Un chat.\n",
    "coin": "A 5 cent piece.\nru.utf8=Монета.\n",
}


def write_sound(path, number, seconds=0.4, rate=16000):
    """Write a sound of its own: noise between two pauses."""
    rng = np.random.default_rng(number)
    samples = np.zeros(round(seconds * rate))
    middle = slice(len(samples) // 4, len(samples) // 2)
    samples[middle] = rng.uniform(-0.3, 0.3, middle.stop - middle.start)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def write_tree(folder):
    """Write what the packages hold, unpacked: one folder a package."""
    sounds = {}
    for package, voice in VOICES.items():
        for name in ("hello", "digits/4", "beep", "silence/1"):
            sounds[f"{package}/{PROMPTS}/{voice}/{name}.wav"] = 8000
    for language in SPELT:
        for name in ("alpha/b", "syllab/ba", "syllab/be", "syllab/seis"):
            sounds[f"klettres-data/{LETTERS}/{language}/{name}.ogg"] = 44100
    sounds[f"ktuberling-data/{PICTURES}/fr/voiture.wav"] = 22050
    stamps = f"tuxpaint-stamps-default/{STAMPS}/animals"
    for name in ("cat", "cat_desc_ru", "cat_desc_fr", "coin_desc_ru"):
        sounds[f"{stamps}/{name}.ogg"] = 44100
    for number, (name, rate) in enumerate(sounds.items()):
        write_sound(folder / name, number, rate=rate)
    texts = {f"ktuberling-data/{PICTURES}/fr.soundtheme": THEME}
    for language in SPELT:
        name = f"klettres-data/{LETTERS}/{language}/sounds.xml"
        texts[name] = SYLLABLES.format(language)
    for stem, text in CAPTIONS.items():
        texts[f"{stamps}/{stem}.txt"] = text
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def write_packages(folder, tree):
    """Write the .deb files of a tree, and return them."""
    files = []
    for name in PACKAGES:
        control = tree / name / "DEBIAN" / "control"
        control.parent.mkdir()
        control.write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\n"
            "Maintainer: nobody <nobody@example.org>\nDescription: sounds\n"
        )
        file = folder / f"{name}_1_all.deb"
        words = ["dpkg-deb", "-Znone", "--root-owner-group", "-b"]
        subprocess.run(
            [*words, tree / name, file], check=True, capture_output=True
        )
        files.append(file)
    return files
