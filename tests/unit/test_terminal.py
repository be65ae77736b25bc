"""What is shown on the terminal, and what goes to the log file alone."""

import io
import json
import logging
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petl_modules import predict
from petl_modules.runs import plain_errors
from petl_modules.runs.logs import log_to
from petl_modules.utils import (
    AudioError,
    DataError,
    printable,
    show,
    show_json,
    terminal,
)

NASTY = "\x1b]0;pwned\x07\x1b[2J\r\n\u202e\u2028\udce9"
ESCAPED = r"\x1b]0;pwned\x07\x1b[2J\r\n\u202e\u2028\udce9"


@given(st.text() | st.text("\0\x1b\x85\x9b\r\n\u2028\u2066\ud800a"))
def test_nothing_that_acts_is_printed(text):
    kinds = {unicodedata.category(c) for c in printable(text)}
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"])))
def test_letters_and_signs_are_printed_as_they_are(text):
    assert printable(text) == text


def test_all_that_is_kept_is_said():
    assert printable(NASTY) == ESCAPED
    assert printable("a\nb\tc\r", keep="\n\t") == "a\nb\tc\\r"


def test_terminal_of_few_characters(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    show("caf\u00e9 \u96e8")
    stream.flush()
    assert stream.buffer.getvalue() == b"caf\\xe9 \\u96e8\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_read_back_from_any_terminal(encoding):
    content = {"text": "caf\u00e9 \u96e8 \U0001f600" + NASTY + "\x7f\x85"}
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show_json(content, stream)
    line = stream.buffer.getvalue().decode(encoding)
    assert line.count("\n") == 1 and line.endswith("\n")
    assert printable(line, keep="\n") == line
    assert json.loads(line) == content


def test_json_has_any_alphabet_as_it_is(capsys):
    show_json({"text": "\u0434\u0430 \u96e8"})
    assert capsys.readouterr().out == '{"text": "\u0434\u0430 \u96e8"}\n'


def test_other_processes_show_nothing(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "if_main_process", lambda: False)
    show("once is enough")
    assert capsys.readouterr().out == ""


def test_error_of_a_run_is_escaped():
    with pytest.raises(SystemExit) as end, plain_errors():
        raise DataError("two files:\n  a\x1b[2J.wav")
    assert end.value.code == "error: two files:\n  a\\x1b[2J.wav"


class Named:
    """A classifier of one class with a nasty name."""

    folder, labels = "run" + NASTY, [NASTY]

    def __init__(self, *_):
        pass

    def each(self, sounds, batch_size):
        for name, _ in sounds:
            if "bad" in name:
                yield name, AudioError(f"{name}: empty")
                continue
            warning = "cut" + NASTY[:-1]  # workers of pytest send no surrogates
            logging.getLogger("petl_modules.inference.batches").warning(warning)
            yield name, np.ones(1)


def test_predict_escapes_names(monkeypatch, capsys):
    monkeypatch.setattr(predict, "Classifier", Named)
    with pytest.raises(SystemExit):
        predict.main(["run", "good" + NASTY, "bad" + NASTY])
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"model: run{ESCAPED}",
        f"good{ESCAPED}",
        f"  100.00%  {ESCAPED}",
    ]
    # A warning may have several lines
    kept = ESCAPED.removesuffix(r"\udce9").replace(r"\n", "\n")
    assert said.err == f"warning: cut{kept}\nerror: bad{ESCAPED}: empty\n"


@pytest.fixture
def logged(tmp_path):
    """Logs to a file as a run does, and puts the root logger back."""
    root = logging.getLogger()
    before, level = [*root.handlers], root.level
    yield log_to(tmp_path / "log.txt")
    for handler in {*root.handlers} - {*before}:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


RECORDS = [
    # logger, level, whether it is shown
    ("petl_modules.runs.experiment", logging.INFO, True),
    ("petl_modules.data.cache", logging.WARNING, True),
    ("petl_modules.training.checkpointer", logging.INFO, False),
    ("speechbrain.utils.train_logger", logging.INFO, True),
    ("speechbrain.core", logging.INFO, False),
    ("speechbrain.core", logging.WARNING, True),
    ("some.library", logging.DEBUG, False),
    ("py.warnings", logging.WARNING, False),
]


@pytest.mark.parametrize(("name", "level", "shown"), RECORDS)
def test_what_is_shown(name, level, shown, logged, capsys):
    logging.getLogger(name).log(level, "it\x1b[2J is %s", "so")
    said = capsys.readouterr()
    text = "it\\x1b[2J is so\n" * shown
    if level == logging.WARNING:
        assert said == ("", shown * "warning: " + text)
    else:
        assert said == (text, "")
    assert f"{name} - {logging.getLevelName(level)} - it" in logged.read_text()


def test_logging_moves_to_the_next_file(logged, tmp_path, capsys):
    logger = logging.getLogger("speechbrain.core")
    log_to(tmp_path / "next.txt")
    logger.warning("once")
    assert capsys.readouterr().err == "warning: once\n"
    assert "once" in (tmp_path / "next.txt").read_text()
    assert not logged.exists()


def test_full_disk_is_told_once(logged, tmp_path, capsys):
    (tmp_path / "full.txt").symlink_to("/dev/full")
    log_to(tmp_path / "full.txt")
    for _ in range(2):
        logging.getLogger("speechbrain.core").info("on")
    said = capsys.readouterr()
    assert said.err.count("no more is logged in") == 1
    assert "full.txt: [Errno 28] No space left" in said.err
    assert "Traceback" not in said.err


def test_closed_pipe_does_not_end_a_run(logged, monkeypatch, capsys):
    class Closed(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    logging.getLogger("petl_modules.runs.x").info("on")
    assert capsys.readouterr().err == ""
    assert "on" in logged.read_text()
