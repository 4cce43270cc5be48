"""A live run's points as they come.

The log is read again at each look and handed on from the position that was seen last. So it makes no difference where a record
stands: the tail may be sealed between two looks, and the run be resumed, which appends to the same log. A look costs as much as
reading what is not sealed yet (a tail of 10 MB takes a quarter of a second), and the pause grows with that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import chain

from onyxstore.history.metrics.log import Log
from onyxstore.history.metrics.records import Points, Rewind, order_of
from onyxstore.store.doors import Doors

INTERVAL = 0.5
"""Seconds between two looks: what a person takes for at once, and some thousandth of a core for a usual tail."""

_REST = 10
"""At least so many times as long as a look takes is waited for the next: following must not take a core from the training."""


def follow_run(
    doors: Doors, name: str, metrics: Collection[str] = (), *, last: int = 0, wait: Callable[[float], object] = time.sleep
) -> Iterator[Points | Rewind]:
    """The last `last` records that are on the line now, then each that comes after this call, until the run has ended.

    Of each record of points the values of `metrics` (of all without any), and only those that have one; a rewind as it is.
    FileNotFoundError when there is no such run. When it is removed, or another takes its name, it has ended.
    """
    log_id = doors.state(name).log
    log = doors.log(name)
    return chain(_last(log, metrics, last), _new(doors, name, log_id, log.position, metrics, wait))


def _new(
    doors: Doors, name: str, log_id: str, position: int, metrics: Collection[str], wait: Callable[[float], object]
) -> Iterator[Points | Rewind]:
    while True:
        # Asked first: what an ended run logged is all there when the log is read after that.
        has_ended = _has_ended(doors, name, log_id)
        began = time.monotonic()
        log = doors.log(name)
        if log.id not in {"", log_id}:
            return
        yield from _chosen(log.records(position), metrics)
        position = max(position, log.position)
        if has_ended:
            return
        wait(max(INTERVAL, _REST * (time.monotonic() - began)))


def _has_ended(doors: Doors, name: str, log_id: str) -> bool:
    try:
        state = doors.state(name)
    except FileNotFoundError:
        return True
    return state.log != log_id or state.status != "running"


def _last(log: Log, metrics: Collection[str], count: int) -> list[Points | Rewind]:
    """The last `count` records of points that are on the line, in order: looked for from the end, so that old segments stay closed."""
    found: list[Points | Rewind] = []
    lowest: tuple[float, int] | None = None
    for part in reversed(log.parts):
        if len(found) >= count:
            break
        for record in reversed(list(_chosen(part.records(part.first, part.end), metrics))):
            order = order_of(record.epoch, record.step)
            if isinstance(record, Rewind):
                lowest = order if lowest is None else min(order, lowest)
            elif lowest is None or order < lowest:
                found.append(record)
    return found[:count][::-1]


def _chosen(records: Iterator[object], metrics: Collection[str]) -> Iterator[Points | Rewind]:
    for record in records:
        if isinstance(record, Rewind):
            yield record
        elif isinstance(record, Points):
            values = {name: value for name, value in record.values.items() if name in metrics} if metrics else record.values
            if values:
                yield replace(record, values=values)
