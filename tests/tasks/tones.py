"""Generated clips for the task: sequences of tones."""

from pathlib import Path

import numpy as np
import soundfile

from petl_modules.data.prepare import write_manifest
from tests.corpora import PITCHES, tone

UNITS = ["<blank>", "low", "middle", "high"]
PARTS = {"train": 12, "valid": 4, "test": 4}


def write_clip(folder, name, pitches, rng):
    """Write tones in a row, and return what a record says of the file."""
    silence = np.zeros(1600)
    parts = [(tone(rng, pitch, 0.25), silence) for pitch in pitches]
    sound = np.concatenate([piece for part in parts for piece in part])
    Path(folder).mkdir(parents=True, exist_ok=True)
    soundfile.write(Path(folder, f"{name}.wav"), sound, 16000)
    return {
        "wav": f"{{data_root}}/{name}.wav",
        "duration": len(sound) / 16000,
    }


def prepare_sequences(data_folder, manifest_folder):
    """Write clips of one to three tones; return manifest and units."""
    rng = np.random.default_rng(0)
    records = {}
    for part, count in PARTS.items():
        for index in range(count):
            units = rng.integers(1, 4, size=rng.integers(1, 4))
            name = f"{part}{index}"
            pitches = [PITCHES[unit - 1] for unit in units]
            records[name] = {
                **write_clip(data_folder, name, pitches, rng),
                "text": " ".join(UNITS[unit] for unit in units),
                "split": part,
            }
    manifest = Path(manifest_folder, "sequences.json")
    write_manifest(manifest, records)
    return str(manifest), UNITS
