"""Where a metric log stands: the figures of each metric, without the points.

What a table of runs shows is known from these few numbers, and they can be carried on: the standing of a log's first records, and the
records after them, give the standing of all. So of a live run only the tail is read, and of one that ended nothing. A rewind takes
points off the line that are in the figures already; the standing behind it comes from the points (`series.standing_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from onyxstore.history.metrics.records import Epoch, Points, Record, Rewind, Summary, Value, order_of


class Statistics(NamedTuple):
    """What a table shows of one metric: the value that was logged last, the least, the greatest, how many there are."""

    last: Value
    min: float | int
    max: float | int
    points: int

    @classmethod
    def of(cls, value: Value) -> Statistics:
        """Those of one point."""
        plain = int(value) if type(value) is bool else value
        return cls(value, plain, plain, 1)


class Standing(NamedTuple):
    """The first `position` records of the log with this id: each metric's figures, the final values, the step that was reached."""

    log: str
    position: int
    curves: Mapping[str, Statistics]
    summary: Mapping[str, Value]
    step: int | None = None
    epoch: Epoch = None
    """Of the point that lies furthest by (epoch, step)."""


def carry_on(standing: Standing, records: Iterable[Record], position: int) -> Standing:
    """The standing at `position`, by the records from the standing's own position up to there; ValueError when one is a rewind."""
    curves, summary = dict(standing.curves), dict(standing.summary)
    step, epoch = standing.step, standing.epoch
    for record in records:
        if isinstance(record, Points):
            for name, value in record.values.items():
                curves[name] = joined(curves.get(name), Statistics.of(value))
            if step is None or order_of(record.epoch, record.step) >= order_of(epoch, step):
                step, epoch = record.step, record.epoch
        elif isinstance(record, Summary):
            summary |= record.values
        elif isinstance(record, Rewind):
            raise ValueError("a rewind takes points back that were counted")  # noqa: TRY004 - the type is right, its place is not
    return Standing(standing.log, position, curves, summary, step, epoch)


def joined(before: Statistics | None, after: Statistics) -> Statistics:
    """The figures of earlier points and later ones. Of floats and ints together the least and the greatest are floats, bools are ints."""
    if before is None:
        return after
    low, high = _alike(before.min, after.min), _alike(before.max, after.max)
    least = low[1] if low[1] < low[0] or low[0] != low[0] else low[0]
    greatest = high[1] if high[1] > high[0] or high[0] != high[0] else high[0]
    return Statistics(after.last, least, greatest, before.points + after.points)


def _alike(one: Value, other: Value) -> tuple[float | int, float | int]:
    if type(one) is float or type(other) is float:
        return float(one), float(other)
    return int(one), int(other)
