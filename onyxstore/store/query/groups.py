"""Groups: the runs of one thing (seeds, reruns), folded into one line each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from onyxstore.store.query.compare import same
from onyxstore.store.query.traits import Trait
from onyxstore.store.run_rows import RunRow


class Spread(NamedTuple):
    """The mean of numbers, their standard deviation (of a sample: by n - 1; None of one alone), and of how many runs."""

    mean: float
    deviation: float | None
    runs: int


class Several(NamedTuple):
    """Values that are not all numbers, and not one: how many different ones."""

    values: int


class Group(NamedTuple):
    """Runs that share a group, in the order that they came in. Runs without one are each a group by themselves."""

    name: str
    rows: Sequence[RunRow]

    @property
    def statuses(self) -> Counter[str]:
        """How many runs have which status."""
        return Counter(row.status for row in self.rows)

    def value(self, trait: Trait) -> Any:
        """What the group has of a trait: of numbers their Spread, else the one value that all have, or Several; None when none has any.

        Numbers that are all equal are one value too, where they were written down: a key of a config.
        """
        values = [value for row in self.rows if (value := trait.of(row)) is not None]
        if not values:
            return None
        if all(same(values[0], value) for value in values[1:]) and trait.kind != "metric":
            return values[0]
        if all(isinstance(value, (bool, int, float)) for value in values) and trait.kind in {"metric", "number"}:
            return spread(values)
        return Several(len({repr(value) for value in values}))


def fold_groups(rows: Iterable[RunRow]) -> list[Group]:
    """The groups, in the order of their first runs."""
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        groups.setdefault(row.group or row.name, []).append(row)
    return [Group(name, members) for name, members in groups.items()]


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation of one or more numbers."""
    try:
        numbers = [float(value) for value in values]
        mean = math.fsum(numbers) / len(numbers)
        squares = math.fsum((number - mean) ** 2 for number in numbers)
    except (OverflowError, ValueError):  # beyond all floats; infinities of both signs
        return Spread(math.nan, math.nan if len(values) > 1 else None, len(values))
    return Spread(mean, math.sqrt(squares / (len(numbers) - 1)) if len(numbers) > 1 else None, len(numbers))
