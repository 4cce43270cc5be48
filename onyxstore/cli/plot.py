"""Curves drawn with characters.

At a terminal they are drawn by plotille (the extra `plot`), with the eight dots of a Braille character, a colour for each curve. Where
nobody looks on, where there is no colour or no plotille to tell curves apart, and where there are more curves than colours, they are
plain ASCII: each curve's points as a letter of its own, the way between them as points.

A value that is NaN or infinite has no place on a plot and is left out; so is a point without a place on the x axis. Whoever draws says
how many (`Drawn.left_out`).
"""

from __future__ import annotations

import importlib
import string
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onyxstore.cli import screen
from onyxstore.cli.figures import figure
from onyxstore.cli.metric_table import RunTable
from onyxstore.cli.screen import Cell, Line, Painted, visible
from onyxstore.cli.table import fit, text_width

HEIGHT = 15
"""Odd, so that the middle has a row."""
PLAIN_WIDTH = 80
NARROWEST = 40
"""Below this there is no room for the numbers at both ends of an axis; then the terminal wraps."""

_COLOURS = ("live", "good", "odd", "bad", "title")
_MARKS = string.ascii_letters
_NO_DOTS = "\N{BRAILLE PATTERN BLANK}"

Floats = NDArray[np.float64]
Rows = list[list[Cell]]


class Curve(NamedTuple):
    """What is to be drawn: whose it is, and its points in any order."""

    label: str
    xs: Floats
    ys: Floats


class Drawn(NamedTuple):
    """A plot, and how many points of each curve have no place on it, by its label."""

    lines: list[Line]
    left_out: dict[str, int]


class _Scale(NamedTuple):
    low: float
    high: float

    def place(self, values: Floats) -> Floats:
        """Where values lie between the ends, as 0 to 1. Halved: the distance of the largest float to the smallest is infinite."""
        span = self.high / 2 - self.low / 2
        return (values / 2 - self.low / 2) / span if span > 0 else np.full(len(values), 0.5)


def draw(title: str, curves: Sequence[Curve], x_title: str, width: int) -> Drawn:
    """The curves on one pair of axes, in at most `width` characters."""
    kept, left_out = [], {}
    for curve in curves:
        is_there = np.isfinite(curve.xs) & np.isfinite(curve.ys)
        left_out[curve.label] = int(len(is_there) - is_there.sum())
        order = np.argsort(curve.xs[is_there], kind="stable")
        kept.append(Curve(curve.label, curve.xs[is_there][order], curve.ys[is_there][order]))
    width = max(width, NARROWEST)
    lines: list[Line] = [Painted(fit(visible(title), width), "title")]
    if sum(len(curve.xs) for curve in kept) == 0:
        lines.append("  no point that could be drawn")
    else:
        lines += _plot(kept, x_title, width)
    return Drawn(lines, {label: count for label, count in left_out.items() if count})


def curves_of(tables: Sequence[RunTable], metric: str, axis: str) -> list[Curve]:
    """One metric of each run that has it, over its steps or its epochs."""
    found = []
    for label, wide in tables:
        if metric in wide.columns:
            rows, values = wide.columns[metric]
            found.append(Curve(label, (wide.epochs if axis == "epoch" else wide.steps)[rows].astype(np.float64), values.astype(np.float64)))
    return found


def has_plotille() -> bool:
    """Whether the extra is there."""
    return _plotille() is not None


def is_fine(count: int) -> bool:
    """Whether so many curves are drawn by plotille."""
    return screen.is_watched() and count <= (len(_COLOURS) if screen.has_colour() else 1) and has_plotille() and _has_braille()


def _plot(curves: Sequence[Curve], x_title: str, width: int) -> Iterator[Line]:
    xs, ys = _scale([curve.xs for curve in curves]), _scale([curve.ys for curve in curves])
    ticks = {0: figure(ys.high), HEIGHT // 2: figure(ys.low / 2 + ys.high / 2), HEIGHT - 1: figure(ys.low)}
    margin = max(map(len, ticks.values()))
    room = width - margin - 3
    placed = [Curve(curve.label, xs.place(curve.xs), ys.place(curve.ys)) for curve in curves]
    fine = is_fine(len(curves))
    for number, row in enumerate(_fine(placed, room) if fine else _plain(placed, room)):
        yield [f"{ticks.get(number, ''):>{margin}} |", *row]
    left, right = figure(xs.low), figure(xs.high)
    yield f"{'':>{margin}} +{'-' * room}"
    yield f"{'':>{margin}}  {left}{'' if left == right else right:>{max(0, room - len(left))}}"
    marks: list[Cell] = [Painted("●", _COLOURS[number]) if fine else _mark(number, len(curves)) for number in range(len(curves))]
    named = [(mark, fit(visible(curve.label), room - 5)) for mark, curve in zip(marks, curves, strict=True)] if len(curves) > 1 else []
    yield from _legend(f"{'':>{margin}}  {x_title}", named, width)


def _legend(title: str, named: Sequence[tuple[Cell, str]], width: int) -> Iterator[Line]:
    """What is across, then each curve's mark and name, in as many lines as they take."""
    indent = len(title) - len(title.lstrip())
    line: list[Cell] = [title]
    used = len(title)
    for mark, name in named:
        taken = text_width(name) + 5
        if used + taken > width:
            yield line
            line, used = [" " * indent], indent
        line, used = [*line, "   ", mark, f" {name}"], used + taken
    yield line


def _scale(each: Sequence[Floats]) -> _Scale:
    there = np.concatenate(each)
    return _Scale(float(there.min()), float(there.max()))


def _mark(number: int, count: int) -> str:
    return "*" if count == 1 else _MARKS[number % len(_MARKS)]


def _plain(curves: Sequence[Curve], width: int) -> Rows:
    """Letters where points lie, points on the straight way from one to the next. Of points in one place the first curve's is seen."""
    grid = np.full((HEIGHT, width), " ")
    cells = [(_row(curve.ys), np.rint(curve.xs * (width - 1)).astype(int)) for curve in curves]
    for rows, columns in cells:
        for start in np.flatnonzero(np.diff(columns) > 1).tolist():
            between = np.arange(columns[start] + 1, columns[start + 1])
            ways = np.interp(between, columns[start : start + 2], rows[start : start + 2])
            grid[np.rint(ways).astype(int), between] = "."
    for number, (rows, columns) in reversed(list(enumerate(cells))):
        grid[rows, columns] = _mark(number, len(curves))
    return [["".join(row)] for row in grid.tolist()]


def _row(ys: Floats) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = (HEIGHT - 1 - np.rint(ys * (HEIGHT - 1))).astype(np.int64)
    return rows


def _fine(curves: Sequence[Curve], width: int) -> Rows:
    """The dots of all curves; a character that several share has the colour of the first."""
    drawings = [_dots(_thinned(curve, 2 * width), width) for curve in curves]
    rows: Rows = []
    for lines in zip(*drawings, strict=True):
        row: list[Cell] = []
        for chars in zip(*lines, strict=True):
            owner = next((number for number, char in enumerate(chars) if char != _NO_DOTS), None)
            dots = 0
            for char in chars:
                dots |= ord(char)
            row.append(" " if owner is None else Painted(chr(dots), _COLOURS[owner]))
        rows.append(row)
    return rows


def _dots(curve: Curve, width: int) -> list[str]:
    canvas = _plotille().Canvas(width, HEIGHT, xmin=0, ymin=0, xmax=1, ymax=1)
    points = list(zip(curve.xs.tolist(), curve.ys.tolist(), strict=True))
    for (x, y), (next_x, next_y) in zip(points, points[1:] or points, strict=False):
        canvas.line(x, y, next_x, next_y)
    return [f"{line:{_NO_DOTS}<{width}}"[:width] for line in str(canvas.plot()).split("\n")]


def _thinned(curve: Curve, columns: int) -> Curve:
    """Of many points the lowest and the highest in each column of dots: what is left looks the same and is drawn at once."""
    if len(curve.xs) <= 4 * columns:
        return curve
    place = np.rint(curve.xs * (columns - 1)).astype(int)
    order = np.lexsort((curve.ys, place))
    firsts = np.flatnonzero(np.diff(place[order], prepend=-1))
    kept = np.union1d(order[firsts], order[np.append(firsts[1:], len(order)) - 1])
    return Curve(curve.label, curve.xs[kept], curve.ys[kept])


def _plotille() -> Any:
    """The package, or None."""
    try:
        return importlib.import_module("plotille")
    except ImportError:
        return None


def _has_braille() -> bool:
    """Whether stdout can write the dots."""
    return screen.can_write(_NO_DOTS)
