"""Plan the miniatures of environmental sounds: ESC-50 and UrbanSound8K.

Recordings never span two parts of a split.
"""

from functools import partial
from string import ascii_uppercase

import numpy as np

from petl_modules.miniatures.environment import synthesize
from petl_modules.miniatures.plan import Plan, csv_text

ESC50 = {
    "dog": 0,
    "rooster": 1,
    "rain": 10,
    "sea_waves": 11,
    "crackling_fire": 12,
    "crying_baby": 20,
    "sneezing": 21,
    "clock_tick": 38,
    "helicopter": 40,
    "chainsaw": 41,
}
URBANSOUND8K = {
    "air_conditioner": "air_conditioner",
    "car_horn": "car_horn",
    "children_playing": "children_playing",
    "dog_bark": "dog",
    "drilling": "drilling",
    "engine_idling": "engine_idling",
    "gun_shot": "gun_shot",
    "jackhammer": "jackhammer",
    "siren": "siren",
    "street_music": "street_music",
}
RATES = (16000, 22050, 44100, 48000)  # of UrbanSound8K, one after the other


def esc50(seed, takes=3):
    """Plan clips of 5 s: ten classes, five folds, some takes a recording."""
    if not 1 <= takes <= len(ascii_uppercase):
        raise ValueError(f"takes is {takes}; choose a number from 1 to 26")
    plan, rows = Plan(), []
    for category, target in ESC50.items():
        for fold in range(1, 6):
            source = 100000 + 10 * target + fold
            for take in ascii_uppercase[:takes]:
                name = f"{fold}-{source}-{take}-{target}.wav"
                rows.append([name, fold, target, category, True, source, take])
                draw = partial(synthesize, category, seconds=5.0, rate=44100)
                plan.sounds[f"audio/{name}"] = 44100, draw
    columns = "filename,fold,target,category,esc10,src_file,take".split(",")
    plan.texts["meta/esc50.csv"] = csv_text(columns, sorted(rows))
    return plan


def urbansound8k(seed):
    """Plan 200 clips of 1 to 3 s in ten classes and ten folds.

    Each recording gives two clips.
    """
    rng = np.random.default_rng((seed, 8))
    plan, rows = Plan(), []
    for number, (label, sound) in enumerate(URBANSOUND8K.items()):
        for fold in range(1, 11):
            recording = 100000 + 100 * number + fold
            rate = RATES[(number + fold) % len(RATES)]
            for take in range(2):
                seconds = round(rng.uniform(1.0, 3.0), 2)
                name = f"{recording}-{number}-0-{take}.wav"
                times = [4.0 * take, 4.0 * take + seconds]
                row = [name, recording, *times, 1, fold, number, label]
                rows.append(row)
                draw = partial(synthesize, sound, seconds=seconds, rate=rate)
                plan.sounds[f"audio/fold{fold}/{name}"] = rate, draw
    columns = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    table = csv_text(columns.split(","), rows)
    plan.texts["metadata/UrbanSound8K.csv"] = table
    return plan
