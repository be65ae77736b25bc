"""The miniatures, in the layouts of the datasets.

Each function plans a miniature: its sounds, each a function of a random
generator, and its tables. Sounds are synthesised only when they are written.
"""

from petl_modules.miniatures.environmental_sets import esc50, urbansound8k
from petl_modules.miniatures.music_sets import gtzan
from petl_modules.miniatures.sentences import librispeech
from petl_modules.miniatures.speakers import voxceleb1
from petl_modules.miniatures.speech_sets import fsc, fsdd, gsc, iemocap

LAYOUTS = {
    "ESC50": esc50,
    "UrbanSound8k": urbansound8k,
    "GSC": gsc,
    "FSC": fsc,
    "FSDD": fsdd,
    "GTZAN": gtzan,
    "IEMOCAP": iemocap,
    "VoxCeleb1": voxceleb1,
    "LibriSpeech": librispeech,
}
