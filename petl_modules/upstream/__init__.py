"""Write one method of a recipe as a recipe of SpeechBrain's own."""

from petl_modules.upstream.collect import export

__all__ = ["export"]
