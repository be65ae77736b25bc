"""The encoder of Whisper behind the common interface.

https://arxiv.org/abs/2212.04356
"""

import torch
import torch.nn.functional as F
from torch import nn

from petl_modules.backbones.encoder_config import forward_settings
from petl_modules.backbones.masks import in_samples, mask_of_lengths
from petl_modules.backbones.pretrained import (
    fingerprint,
    load_pretrained,
    refuse_to_save,
)
from petl_modules.backbones.sites import Sites
from petl_modules.blocks import ForwardContext
from petl_modules.utils import HparamsError

RATE = 100  # input frames in a second; the encoder's are half as many


class Whisper(nn.Module):
    """The encoder of Whisper, https://arxiv.org/abs/2212.04356.

    Every clip is followed by silence up to a fixed length, which the encoder
    sees (it was trained so, at 30 s); the mask says which frames are the
    clip's. A shorter length takes the first positions, and costs less.

    Arguments
    ---------
    source : str
        Hub name or local folder, of a whole Whisper.
    seconds : float or None
        The fixed length. None or ``.inf``: the checkpoint's own, 30 s.

    Raises
    ------
    HparamsError
        See ``load_pretrained``; if ``seconds`` is longer than the
        checkpoint's own length, or shorter than a frame.

    Example
    -------
    >>> import tempfile, torch
    >>> from petl_modules.backbones import write_tiny_whisper
    >>> folder = tempfile.mkdtemp() + "/tiny-whisper"
    >>> write_tiny_whisper(folder)
    >>> backbone = Whisper(folder, seconds=2.0)
    >>> backbone(torch.rand(2, 90, 80)).shape
    torch.Size([2, 100, 128])
    """

    def __init__(self, source, seconds=None):
        super().__init__()
        self.model = load_pretrained(
            ("whisper",), source, encoder_layerdrop=0.0
        )
        config, positions = self.model.config, self.model.embed_positions
        self.frames = fixed_frames(seconds, config.max_source_positions)
        self.settings = {
            "kind": config.model_type,
            "d_model": config.hidden_size,
            "layers": config.encoder_layers,
            "weights": fingerprint(self.model),
            "config": forward_settings(config),
            "frames": self.frames,
        }
        config.max_source_positions = self.frames
        positions.num_embeddings = self.frames
        positions.weight = nn.Parameter(positions.weight[: self.frames].clone())
        self.sites = Sites(self.model)
        self.context = ForwardContext()
        self.model.save_pretrained = refuse_to_save  # positions are cut

    def mask(self, inputs, lengths=None):
        """Return the mask of a clip's own frames.

        Arguments
        ---------
        inputs : torch.Tensor
            Features ``[batch, frames, mel]``, padded.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor
            ``[batch, encoder frames]`` bool; of each clip at least one frame.
        """
        real = self._real(inputs, lengths)
        return mask_of_lengths((real + 1) // 2, self.frames)

    def _real(self, inputs, lengths):
        """Return how many input frames of each clip are its own."""
        if lengths is None:
            lengths = inputs.new_ones(inputs.shape[0])
        return in_samples(lengths, inputs).clamp(min=1)

    def forward(self, inputs, lengths=None):
        """Return the hidden states behind the final norm.

        Arguments
        ---------
        inputs : torch.Tensor
            Features ``[batch, frames, mel]``, see
            ``petl_modules.data.WhisperLogMel``; no longer than the fixed
            length.
        lengths : torch.Tensor or None
            Relative lengths, ``[batch]``. None: nothing is padded.

        Returns
        -------
        torch.Tensor
            ``[batch, encoder frames, d_model]``. Prompts, if there are any,
            are in front of the frames.

        Raises
        ------
        HparamsError
            If the features have another width, or are too long.
        """
        bins, longest = self.model.config.num_mel_bins, 2 * self.frames
        if inputs.dim() != 3 or inputs.shape[2] != bins:
            raise HparamsError(
                f"features are {tuple(inputs.shape)} (batch, frames, mel bins)"
                f", and this backbone takes {bins} mel bins"
            )
        if inputs.shape[1] > longest:
            raise HparamsError(
                f"a clip is {inputs.shape[1] / RATE} s long, and this backbone "
                f"takes {longest / RATE} s: 'seconds' of features and backbone "
                "must be the same"
            )
        real = mask_of_lengths(self._real(inputs, lengths), longest)
        filled = follow_by_silence(inputs, real.unsqueeze(2))
        return self.model(filled.transpose(1, 2)).last_hidden_state


def fixed_frames(seconds, longest):
    """Return the number of encoder frames of so many seconds.

    Arguments
    ---------
    seconds : float or None
        None or infinite: the longest.
    longest : int
        The checkpoint's own number of frames.

    Returns
    -------
    int

    Raises
    ------
    HparamsError
        If it is none of 1 to ``longest``.

    Example
    -------
    >>> fixed_frames(5.0, 1500), fixed_frames(None, 1500)
    (250, 1500)
    """
    if seconds is None or seconds == float("inf"):
        return longest
    frames = round(seconds * RATE / 2)
    if not 1 <= frames <= longest:
        raise HparamsError(
            f"seconds is {seconds}: this Whisper takes from {2 / RATE} s to "
            f"{2 * longest / RATE} s"
        )
    return frames


def follow_by_silence(features, real):
    """Pad features with what Whisper's features of silence are.

    8 powers of ten below the clip's loudest value, or at the floor of all
    values; see ``petl_modules.data.WhisperLogMel``.

    Arguments
    ---------
    features : torch.Tensor
        ``[batch, frames, mel]``.
    real : torch.Tensor
        ``[batch, longer frames, 1]`` bool, True for the clip's own.

    Returns
    -------
    torch.Tensor
        ``[batch, longer frames, mel]``.

    Example
    -------
    >>> features = torch.tensor([[[1.0], [0.5], [0.0]]])
    >>> real = torch.tensor([[[True], [True], [False], [False]]])
    >>> follow_by_silence(features, real).flatten().tolist()
    [1.0, 0.5, -1.0, -1.0]
    """
    added = real.shape[1] - features.shape[1]
    padded = F.pad(features, (0, 0, 0, added))
    loudest = padded.masked_fill(~real, -torch.inf).amax((1, 2), keepdim=True)
    return torch.where(real, padded, (loudest - 2.0).clamp(min=-1.5))
