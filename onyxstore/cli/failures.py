"""Errors as words and an exit status: the only place where that happens.

    0    done, also when a diff found differences
    1    'no', where that is the question: `fsck` found damage, `diff --exit-code` differences
    2    the command line says nothing that can be done
    128  there is no store, or something failed
    130  interrupted
    141  whoever read the output closed it (`onyx log | head`): quiet, as with git

An error of the library is one line, `onyx: ` and its own words. Any other exception is a bug of ours, and the line says so. With
ONYX_TRACEBACK set every error comes with its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from onyxstore.cli import screen

FATAL = 128
INTERRUPTED = 130
READER_GONE = 141

_AROUND = 50
"""Characters of a query that are shown before and behind the place that is meant."""


def guard(act: Callable[[], object]) -> int:
    """Carries out `act` and flushes what it wrote; its own exit status if it returns one, else 0, or the status of its error."""
    try:
        status = act()
        screen.flush()
    except BaseException as error:  # noqa: BLE001 - the one place that turns errors into words
        return _report(error)
    return status if isinstance(status, int) else 0


def _report(error: BaseException) -> int:
    if isinstance(error, (screen.NotWritten, SystemExit)):
        screen.silence()
    if isinstance(error, (screen.ReaderGone, SystemExit)):  # click's own way to say it, when nobody reads its help
        return READER_GONE
    if os.environ.get("ONYX_TRACEBACK"):
        sys.excepthook(type(error), error, error.__traceback__)
    for words in _words(error):
        screen.say(f"onyx: {words}")
    return _status(error)


def _status(error: BaseException) -> int:
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return INTERRUPTED
    has_own = isinstance(error, click.ClickException) or _is_ours(error)
    return int(getattr(error, "exit_code", FATAL)) if has_own else FATAL


def _words(error: BaseException) -> Iterator[str]:
    """What is said of an error, a line each."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        yield "interrupted"
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        yield f"which verb? '{error.ctx.command_path} --help' lists them"
    elif isinstance(error, click.UsageError):
        message = _lowered(error.format_message())
        yield message if message.endswith("?") else f"{message}; see '{error.ctx.command_path if error.ctx else 'onyx'} --help'"
    elif isinstance(error, click.ClickException):
        yield _lowered(error.format_message())
    elif _is_ours(error):
        yield str(error)
        yield from _pointed(error)
    elif isinstance(error, screen.NotWritten):
        yield f"the output could not be written: {error}"
    elif isinstance(error, OSError):
        yield f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    elif isinstance(error, MemoryError):
        yield "there is not enough memory for this"
    else:
        yield f"{_told(error)}. This is a bug of onyx; with ONYX_TRACEBACK=1 it says where"
    yield from getattr(error, "__notes__", ())


def _pointed(error: Any) -> Iterator[str]:
    """The text of a query, and below it a sign under what is meant; of a long one the part around that."""
    if error.id != "bad-query":
        return
    # Imported here, since only a mistake needs it.
    from onyxstore.cli.table import text_width  # noqa: PLC0415

    start = max(0, error.column - 1 - _AROUND)
    shown = error.query[start : start + 2 * _AROUND]
    before, meant = shown[: error.column - 1 - start], shown[error.column - 1 - start :][: error.length]
    yield f"  {shown}"
    yield f"  {' ' * text_width(screen.visible(before))}{'^' * max(1, text_width(screen.visible(meant)))}"


def _is_ours(error: BaseException) -> bool:
    """Whether the library raised it on purpose: then the module of its errors is loaded. Importing it takes a fifth of `--version`."""
    errors: Any = sys.modules.get("onyxstore.errors")
    return errors is not None and isinstance(error, errors.OnyxError)


def _lowered(message: str) -> str:
    """Sentences of click's as the middle of a line."""
    sentences = " ".join(message.split()).rstrip(".").split(". ")
    return "; ".join(sentence[:1].lower() + sentence[1:] for sentence in sentences)


def _told(error: BaseException) -> str:
    """The type and the words of an exception on one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
