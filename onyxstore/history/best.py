"""Which of two values of a metric is better.

`min` and `max` only. NaN is no candidate and beats nothing; a tie leaves the earlier one in place, so that `best` is the first
commit that reached the value and reruns of a comparison change nothing.
"""

from __future__ import annotations

import math
from typing import Literal

from onyxstore.errors import BadInput

Mode = Literal["min", "max"]
Number = float | int | bool


def check_mode(mode: str) -> Mode:
    """`mode` when it is one; BadInput otherwise."""
    if mode == "min":
        return "min"
    if mode == "max":
        return "max"
    raise BadInput(f"best_mode is 'min' or 'max', not {mode!r}")


def is_candidate(value: object) -> bool:
    """Whether the value can be best at all: a number that is not NaN."""
    return isinstance(value, int) or (isinstance(value, float) and not math.isnan(value))


def is_better(value: Number, than: Number, mode: Mode) -> bool:
    """Whether `value` takes the place of `than`."""
    return is_candidate(value) and (value < than if mode == "min" else value > than)
