"""Parameter-efficient transfer learning of audio transformers."""

__version__ = "0.2.0"
