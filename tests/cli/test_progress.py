import io
import re
import sys
import threading

import pytest

from onyxstore.cli import progress
from onyxstore.cli.progress import working


class Terminal(io.StringIO):
    """Says when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.told.set()


def test_off_a_terminal_nothing_is_said(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    with working("thinking"):
        pass
    assert capsys.readouterr().err == ""


def test_what_is_quick_needs_no_word(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with working("thinking"):
        pass
    assert terminal.getvalue() == ""


def test_what_takes_long_is_said_and_the_line_is_taken_away_after_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "PATIENCE", 0.001)
    with working("thinking"):
        assert terminal.told.wait(30)
    assert re.fullmatch(r"(\rthinking … \d+ s)+\r\x1b\[K", terminal.getvalue())


def test_an_error_takes_the_line_away_too(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "PATIENCE", 0.001)

    def fail() -> None:
        with working("thinking"):
            terminal.told.wait(30)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert terminal.getvalue().endswith("\r\x1b[K")
