import sys

import click
import pytest

from onyxstore.cli import screen
from onyxstore.cli.failures import guard
from onyxstore.errors import BadInput, StoreNotFound


def raising(error: BaseException):
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), ("words", 0)])
def test_an_act_that_ends_well_has_the_status_that_it_returns(returned, status):
    assert guard(lambda: returned) == status


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (StoreNotFound("/x"), 128, "onyx: no store in /x; make one with 'onyx init', or name one with -C DIR or --store PATH"),
        (BadInput("a\x1b[2J"), 128, "onyx: a\\x1b[2J"),
        (click.UsageError("No such thing. Did you mean this?"), 2, "onyx: no such thing; did you mean this?"),
        (click.BadParameter("not a number.", param_hint="-n"), 2, "onyx: invalid value for -n: not a number; see 'onyx --help'"),
        (click.ClickException("It broke.\nAll of it."), 1, "onyx: it broke; all of it"),
        (click.Abort(), 130, "onyx: interrupted"),
        (KeyboardInterrupt(), 130, "onyx: interrupted"),
        (MemoryError(), 128, "onyx: there is not enough memory for this"),
        (FileNotFoundError(2, "No such file", "a.yaml"), 128, "onyx: a.yaml: No such file"),
        (OSError(28, "No space left"), 128, "onyx: No space left"),
        (screen.NotWritten("No space left"), 128, "onyx: the output could not be written: No space left"),
        (KeyError("x"), 128, "onyx: KeyError: 'x'. This is a bug of onyx; with ONYX_TRACEBACK=1 it says where"),
        (RecursionError(), 128, "onyx: RecursionError. This is a bug of onyx; with ONYX_TRACEBACK=1 it says where"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, BaseException) else "",
)
def test_an_error_is_a_line_and_a_status(error, status, words, capsys, monkeypatch):
    monkeypatch.setattr(screen, "silence", lambda: None)
    assert (guard(raising(error)), *capsys.readouterr()) == (status, "", f"{words}\n")


@pytest.mark.parametrize("error", [screen.ReaderGone(), SystemExit(1)])
def test_a_reader_that_is_gone_hears_nothing(error, capsys, monkeypatch):
    monkeypatch.setattr(screen, "silence", lambda: None)
    assert (guard(raising(error)), *capsys.readouterr()) == (141, "", "")


def test_what_was_noted_on_an_error_is_said_after_it(capsys):
    error = BadInput("the first failed")
    error.add_note("and after it: the second")
    guard(raising(error))
    assert capsys.readouterr().err == "onyx: the first failed\nonyx: and after it: the second\n"


def test_a_traceback_comes_when_it_is_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("ONYX_TRACEBACK", "1")
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    guard(raising(BadInput("a thing")))
    assert capsys.readouterr().err.startswith("Traceback (most recent call last):\n")


def test_an_error_that_shows_when_the_output_is_flushed_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(screen, "flush", raising(screen.NotWritten("No space left")))
    monkeypatch.setattr(screen, "silence", lambda: None)
    assert (guard(lambda: 0), capsys.readouterr().err) == (128, "onyx: the output could not be written: No space left\n")
