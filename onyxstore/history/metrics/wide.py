"""Curves side by side: a row for each (epoch, step), a column for each metric.

Rows are in the order of (epoch, step), those without an epoch first. A metric that has several points at one (epoch, step) has as
many rows there, in the order in which they were logged: its second point stands beside the second points of the others. A metric
without a value in a row has none there, which is not the same as a NaN that was logged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from onyxstore.history.metrics.planes import Array

FIXED = ("run", "epoch", "step", "time")
"""The columns that a table may have beside those of the metrics."""


class Curve(Protocol):
    """What a curve must have to be put beside others; `series.Series` has it."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """Of each point."""

    @property
    def epochs(self) -> NDArray[np.float64]:
        """Of each point; NaN where none was given."""

    @property
    def times(self) -> NDArray[np.float64]:
        """Of each point, in seconds since 1970 UTC."""

    @property
    def values(self) -> Array:
        """Of each point."""


class Cells(NamedTuple):
    """A column: its values, and the rows in which they stand, ascending."""

    rows: NDArray[np.int64]
    values: Array


@dataclass(frozen=True, eq=False)
class Wide:
    """A table of curves."""

    epochs: NDArray[np.float64]
    """NaN where none was given."""
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    """When the first point of the row was logged, in seconds since 1970 UTC."""
    columns: Mapping[str, Cells]

    def __len__(self) -> int:
        return len(self.steps)

    def last(self, count: int) -> Wide:
        """The last `count` rows; a metric without a value in them keeps its column."""
        start = max(0, len(self) - count)
        columns = {}
        for name, cells in self.columns.items():
            kept = cells.rows >= start
            columns[name] = Cells(cells.rows[kept] - start, cells.values[kept])
        return Wide(self.epochs[start:], self.steps[start:], self.times[start:], columns)

    def listed(self, name: str) -> list[Any]:
        """A metric's values as Python numbers, one for each row; None in rows without one, and in all for a metric that is not there."""
        cells: list[Any] = [None] * len(self)
        column = self.columns.get(name)
        if column is not None:
            for row, value in zip(column.rows.tolist(), column.values.tolist(), strict=True):
                cells[row] = value
        return cells

    def listed_epochs(self) -> list[int | float | None]:
        """The epoch of each row: whole ones as ints, None where none was given."""
        return [None if math.isnan(epoch) else int(epoch) if epoch.is_integer() else epoch for epoch in self.epochs.tolist()]


def wide_of(curves: Mapping[str, Curve]) -> Wide:
    """The curves side by side, with their columns in the order of the mapping."""
    # As a list: the mapping makes a curve when it is asked for it, and the next line asks three times.
    each = list(curves.values())
    counts = [len(curve.steps) for curve in each]
    epochs, steps, times = (_end_to_end(each, kind) for kind in ("epochs", "steps", "times"))
    # No epoch is below every epoch, as everywhere.
    order_of_epoch = np.where(np.isnan(epochs), -np.inf, epochs)
    bounds = np.cumsum([0, *counts])
    spans = [slice(start, end) for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
    repeats = np.concatenate([_repeats(order_of_epoch[span], steps[span]) for span in spans]) if each else np.zeros(0, np.int64)
    order = np.lexsort((repeats, steps, order_of_epoch))
    first = _is_first(order_of_epoch[order], steps[order], repeats[order])
    starts = np.flatnonzero(first)
    rows = np.empty(len(order), np.int64)
    rows[order] = np.cumsum(first) - 1
    earliest = np.minimum.reduceat(times[order], starts) if len(starts) else times
    columns = {name: _cells(rows[span], curve.values) for (name, curve), span in zip(zip(curves, each, strict=True), spans, strict=True)}
    return Wide(epochs[order][starts], steps[order][starts], earliest, columns)


def column_names(metrics: Iterable[str]) -> dict[str, str]:
    """What the metrics' columns are called beside the fixed ones: a metric called `step` is `metric/step` there."""
    return free_names(metrics, FIXED, "metric")


def free_names(names: Iterable[str], taken: Iterable[str], part: str) -> dict[str, str]:
    """Each name as it is, or with `part/` in front (again, if need be) where that is taken."""
    names = list(names)
    used = {*taken}
    found: dict[str, str] = {}
    for name in names:
        free = name
        # A name that needs the prefix must not take the one that another metric has by right.
        while free in used or (free != name and free in names):
            free = f"{part}/{free}"
        used.add(free)
        found[name] = free
    return found


def _end_to_end(curves: list[Curve], kind: str) -> Any:
    dtype = np.int64 if kind == "steps" else np.float64
    return np.concatenate([getattr(curve, kind) for curve in curves]) if curves else np.zeros(0, dtype)


def _repeats(epochs: Array, steps: Array) -> NDArray[np.int64]:
    """Of each point of one metric: how many before it have its (epoch, step)."""
    numbers = np.arange(len(steps))
    order = np.lexsort((numbers, steps, epochs))
    first = _is_first(epochs[order], steps[order])
    repeats = np.empty(len(steps), np.int64)
    repeats[order] = numbers - np.maximum.accumulate(np.where(first, numbers, 0))
    return repeats


def _is_first(*keys: Array) -> NDArray[np.bool_]:
    """Which of the sorted rows differ from the row before."""
    first = np.ones(len(keys[0]), bool)
    first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return first


def _cells(rows: NDArray[np.int64], values: Array) -> Cells:
    order = np.argsort(rows)
    return Cells(rows[order], values[order])
