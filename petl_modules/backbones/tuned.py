"""Encoders that were fine-tuned to recognise speech."""

from petl_modules.backbones.checkpoint import find_checkpoint
from petl_modules.backbones.encoder_config import read_object
from petl_modules.backbones.hub import CONFIG
from petl_modules.utils import HparamsError


def refuse_tuned(source):
    """Refuse an encoder that was fine-tuned by CTC.

    It has seen transcripts, maybe those of the test's own corpus, as
    facebook/wav2vec2-base-960h has seen all of LibriSpeech's training parts.

    Arguments
    ---------
    source : str
        See ``petl_modules.backbones.find_checkpoint``.

    Raises
    ------
    HparamsError
        If its ``config.json`` says so; see also ``find_checkpoint``.
    DownloadError
        See ``find_checkpoint``.
    """
    checkpoint = find_checkpoint(source)
    names = read_object(checkpoint.folder / CONFIG).get("architectures")
    names = names if isinstance(names, list) else []
    if tuned := [name for name in names if str(name).endswith("ForCTC")]:
        raise HparamsError(
            f"backbone '{source}' is a {tuned[0]} (architectures in its "
            f"{CONFIG}): it was fine-tuned on transcripts, maybe on these, so "
            "it would show what it has learnt there, not what the method can "
            "do. Take one that has only heard speech, such as "
            "facebook/hubert-base-ls960 or facebook/wav2vec2-base. "
            "--allow_tuned_encoder True takes it nevertheless"
        )
