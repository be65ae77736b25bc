"""The features of a run as a feature extractor of transformers."""

from transformers import (
    ASTFeatureExtractor,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

from petl_modules.data import FilterBank, StackedFilterBank, Waveform
from petl_modules.utils import ExportError


def extractor_of(trained):
    """Return the library's feature extractor, to save.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        The trained model.

    Returns
    -------
    transformers.SequenceFeatureExtractor

    Raises
    ------
    ExportError
        If the library has no such features.
    """
    features = trained.features
    rate = {"sampling_rate": features.sample_rate}
    if type(features) is FilterBank:
        return ASTFeatureExtractor(
            num_mel_bins=features.mel_bins,
            max_length=features.frames,
            do_normalize=bool(features.normalize),
            mean=features.mean,
            std=features.std,
            **rate,
        )
    if type(features) is Waveform:
        config = trained.model.encoder.backbone.model.config
        group = getattr(config, "feat_extract_norm", "layer") == "group"
        return Wav2Vec2FeatureExtractor(
            do_normalize=bool(features.normalize),
            return_attention_mask=not group,
            **rate,
        )
    if type(features) is StackedFilterBank and features.normalize:
        return SeamlessM4TFeatureExtractor(
            feature_size=features.mel_bins,
            num_mel_bins=features.mel_bins,
            **rate,
        )
    raise ExportError(
        f"{trained.folder}: transformers has no feature extractor that makes "
        f"the features of its {type(features).__name__}. --format onnx, pt2 "
        "and speechbrain carry every model"
    )


def input_notes(trained):
    """Return what the library does otherwise than the run, as sentences.

    Arguments
    ---------
    trained : petl_modules.inference.trained_model.TrainedModel
        One with features of ``extractor_of``.

    Returns
    -------
    list of str
    """
    features, notes = trained.features, []
    rate = features.sample_rate
    if features.longest is not None:
        seconds = f"{features.longest / rate:.4g} s"
        notes.append(
            f"The run used the first {seconds} of a clip. "
            + (
                "The feature extractor cuts there, too."
                if type(features) is FilterBank
                else f"The class reads the whole clip: cut longer ones, "
                f"`samples[:{features.longest}]`."
            )
        )
    if trained.windows.test not in (1, "whole"):
        notes.append(
            f"The run averaged the outputs for {trained.windows.test} windows "
            "of a clip; the class reads one."
        )
    notes.append(
        f"Give one channel. Other rates than {rate} Hz are resampled by "
        "torchaudio here, and by soxr in the run: probabilities may differ in "
        "the third digit."
    )
    if type(features) is Waveform:
        notes.append(
            "One clip a call: padding changes what transformers computes for "
            "a clip in a batch, if the encoder has a group norm or "
            "convolutions as positions. The run's own batches are exact."
        )
    return notes
