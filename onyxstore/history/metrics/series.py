"""Curves: what a metric log says of each metric, as numpy arrays.

A *rewind* takes the points before it whose (epoch, step) is at or after its own off the line; what remains is the one true curve of
the run. Nothing else is judged: points that come late, and steps that repeat, are data, and all stay in the order in which they
were logged. What is superseded can be asked for too, and is marked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onyxstore.history.metrics.columns import Columns, records_of
from onyxstore.history.metrics.log import Log
from onyxstore.history.metrics.planes import Array
from onyxstore.history.metrics.records import HIGHEST_INT64, Artifact, Rewind, Summary, Value, order_of


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


@dataclass(frozen=True)
class Statistics:
    """What a table shows of one metric: the value that was logged last, the least, the greatest, how many there are."""

    last: Value
    min: float | int
    max: float | int
    points: int


def series_of(log: Log, upto: int | None = None, *, superseded: bool = False) -> Mapping[str, Series]:
    """The curves of the first `upto` records (of all without it) by metric name, in the order in which names were first logged.

    A curve is made when it is asked for: one metric of a run costs no decoding of the others. With `superseded` it is the points off
    the line instead.
    """
    return _Curves([(line, line.off if superseded else line.on) for line in _lines(log, upto)])


def statistics_of(log: Log, upto: int | None = None) -> dict[str, Statistics]:
    """The figures of every metric on the line."""
    curves = series_of(log, upto)
    return {name: Statistics(curve.last, curve.min, curve.max, len(curve)) for name, curve in curves.items()}


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


# ---------------------------------------------------------------------------------------------------------- private: curves


class _Curves(Mapping[str, Series]):
    def __init__(self, lines: list[tuple[_Line, NDArray[np.bool_]]]) -> None:
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
