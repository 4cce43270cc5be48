"""What a table says of a run, and what a query asks: one row.

A row holds figures, not points. Of a metric it knows the value that was logged last, the least, the greatest, how many there were, and
the value as of the run's best commit; where a run logged none of a name, the final value that its summary has, else the values that
were handed in with its commits, else what notes say. So all of a question is answered by rows, and rows can be kept: `run_reading`
reads them, `index` keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from onyxstore.hashing import Address
    from onyxstore.history.best import Mode
    from onyxstore.history.metrics.records import Epoch, Value
    from onyxstore.history.runs import Status


class Figures(NamedTuple):
    """One metric of one run. `points` is 0 where none was logged: then it is a final value, or what was handed in with commits."""

    last: Value
    min: float | int
    max: float | int
    points: int = 0
    at_best: Value | None = None
    """What it was as of the run's best commit."""


class BestRow(NamedTuple):
    """A run's best commit: its address, when it was made, its step, the metric that it is best by and the value of that."""

    address: Address
    time: int
    step: int | None
    metric: str | None
    value: Value | None


class RunRow(NamedTuple):
    """One run. Times are nanoseconds since 1970 UTC; configs are leaves by path, lists whole, each config under its name."""

    name: str
    status: Status
    created: int
    ended: int | None
    labels: tuple[str, ...]
    group: str | None
    best_metric: str | None
    """What its best follows: its own, else the settings'."""
    best_mode: Mode
    step: int | None
    epoch: Epoch
    rate: float | None
    """Steps a second, of a run that is live."""
    records: int
    """How many its metric log has."""
    commits: int
    latest: Address | None
    latest_time: int
    """When its newest commit was made; 0 where that cannot be read."""
    best: BestRow | None
    configs: Mapping[str, Mapping[str, Any]]
    curves: Mapping[str, Figures]
    values: Mapping[str, Figures]
    """Metrics of which no point was logged."""

    def figures(self, metric: str) -> Figures | None:
        """What is known of a metric."""
        found = self.curves.get(metric)
        return found if found is not None else self.values.get(metric)
