"""The input of a trained model, by transformers' own feature extractors.

The one that a model needs is in its ``modeling_petl.py``.
"""

import numpy as np
import torch
from transformers import (
    ASTFeatureExtractor,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)


class PartsOfClips:
    """Take of a clip what was taken of those in training.

    ``longest`` samples from the beginning; with ``windows``, so many parts of
    that length from the beginning to the end, and a shorter clip is repeated.
    Both are keys of ``preprocessor_config.json``.
    """

    def __call__(self, raw_speech, **options):
        """Return the features of a clip, or of several."""
        if np.ndim(raw_speech[0]) == 0:
            raw_speech = [raw_speech]
        clips = [np.asarray(clip, np.float32) for clip in raw_speech]
        parts = [part for clip in clips for part in self.parts(clip)]
        found = self.extract(parts, **options)
        if (self.windows or 1) > 1:
            for key, value in found.items():
                value = np.stack(value) if isinstance(value, list) else value
                shape = (len(clips), self.windows, *value.shape[1:])
                found[key] = value.reshape(shape)
        return found

    def parts(self, clip):
        """Return the parts of a clip."""
        if self.windows is None:
            return [clip[: self.longest]]
        if len(clip) < self.longest:
            clip = np.resize(clip, self.longest)
        rest, last = len(clip) - self.longest, max(1, self.windows - 1)
        starts = [i * rest // last for i in range(self.windows)]
        return [clip[start : start + self.longest] for start in starts]

    def extract(self, clips, **options):
        """Return the library's features."""
        return super().__call__(clips, **options)


class PetlASTFeatures(PartsOfClips, ASTFeatureExtractor):
    """Filter banks, of a clip's first frames."""

    def parts(self, clip):
        """Return parts of at least one frame of 25 ms."""
        shortest = self.sampling_rate * 25 // 1000
        return [
            np.pad(part, (0, max(0, shortest - len(part))), mode="mean")
            for part in super().parts(clip)
        ]


class PetlWaveform(PartsOfClips, Wav2Vec2FeatureExtractor):
    """Samples."""

    def extract(self, clips, padding=True, max_length=None, **options):
        """Return samples of at least one frame."""
        if max(map(len, clips)) < self.shortest:
            padding, max_length = "max_length", self.shortest
        found = super().extract(
            clips, padding=padding, max_length=max_length, **options
        )
        for mask in found.get("attention_mask", ()):
            mask[: self.shortest] = 1  # this silence belongs to the clip
        return found


class PetlStackedFeatures(PartsOfClips, SeamlessM4TFeatureExtractor):
    """Stacked filter banks."""

    def extract(self, clips, **options):
        """Return features of at least two frames, normalised or not."""
        shortest = self.sampling_rate * 35 // 1000
        clips = [
            np.pad(clip, (0, max(0, shortest - len(clip)))) for clip in clips
        ]
        options.setdefault("do_normalize_per_mel_bins", self.do_normalize)
        return super().extract(clips, **options)


class PetlWhisperFeatures(PartsOfClips, WhisperFeatureExtractor):
    """Log-mel spectrograms, and which of their frames are real."""

    def extract(self, clips, **options):
        """Return the clips' own frames, and silence behind them."""
        found = super().extract(
            clips,
            max_length=self.longest,
            do_normalize=self.do_normalize,
            return_attention_mask=False,
            **options,
        )
        features = found["input_features"]
        found["input_features"] = features.swapaxes(1, 2)
        frames = features.shape[2]
        real = [min(frames, -(-(len(clip) + 200) // 160)) for clip in clips]
        mask = np.arange(frames) < np.array(real)[:, None]
        tensors = torch.is_tensor(features)
        found["attention_mask"] = torch.from_numpy(mask) if tensors else mask
        return found
