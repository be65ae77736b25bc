"""Recognition of speech: units, transcripts, CTC loss, decoders, error rates."""

from petl_modules.recognition.alignments import write_alignments
from petl_modules.recognition.decoders import (
    BeamDecoder,
    GreedyDecoder,
    make_decoder,
)
from petl_modules.recognition.evaluation import evaluate_sets
from petl_modules.recognition.loss import ctc_losses
from petl_modules.recognition.metrics import RecognitionMetrics, main_rate
from petl_modules.recognition.pieces import Pieces, train_pieces
from petl_modules.recognition.transcripts import (
    characters_of,
    make_labels,
    phones_of,
)
from petl_modules.recognition.units import BLANK, Units
from petl_modules.recognition.utterances import make_utterances

__all__ = [
    "BLANK",
    "BeamDecoder",
    "GreedyDecoder",
    "Pieces",
    "RecognitionMetrics",
    "Units",
    "characters_of",
    "ctc_losses",
    "evaluate_sets",
    "main_rate",
    "make_decoder",
    "make_labels",
    "make_utterances",
    "phones_of",
    "train_pieces",
    "write_alignments",
]
