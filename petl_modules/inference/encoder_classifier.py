"""A trained classifier as the modules of SpeechBrain's ``EncoderClassifier``.

``python -m petl_modules.export RUN DIR --format speechbrain`` writes a
``hyperparams.yaml`` that names them.
"""

import torch
from speechbrain.dataio.encoder import CategoricalEncoder
from torch import nn

from petl_modules.backbones import in_samples
from petl_modules.data import window_features
from petl_modules.data.audio import resampled
from petl_modules.inference.prefetch import padded


class Unnormalised(nn.Module):
    """Pass samples on: what normalises them is in ``ClipEmbedding``."""

    def forward(self, samples, lengths=None):
        """Return the samples."""
        return samples


class ClipEmbedding(nn.Module):
    """Samples to pooled vectors, one for each window of a clip.

    The features are those of each clip alone, so that they, and what follows,
    do not depend on the others of a batch.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    features : callable
        See ``petl_modules.data.load_features``.
    windows : petl_modules.data.Windows
        Which parts of a clip are used.
    """

    def __init__(self, model, features, windows):
        super().__init__()
        self.model = model
        self.features = features
        self.windows = windows

    def forward(self, samples, lengths=None):
        """Return ``[batch, windows, width]``.

        Arguments
        ---------
        samples : torch.Tensor
            ``[batch, time]`` at the rate of the features, padded.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.
        """
        if lengths is None:
            lengths = samples.new_ones(len(samples))
        counts = in_samples(lengths, samples).tolist()
        clips = [
            window_features(self.windows, self.features, clip[:count])
            for clip, count in zip(samples.cpu(), counts)
        ]
        batch, relative = padded(clips)
        relative = None if relative is None else relative.to(samples.device)
        return self.windows.each(
            self.model.embed, batch.to(samples.device), relative
        )


class ClipClassifier(nn.Module):
    """Pooled vectors to the logarithms of the classes' probabilities.

    Arguments
    ---------
    model : petl_modules.models.TunedModel
        The model.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, embeddings):
        """Return ``[batch, 1, classes]`` for ``[batch, windows, width]``."""
        logits = self.model.head(embeddings).mean(1, keepdim=True)
        return logits.log_softmax(-1)


class OneChannel:
    """Average the channels, and convert the rate as in training.

    Arguments
    ---------
    sample_rate : int
        The wanted rate in Hz.

    Example
    -------
    >>> OneChannel(16_000)(torch.rand(44_100, 2), 44_100).shape
    torch.Size([16000])
    """

    def __init__(self, sample_rate):
        self.sample_rate = sample_rate

    def __call__(self, audio, sample_rate):
        """Return ``[time]`` for ``[time, channels]`` or ``[time]``."""
        if audio.dim() == 2:
            audio = audio.mean(1)
        samples = resampled(audio.cpu().numpy(), sample_rate, self.sample_rate)
        return torch.from_numpy(samples).to(audio.device)


def label_encoder(labels):
    """Return SpeechBrain's encoder of classes, in the order of the outputs.

    Arguments
    ---------
    labels : list of str
        Names of the classes.

    Returns
    -------
    speechbrain.dataio.encoder.CategoricalEncoder

    Example
    -------
    >>> label_encoder(["dog", "rain"]).decode_torch(torch.tensor([1]))
    ['rain']
    """
    encoder = CategoricalEncoder()
    encoder.expect_len(len(labels))
    encoder.update_from_iterable(labels, sequence_input=False)
    return encoder
