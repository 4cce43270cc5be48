r"""What people see: data on stdout, words on stderr, colour only where somebody looks on.

Lines are made of plain text and painted text, and only here become characters. On the way out every control character is written
out (`\x1b`), in all of them: a run, a tensor or a metric may have been named by somebody else's file, and must not speak to the
terminal. So no command has to remember it, and widths are those of the text, without the colours.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TextIO

Buffer = bytes | bytearray | memoryview

STYLES = {
    "title": "1",
    "faint": "2",
    "address": "33",
    "head": "1;36",
    "ref": "1;32",
    "tag": "1;33",
    "good": "32",
    "bad": "31",
    "live": "36",
    "odd": "33",
}
"""What text is, and how a terminal shows it; addresses, HEAD, refs and tags as git does."""


class Painted(NamedTuple):
    """Text with a style; what it looks like without colour is the text."""

    text: str
    style: str


Cell = str | Painted
Line = Cell | list[Cell]


class NotWritten(Exception):
    """Data could not be written to stdout."""


class ReaderGone(NotWritten):
    """Whoever read stdout has closed it. click would take a BrokenPipeError for its own, and exit with 1."""


def line(*cells: Cell) -> Line:
    """A line of several cells."""
    return list(cells)


def visible(text: str) -> str:
    """`text` on one line with everything that would move a cursor, ring, or turn the direction of writing written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def plain(text: Line) -> str:
    """A line without colour."""
    return "".join(visible(cell if isinstance(cell, str) else cell.text) for cell in _cells(text)).rstrip()


def coloured(text: Line) -> str:
    """A line with its colours, for a terminal."""
    return "".join(visible(cell) if isinstance(cell, str) else _painted(cell) for cell in _cells(text))


def is_watched() -> bool:
    """Whether stdout is a terminal."""
    return _is_terminal(sys.stdout)


def has_colour() -> bool:
    """Whether stdout takes colour: a terminal that knows it, and no NO_COLOR (https://no-color.org: set, and not empty)."""
    return is_watched() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def can_write(text: str) -> bool:
    """Whether stdout's encoding has the characters of `text`."""
    return sys.stdout is not None and _encodable(text, sys.stdout) == text


def write(lines: Iterable[Line]) -> None:
    """Data, a line each."""
    render = coloured if has_colour() else plain
    for text in lines:
        _put_data(f"{render(text)}\n")


def write_text(text: str) -> None:
    """Text that is safe as it is: JSON, whose strings escape everything beyond ASCII."""
    _put_data(text)


def write_bytes(blocks: Iterable[Buffer]) -> None:
    """Data as it is, byte for byte."""
    if sys.stdout is not None:
        sys.stdout.flush()
        for block in blocks:
            with _told():
                sys.stdout.buffer.write(block)


def say(words: str) -> None:
    """Words for people: a line on stderr."""
    # Where stderr is closed or full there is nobody to tell; the exit status still does.
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.write(_encodable(f"{visible(words)}\n", sys.stderr))
            sys.stderr.flush()


def flush() -> None:
    """Hands over what is buffered, so that an error of it is seen while it can still be reported."""
    if sys.stdout is not None:
        with _told():
            sys.stdout.flush()


def silence() -> None:
    """Lets go of a stdout that takes nothing any more: Python would complain about it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _put_data(text: str) -> None:
    if sys.stdout is not None:  # else whoever started us has closed it
        with _told():
            sys.stdout.write(_encodable(text, sys.stdout))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise NotWritten(error.strerror) from error


def _encodable(text: str, stream: TextIO) -> str:
    """`text` with what the stream's encoding lacks written out."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _cells(line: Line) -> list[Cell]:
    return line if isinstance(line, list) else [line]


def _painted(cell: Painted) -> str:
    return f"\x1b[{STYLES[cell.style]}m{visible(cell.text)}\x1b[0m"


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
