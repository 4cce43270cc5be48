"""Curves: what a metric log says of each metric, as numpy arrays.

A *rewind* takes the points before it whose (epoch, step) is at or after its own off the line; what remains is the one true curve of
the run. Nothing else is judged: points that come late, and steps that repeat, are data, and all stay in the order in which they
were logged. What is superseded can be asked for too, and is marked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onyxstore.history import notebook
from onyxstore.history.metrics.columns import Columns, records_of
from onyxstore.history.metrics.frames import frame_of, frame_of_points
from onyxstore.history.metrics.log import Log
from onyxstore.history.metrics.planes import Array
from onyxstore.history.metrics.records import HIGHEST_INT64, Artifact, Epoch, Rewind, Summary, Value, order_of
from onyxstore.history.metrics.standing import Standing, Statistics, joined


@dataclass(frozen=True, eq=False)
class Series:
    """One metric's points in the order in which they were logged; at least one."""

    name: str
    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    """NaN where none was given."""
    times: NDArray[np.float64]
    """Seconds since 1970 UTC."""
    values: Array
    """float64 if any value is a float, else int64 (bools as 0 and 1); Python ints where one needs more than 64 bits."""
    last: Value
    """The value that was logged last, as the kind that it is."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def min(self) -> float | int:
        """The least value; NaN only when all are."""
        return _number(np.fmin.reduce(self.values))

    @property
    def max(self) -> float | int:
        """The greatest value; NaN only when all are."""
        return _number(np.fmax.reduce(self.values))

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each point: `step`, `epoch`, `time`, `value`. MissingPackage without pandas."""
        return frame_of_points(self)

    def _repr_html_(self) -> str:
        """For a notebook."""
        return notebook.page(_figures_table([self]))


class Curves(Mapping[str, Series]):
    """The curves of a log by metric, in the order in which metrics were first logged; each is made when it is asked for."""

    damage: tuple[str, ...]
    """What of the log cannot be read, in words; the curves are those of the rest."""

    def __init__(self, lines: list[tuple[_Line, NDArray[np.bool_]]], damage: tuple[str, ...]) -> None:
        """Use `series_of`."""
        self.damage = damage
        self._lines = lines
        self._names = dict.fromkeys(name for line, kept in self._lines for name in _names(line.columns, kept))
        self._made: dict[str, Series] = {}

    def __getitem__(self, name: str) -> Series:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = _series(name, self._lines)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<Curves: {', '.join(self._names)}>"

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each (epoch, step), in that order: `epoch`, `step`, `time`, and a column for each metric.

        A metric that has several points at one (epoch, step) has as many rows there. A metric called as one of the three columns has
        `metric/` in front. Where a metric has no value there is NaN beside floats, NA beside whole numbers. MissingPackage without
        pandas.
        """
        return frame_of(self)

    def _repr_html_(self) -> str:
        """For a notebook."""
        return notebook.page(_figures_table(self.values()))


def series_of(log: Log, upto: int | None = None, *, superseded: bool = False) -> Curves:
    """The curves of the first `upto` records (of all without it) by metric name, in the order in which names were first logged.

    A curve is made when it is asked for: one metric of a run costs no decoding of the others. With `superseded` it is the points off
    the line instead.
    """
    return Curves([(line, line.off if superseded else line.on) for line in _lines(log, upto)], log.damage)


def standing_of(log: Log, upto: int | None = None) -> Standing:
    """Where the log stood after its first `upto` records (after all without it): the figures of every metric on the line."""
    curves: dict[str, Statistics] = {}
    moments: list[tuple[float, int, Epoch]] = []
    for line in _lines(log, upto):
        for name, figures in _figures(line):
            curves[name] = joined(curves.get(name), figures)
        moments += _furthest(line)
    furthest = max(moments, key=lambda moment: moment[:2], default=None)
    step, epoch = (None, None) if furthest is None else furthest[1:]
    return Standing(log.id, log.position if upto is None else upto, curves, summary_of(log, upto), step, epoch)


def last_values_of(log: Log, upto: int | None = None) -> dict[str, Value]:
    """The value of each metric that was logged last among the first `upto` records (all without it)."""
    found: dict[str, tuple[int, Value]] = {}
    for line in _lines(log, upto):
        for name, kind, rows, values in _kept_values(line):
            last = line.first + int(rows[-1]), bool(values[-1]) if kind == "bool" else _number(values[-1])
            found[name] = max(found.get(name, last), last, key=lambda each: each[0])
    return {name: value for name, (_, value) in found.items()}


def artifacts_of(log: Log, upto: int | None = None, *, superseded: bool = False) -> list[Artifact]:
    """The artifacts on the line (with `superseded` those off it) as they were logged; one without a step is always on it."""
    return [
        record
        for line in _lines(log, upto)
        if any(shape.record == "artifact" for shape in line.columns.shapes)
        for record in itertools.compress(records_of(line.columns), (line.off if superseded else line.on).tolist())
        if isinstance(record, Artifact)
    ]


def summary_of(log: Log, upto: int | None = None) -> dict[str, Value]:
    """The final values: of each name the one that was said last."""
    summary: dict[str, Value] = {}
    for line in _lines(log, upto):
        if any(shape.record == "summary" for shape in line.columns.shapes):
            for record in itertools.compress(records_of(line.columns), line.on.tolist()):
                if isinstance(record, Summary):
                    summary |= record.values
    return summary


# ----------------------------------------------------------------------------------------------------------- private: lines


@dataclass(frozen=True)
class _Line:
    """One part of a log: its records as columns, and which of those within the prefix are on the line, which off it."""

    first: int
    columns: Columns
    on: NDArray[np.bool_]
    off: NDArray[np.bool_]


def _lines(log: Log, upto: int | None) -> Iterator[_Line]:
    end = log.position if upto is None else upto
    parts = [(part.first, part.columns) for part in log.parts if part.first < end and part.columns is not None]
    rewinds = [rewind for first, columns in parts for rewind in _rewinds(first, columns) if rewind[0] < end]
    for first, columns in parts:
        positions = np.arange(first, first + len(columns))
        within, off = positions < end, _off(columns, positions, rewinds)
        yield _Line(first, columns, within & ~off, within & off)


def _rewinds(first: int, columns: Columns) -> Iterator[tuple[int, tuple[float, int]]]:
    """Position and (epoch, step) of each rewind in a part."""
    if any(shape.record == "rewind" for shape in columns.shapes):
        for position, record in enumerate(records_of(columns), first):
            if isinstance(record, Rewind):
                yield position, order_of(record.epoch, record.step)


def _off(columns: Columns, positions: Array, rewinds: list[tuple[int, tuple[float, int]]]) -> NDArray[np.bool_]:
    """Which records some later rewind lies at or before, by (epoch, step)."""
    if not rewinds:
        return np.zeros(len(positions), bool)
    # After a position it is the lowest of the later rewinds that decides; after the last one nothing does.
    lowest = [(np.inf, HIGHEST_INT64)]
    for _, order in reversed(rewinds):
        lowest.append(min(order, lowest[-1]))
    lowest.reverse()
    later = np.searchsorted([position for position, _ in rewinds], positions, side="right")
    epochs = np.array([epoch for epoch, _ in lowest])[later]
    steps = np.array([step for _, step in lowest], np.int64)[later]
    own = np.where(np.isnan(columns.epochs), -np.inf, columns.epochs)
    has_step = np.array([shape.step for shape in columns.shapes])[columns.arrays["shapes"]]
    result: NDArray[np.bool_] = has_step & ((own > epochs) | ((own == epochs) & (columns.steps >= steps)))
    return result


# -------------------------------------------------------------------------------------------------------- private: figures


def _figures(line: _Line) -> Iterator[tuple[str, Statistics]]:
    """The figures of each metric in one part, by name; those of values of another kind by themselves, the newest last."""
    found: dict[str, list[tuple[int, Statistics]]] = {}
    for name, kind, rows, values in _kept_values(line):
        last = bool(values[-1]) if kind == "bool" else _number(values[-1])
        whole = values.astype(np.int64) if kind == "bool" else values
        figures = Statistics(last, _number(np.fmin.reduce(whole)), _number(np.fmax.reduce(whole)), len(whole))
        found.setdefault(name, []).append((int(rows[-1]), figures))
    for name, kinds in found.items():
        yield from ((name, figures) for _, figures in sorted(kinds, key=lambda each: each[0]))


def _kept_values(line: _Line) -> Iterator[tuple[str, str, Array, Array]]:
    """Name and kind of each metric with a point on the line, the rows of its points, and their values."""
    columns = line.columns
    for number, metric in enumerate(columns.metrics):
        if metric.record == "points":
            rows = columns.rows_with(number)
            chosen = line.on[rows]
            if chosen.any():
                yield metric.name, metric.kind, rows[chosen], columns.arrays[f"values.{number}"][chosen]


def _furthest(line: _Line) -> list[tuple[float, int, Epoch]]:
    """The order, the step and the epoch of a part's point that lies furthest by (epoch, step); none without points."""
    rows = np.flatnonzero(line.on & line.columns.rows_of("points"))
    if not len(rows):
        return []
    epochs, steps = line.columns.epochs[rows], line.columns.steps[rows]
    order = np.where(np.isnan(epochs), -np.inf, epochs)
    latest = order.max()
    step = steps[order == latest].max()
    row = rows[(order == latest) & (steps == step)][-1]
    kind = line.columns.shapes[line.columns.arrays["shapes"][row]].epoch
    epoch: Epoch = None if kind == "none" else int(latest) if kind == "int" else float(latest)
    return [(float(latest), int(step), epoch)]


# ---------------------------------------------------------------------------------------------------------- private: curves


def _names(columns: Columns, kept: NDArray[np.bool_]) -> list[str]:
    """The metrics that have a point among the kept records."""
    # No np.unique: it sorts, and its first call imports numpy.ma (15 ms).
    counts = np.bincount(columns.arrays["shapes"][kept], minlength=len(columns.shapes))
    shapes = [shape for shape, count in zip(columns.shapes, counts.tolist(), strict=True) if count]
    numbers = {number for shape in shapes if shape.record == "points" for number in shape.metrics}
    return [columns.metrics[number].name for number in sorted(numbers)]


@dataclass(frozen=True)
class _Piece:
    """Points of one metric from one part whose values are of one kind."""

    kind: str
    positions: Array
    steps: Array
    epochs: Array
    times: Array
    values: Array


def _series(name: str, lines: list[tuple[_Line, NDArray[np.bool_]]]) -> Series:
    pieces = [piece for line, kept in lines for piece in _pieces(name, line, kept)]
    order = np.argsort(np.concatenate([piece.positions for piece in pieces]), kind="stable")
    steps = np.concatenate([piece.steps for piece in pieces])[order]
    epochs = np.concatenate([piece.epochs for piece in pieces])[order]
    times = np.concatenate([piece.times for piece in pieces])[order]
    newest = max(pieces, key=lambda piece: piece.positions[-1])
    last = bool(newest.values[-1]) if newest.kind == "bool" else _number(newest.values[-1])
    return Series(name, steps, epochs, times / 1e9, _joined([piece.values for piece in pieces])[order], last)


def _pieces(name: str, line: _Line, kept: NDArray[np.bool_]) -> Iterator[_Piece]:
    columns = line.columns
    for number, metric in enumerate(columns.metrics):
        if metric.record != "points" or metric.name != name:
            continue
        rows = columns.rows_with(number)
        chosen = kept[rows]
        if chosen.any():
            rows, values = rows[chosen], columns.arrays[f"values.{number}"][chosen]
            times = columns.arrays["times"][rows]
            yield _Piece(metric.kind, line.first + rows, columns.steps[rows], columns.epochs[rows], times, values)


def _joined(pieces: list[Array]) -> Array:
    """Values of one kind or several as one array; ints of more than 64 bits become floats beside floats."""
    kinds = {piece.dtype.kind for piece in pieces}
    dtype: Any = np.float64 if "f" in kinds else object if "O" in kinds else np.int64
    return np.concatenate([piece.astype(dtype) for piece in pieces])


def _number(value: Any) -> float | int:
    number: float | int = value.item() if isinstance(value, np.generic) else value
    return number


def _figures_table(curves: Iterable[Series]) -> notebook.Html:
    rows: list[list[str | notebook.Html]] = [
        [each.name, *map(notebook.shown, (each.last, each.min, each.max)), f"{len(each):,}", notebook.sparkline(each.values)]
        for each in curves
    ]
    return notebook.table(["metric", "last", "min", "max", "points", ""], rows)
