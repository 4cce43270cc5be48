"""What a metric log holds: one record for each call.

A log is a sequence of records; a record's *position* is its number in the log, from 0. Positions, not steps, say what came first:
(epoch, step) are data, they may repeat, go back and come late. The one record that looks back is `Rewind`: it takes the points
before it that lie at or after its own (epoch, step) off the line.

Values keep their kind (float, int, bool) and their bits: -0.0, subnormals, infinities and ints of up to 1,000 bits come back as
they went in. There is one NaN; the others' payload is not kept. Times are nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from onyxstore.hashing import Address

Value = float | int | bool
Epoch = int | float | None

LOWEST_INT64, HIGHEST_INT64 = -(2**63), 2**63 - 1
LARGEST_EPOCH = 2**53
"""Up to here an int and a float epoch compare exactly, in numpy too."""
INT_BITS = 1000
"""Below the largest float, so that every value can be drawn and compared as one."""


@dataclass(frozen=True, slots=True)
class Points:
    """Metric values at one step, by name."""

    step: int
    epoch: Epoch
    time: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Rewind:
    """An attempt goes on from here: earlier points at or after this (epoch, step) are superseded."""

    step: int
    epoch: Epoch
    time: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """An object logged under a name: its bytes, its kind (`image`, `text`, `histogram` …), its step if it has one."""

    name: str
    address: Address
    size: int
    kind: str
    step: int | None
    epoch: Epoch
    time: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Final values without a step; a later one replaces what it names."""

    values: Mapping[str, Value]
    time: int


Record = Points | Rewind | Artifact | Summary


def order_of(epoch: Epoch, step: int) -> tuple[float, int]:
    """The key by which (epoch, step) compare: by epoch, then by step; no epoch is below every epoch."""
    return (-math.inf if epoch is None else epoch, step)


def is_int64(value: object) -> bool:
    """Whether `value` is an int (no bool) that 64 bits hold: a step, a time."""
    return type(value) is int and LOWEST_INT64 <= value <= HIGHEST_INT64


def is_epoch(value: object) -> bool:
    """Whether `value` can be an epoch: none, an int of up to 2^53, a finite float."""
    if type(value) is float:
        return math.isfinite(value)
    return value is None or (type(value) is int and -LARGEST_EPOCH <= value <= LARGEST_EPOCH)


def is_value(value: object) -> bool:
    """Whether `value` can be a metric's value: a float, a bool, or an int of up to 1,000 bits."""
    return type(value) is float or type(value) is bool or (type(value) is int and value.bit_length() <= INT_BITS)
