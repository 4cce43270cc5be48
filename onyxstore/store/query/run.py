"""A query carried out: the runs for which it holds, in the order that was asked for.

`Store.runs` and `onyx runs` are this function. The language is imported when there is something to read in it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from onyxstore.errors import BadInput, UnknownName
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.frames import Runs
from onyxstore.store.listing import list_runs
from onyxstore.store.query.traits import Trait, Traits, Unknown
from onyxstore.store.run_rows import RunRow
from onyxstore.store.views import RunView

_log = logging.getLogger("onyxstore")


class RunList(Runs):
    """Runs, in order. Each reads afresh; `rows` is what was known of them when they were asked for, and what they were chosen by."""

    def __init__(self, doors: Doors, rows: Iterable[RunRow], traits: Traits, damaged: Mapping[str, str]) -> None:
        self.rows: Sequence[RunRow] = tuple(rows)
        self.traits = traits
        """What names can mean here, by all runs of the store."""
        self.damaged = damaged
        """The runs of the store of which something cannot be read, with what."""
        super().__init__(RunView(doors, row.name) for row in self.rows)

    def _rows(self) -> list[RunRow]:
        """For a frame of all of them nothing is read again."""
        return list(self.rows)


def query_runs(doors: Doors, where: str | None, sort: str | None) -> RunList:
    """The runs for which `where` holds, all without it, sorted by `sort`; the newest first without that. BadQuery, UnknownName."""
    rows, damaged = list_runs(doors)
    traits = Traits(rows)
    for name, words in damaged.items():
        _log.warning("run '%s' is damaged: %s; 'onyx fsck' says what else is hit", name, words)
    if where is not None:
        from onyxstore.store.query.check import check_query  # noqa: PLC0415 - see above

        holds = check_query(where, traits, time.time_ns())
        rows = [row for row in rows if holds(row)]
    if sort is not None:
        if type(sort) is not str:
            raise BadInput(f"sort is the name of a metric, a config key or a field, not a {type(sort).__name__}")
        is_falling = sort.startswith("-")
        rows = sort_rows(rows, find_trait(traits, sort.removeprefix("-")), is_falling=is_falling)
    return RunList(doors, rows, traits, damaged)


def find_trait(traits: Traits, name: str) -> Trait:
    """What a name by itself means, as `sort=` takes one; UnknownName with near matches, BadInput for one that means two things."""
    from onyxstore.store.query.parse import parse_name  # noqa: PLC0415 - see above

    try:
        return traits.find(parse_name(name))
    except Unknown as error:
        if error.is_ambiguous:
            raise BadInput(str(error)) from None
        raise UnknownName("metric or config key", name, "the store", error.near) from None


def sort_rows(rows: Iterable[RunRow], trait: Trait, *, is_falling: bool = False) -> list[RunRow]:
    """The rows by what they have of a trait, the smallest first, numbers before text; those that have none, and NaN, come last."""
    present: list[tuple[tuple[int, Any], RunRow]] = []
    missing: list[RunRow] = []
    for row in rows:
        key = _key(trait.of(row))
        if key is None:
            missing.append(row)
        else:
            present.append((key, row))
    return [row for _, row in sorted(present, key=lambda each: each[0], reverse=is_falling)] + missing


def _key(value: Any) -> tuple[int, Any] | None:
    if value is None or (type(value) is float and math.isnan(value)):
        return None
    if isinstance(value, (bool, int, float)):
        return 0, value
    return 1, fold(value if type(value) is str else str(value))
