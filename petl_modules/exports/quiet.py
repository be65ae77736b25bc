"""Keep the terminal free of what libraries tell their developers."""

import contextlib
import logging
import warnings


@contextlib.contextmanager
def quiet():
    """Keep what an exporter logs and warns of from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
