"""Plan a miniature of LibriSpeech: sentences that speakers read.

The text is known, and so are the phones: the lexicon has the words'
pronunciations in ARPAbet. Sentences are words in a random order, so that no
model of the language helps.
"""

from functools import partial

import numpy as np

from petl_modules.miniatures.plan import Plan
from petl_modules.miniatures.speech import RATE, draw_voice
from petl_modules.miniatures.speech_sets import NOISE, say
from petl_modules.miniatures.words import ARPABET, WORDS, phones_of

# By part: the first speaker's name, the number of speakers, the sentences of
# each as a share of the training's, and the signal-to-noise ratio in dB
PARTS = {
    "train-clean-100": (103, 8, 1, NOISE),
    "dev-clean": (1272, 4, 4, NOISE),
    "test-clean": (2300, 8, 5, NOISE),
    "test-other": (3528, 8, 5, (0, 10)),
}
CHAPTERS = 2  # of each speaker
WORDS_OF = (2, 4)  # words of a sentence, least and most


def librispeech(seed, sentences=40):
    """Plan 488 sentences of 28 speakers in four parts.

    Arguments
    ---------
    seed : int
        Seed of speakers and sentences.
    sentences : int
        Number of sentences of a training speaker; those of the other parts
        have a quarter or a fifth.

    Returns
    -------
    petl_modules.miniatures.plan.Plan
    """
    plan = Plan()
    for place, (part, (first, speakers, share, noise)) in enumerate(
        PARTS.items()
    ):
        for number in range(speakers):
            rng = np.random.default_rng((seed, 50, place, number))
            voice = draw_voice(rng, "FM"[number % 2])
            speaker = first + 16 * number
            lines = {}
            for take in range(-(-sentences // share)):
                chapter = 1240 + 1000 * place + 10 * number + take % CHAPTERS
                words = rng.choice(
                    [*WORDS], rng.integers(*WORDS_OF, endpoint=True)
                )
                text = " ".join(words)
                of_chapter = lines.setdefault(chapter, [])
                clip = f"{speaker}-{chapter}-{len(of_chapter):04}"
                of_chapter.append(f"{clip} {text.upper()}\n")
                draw = partial(say, phones_of(text), voice, noise=noise)
                folder = f"{part}/{speaker}/{chapter}"
                plan.sounds[f"{folder}/{clip}.flac"] = RATE, draw
            for chapter, texts in lines.items():
                folder = f"{part}/{speaker}/{chapter}"
                name = f"{speaker}-{chapter}.trans.txt"
                plan.texts[f"{folder}/{name}"] = "".join(texts)
    plan.texts["librispeech-lexicon.txt"] = "".join(
        f"{word.upper()}\t{' '.join(ARPABET[p] for p in phones)}\n"
        for word, phones in sorted(WORDS.items())
    )
    return plan
