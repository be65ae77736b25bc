"""The alignment file: what was said and what was recognised, word by word."""

import io

from speechbrain.dataio.wer import print_alignments, print_wer_summary
from speechbrain.utils.edit_distance import wer_details_for_batch, wer_summary

from petl_modules.utils import write_text


def write_alignments(file, rows):
    """Write the alignments of texts and predictions.

    The form is that of SpeechBrain: a summary, then for each clip the words,
    or phones, of the reference, the edit operations (``=``, ``S``, ``D``,
    ``I``), and what was recognised.

    Arguments
    ---------
    file : pathlib.Path
        The file to write.
    rows : list of dict
        See ``RecognitionMetrics.predictions``.
    """
    details = []
    for row in rows:  # one by one: folds may share ids
        facts = [[row["id"]], [row["text"].split()], [row["predicted"].split()]]
        details += wer_details_for_batch(*facts, compute_alignments=True)
    stream = io.StringIO()
    print_wer_summary(wer_summary(details), stream)
    print_alignments(details, stream)
    write_text(file, stream.getvalue())
