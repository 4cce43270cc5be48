"""Columns that line up, and fit the terminal.

Each column is as wide as its widest cell. When a terminal has less room, the columns that may be cut are cut first, then those
that may be left out are left out, from the right. Off a terminal nothing is cut: somebody will search in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from onyxstore.cli import screen
from onyxstore.cli.screen import Cell, Painted, visible

GAP = 2
"""Spaces between columns."""


class Column(NamedTuple):
    """A column: its title, whether it is aligned to the right, whether it may be left out, and to how few characters it may be cut.

    Names are cut in the middle, since those that begin alike differ at their ends.
    """

    title: str = ""
    right: bool = False
    cut: int | None = None
    middle: bool = False
    optional: bool = False


class Table(NamedTuple):
    """A table that was laid out: its lines, and the titles of the columns that were left out."""

    lines: list[list[Cell]]
    left_out: list[str]


def terminal_width() -> int | None:
    """The width of the terminal, or None where nobody looks on: then nothing is cut."""
    if not screen.is_watched():
        return None
    import shutil  # noqa: PLC0415 - 2 ms, for who has no terminal in vain

    return shutil.get_terminal_size().columns


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None = None, indent: int = 0) -> Table:
    """The rows below the titles (without titles, when none is given), in at most `width` characters if that can be."""
    titled = any(column.title for column in columns)
    titles: list[Sequence[Cell]] = [[Painted(column.title, "title") for column in columns]] if titled else []
    cells = [[_shown(cell) for cell in row] for row in [*titles, *rows]]
    widths = [max((row[number].width for row in cells), default=0) for number in range(len(columns))]
    kept = list(range(len(columns)))
    if width is not None:
        kept = _left(columns, widths, kept, width - indent)
        _cut(columns, widths, kept, width - indent)
    lines = [_line([(columns[number], widths[number], row[number]) for number in kept], indent) for row in cells]
    return Table(lines, [columns[number].title for number in range(len(columns)) if number not in kept])


def text_width(text: str) -> int:
    """The cells of a terminal that `text` takes: two for a Chinese character, none for an accent that combines."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in {"Mn", "Me"} else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def fit(text: str, width: int, *, middle: bool = False) -> str:
    """`text` in at most `width` cells, with `…` for the end, or the middle, where that is more."""
    if text_width(text) <= width:
        return text
    tail = _beginning(text[::-1], (width - 1) // 2)[::-1] if middle else ""
    return f"{_beginning(text, width - 1 - text_width(tail))}…{tail}"


def _beginning(text: str, width: int) -> str:
    """As much of `text` as `width` cells hold."""
    used = 0
    for number, char in enumerate(text):
        used += text_width(char)
        if used > width:
            return text[:number]
    return text


class _Shown(NamedTuple):
    """A cell as it will be seen: escapes are counted. Its width is measured once, since a list of runs has ten thousand of them."""

    text: str
    style: str
    width: int


def _shown(cell: Cell) -> _Shown:
    text, style = (cell, "") if isinstance(cell, str) else cell
    text = visible(text)
    return _Shown(text, style, text_width(text))


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[number] for number in kept) + GAP * (len(kept) - 1)


def _left(columns: Sequence[Column], widths: Sequence[int], kept: list[int], room: int) -> list[int]:
    """The columns that stay: all, if they fit once what may be cut is cut."""
    narrow = [width if column.cut is None else min(width, column.cut) for column, width in zip(columns, widths, strict=True)]
    while _total(narrow, kept) > room:
        last = next((number for number in reversed(kept) if columns[number].optional), None)
        if last is None:
            break
        kept = [number for number in kept if number != last]
    return kept


def _cut(columns: Sequence[Column], widths: list[int], kept: Sequence[int], room: int) -> None:
    """Narrows what may be cut of the columns that stay, as far as it must, the widest first."""
    while _total(widths, kept) > room:
        floors = {number: cut for number in kept if (cut := columns[number].cut) is not None and widths[number] > cut}
        if not floors:
            return
        widths[max(floors, key=lambda number: widths[number])] -= 1


def _line(cells: Sequence[tuple[Column, int, _Shown]], indent: int) -> list[Cell]:
    """A row, without what is empty at its end."""
    line: list[Cell] = [" " * indent]
    filled = max((number for number, (_, _, cell) in enumerate(cells, 1) if cell.text), default=0)
    for number, (column, width, cell) in enumerate(cells[:filled], 1):
        text, taken = cell.text, cell.width
        if taken > width:
            text = fit(text, width, middle=column.middle)
            taken = text_width(text)
        space = " " * (width - taken)
        shown: Cell = Painted(text, cell.style) if cell.style else text
        if column.right:
            line += [space, shown]
        else:
            line += [shown] if number == filled else [shown, space]
        line += [] if number == filled else [" " * GAP]
    return line
