"""Which of two values of a metric is better.

`min` and `max` only. NaN is no candidate and beats nothing; a tie leaves the earlier one in place, so that `best` is the first
commit that reached the value and reruns of a comparison change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from onyxstore.errors import BadInput

Mode = Literal["min", "max"]
Number = float | int | bool
Moment = tuple[int | None, float | int | None]
"""A step and an epoch, as far as they are known."""


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


class Candidate:
    """The last logged value of the metric that a run's best follows: a checkpoint of the same moment may be best by it."""

    def __init__(self, metric: str | None) -> None:
        self.metric = metric or ""
        self._moment: Moment = (None, None)
        self._value: Number | None = None

    def note(self, moment: Moment, values: Mapping[str, Number]) -> None:
        """Remembers the value, if it is among these."""
        if self.metric in values:
            self._moment, self._value = moment, values[self.metric]

    def at(self, moment: Moment) -> Number | None:
        """The value if it was logged at this moment; an epoch that one of the two does not say is no difference."""
        (step, epoch), (noted, during) = moment, self._moment
        return self._value if noted == step and (during == epoch or during is None or epoch is None) else None
