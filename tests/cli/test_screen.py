import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.cli import screen
from onyxstore.cli.screen import Painted, coloured, line, plain, visible


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@given(st.text())
def test_nothing_that_a_terminal_would_obey_gets_through(text):
    shown = visible(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(("\x1b[2J", "\\x1b[2J"), ("a\nb\r\x9b", "a\\x0ab\\x0d\\x9b")),
        *(("\u202e", "\\u202e"), ("\udcff", "\\udcff"), ("\U000e0001", "\\U000e0001")),
    ],
)
def test_what_is_not_printable_is_written_out(text, shown):
    assert visible(text) == shown


def test_a_line_is_its_cells_with_or_without_their_colours():
    cells = line("commit ", Painted("abc\x07", "address"), "  ")
    assert (plain(cells), coloured(cells)) == ("commit abc\\x07", "commit \x1b[33mabc\\x07\x1b[0m  ")
    assert (plain(Painted("a", "bad")), coloured("a\x1b")) == ("a", "a\\x1b")


def test_colour_is_for_terminals_that_want_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    off_a_terminal = screen.has_colour()
    monkeypatch.setattr(sys, "stdout", Terminal())
    on_one = screen.has_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    unwanted = screen.has_colour()
    monkeypatch.setenv("NO_COLOR", "")
    not_unwanted = screen.has_colour()
    monkeypatch.setenv("TERM", "dumb")
    assert (off_a_terminal, on_one, unwanted, not_unwanted, screen.has_colour()) == (False, True, False, True, False)


def test_bytes_go_to_stdout_as_they_are_after_what_was_written_before(capfdbinary):
    screen.write(["one"])
    screen.write_bytes([b"\x1b\xff", memoryview(b"\n\r")])
    screen.flush()
    assert capfdbinary.readouterr().out == b"one\n\x1b\xff\n\r"


def test_data_goes_to_stdout_and_words_to_stderr(capsys):
    screen.write(["one", ["t", "wo"]])
    screen.say("three\x07")
    assert tuple(capsys.readouterr()) == ("one\ntwo\n", "three\\x07\n")


def test_data_on_a_terminal_has_colour(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    screen.write([Painted("finished", "good")])
    assert terminal.getvalue() == "\x1b[32mfinished\x1b[0m\n"


def test_what_the_encoding_lacks_is_written_out(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    screen.write(["损…"])
    screen.flush()
    assert stream.buffer.getvalue() == b"\\u635f\\u2026\n"


def test_a_closed_stdout_or_stderr_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    screen.write(["data"])
    screen.say("words")
    screen.flush()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_stdout_is_told_apart_from_a_reader_that_is_gone(monkeypatch):
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(screen.NotWritten, match="No space left"):
            screen.write(["data"])
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
