"""Use what was trained: open it, classify, embed, compare, transcribe."""

from importlib import import_module

# By name: the module that has it, imported when it is asked for
PLACES = {
    "AudioClassifier": "audio_classifier",
    "Embedder": "embedder",
    "TaskBank": "task_bank",
    "Transcriber": "transcriber",
    "Verifier": "embedder",
}

__all__ = [*PLACES]


def __getattr__(name):
    if name not in PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module = import_module(f"{__name__}.{PLACES[name]}")
    return getattr(module, name)
