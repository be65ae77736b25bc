"""Recognition of speech: units, transcripts, CTC loss, decoders, error rates."""

from petl_modules.recognition.alignments import write_alignments
from petl_modules.recognition.decoders import (
    BeamDecoder,
    GreedyDecoder,
    make_decoder,
)
from petl_modules.recognition.loss import ctc_losses
from petl_modules.recognition.metrics import RecognitionMetrics
from petl_modules.recognition.pieces import Pieces, train_pieces
from petl_modules.recognition.transcripts import (
    characters_of,
    make_labels,
    phones_of,
)
from petl_modules.recognition.units import BLANK, Units

__all__ = [
    "BLANK",
    "BeamDecoder",
    "GreedyDecoder",
    "Pieces",
    "RecognitionMetrics",
    "Units",
    "characters_of",
    "ctc_losses",
    "make_decoder",
    "make_labels",
    "phones_of",
    "train_pieces",
    "write_alignments",
]
