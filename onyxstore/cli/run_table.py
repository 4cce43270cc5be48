"""Runs as a table: what every run has, then what they differ in, or what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onyxstore.cli.figures import age, date, figure, literal, plural, since
from onyxstore.cli.screen import Cell, Line, Painted
from onyxstore.cli.table import Column, fit, lay_out, terminal_width
from onyxstore.store.query.groups import Group, Several, Spread
from onyxstore.store.query.run import RunList
from onyxstore.store.query.traits import Trait, differing, logged
from onyxstore.store.run_rows import RunRow

LONGEST = 40
"""Characters of a config's value; `--json` has it whole."""

_STATUS_STYLES = {"running": "live", "finished": "good", "open": "faint", "failed": "bad", "crashed": "bad", "killed": "odd"}

_NARROW = 60
"""A terminal with fewer characters cuts names to 10 of them where it must, a wider one to 20."""


def run_lines(runs: RunList, chosen: Sequence[Trait] | None) -> list[Line]:
    """A line for each run, with the traits that were chosen; without a choice those in which the runs differ."""
    rows, followed = runs.rows, _followed(runs.rows)
    traits = _unasked(runs) if chosen is None else chosen
    is_live = any(row.status == "running" for row in rows)
    layout = [_named("RUN"), Column("STATUS"), Column("AGE", right=True, optional=True), Column("STEP", right=True, optional=True)]
    layout += [Column("STEPS/S", right=True, optional=True)] if is_live else []
    layout.append(Column(f"best {followed}" if followed else "BEST", right=True, cut=10))
    values = [[trait.of(row) for trait in traits] for row in rows]
    cells = [[*_fixed(row, followed, is_live=is_live), *_shown(traits, own)] for row, own in zip(rows, values, strict=True)]
    return _lines([*layout, *_columns(traits, values)], cells)


def group_lines(runs: RunList, groups: Sequence[Group], chosen: Sequence[Trait] | None) -> list[Line]:
    """A line for each group: how many runs, how they ended, and of numbers the mean and the deviation."""
    followed = _followed(runs.rows)
    traits = chosen
    if traits is None:
        traits = [trait for trait in _unasked(runs) if _tells_apart(trait, groups)]
    layout = [_named("GROUP"), Column("RUNS", right=True), Column("STATUS", cut=8)]
    layout.append(Column(f"best {followed}" if followed else "BEST", right=True, cut=10))
    values = [[group.value(trait) for trait in traits] for group in groups]
    cells = [
        [group.name, str(len(group.rows)), _statuses(group), _value(_BEST, group.value(_BEST)), *_shown(traits, own)]
        for group, own in zip(groups, values, strict=True)
    ]
    return _lines([*layout, *_columns(traits, values)], cells)


_BEST = Trait("best", "metric", lambda row: row.best.value if row.best else None)


def _unasked(runs: RunList) -> list[Trait]:
    """The keys of configs in which the runs differ; metrics too where none of the runs has a best value to show."""
    metrics = logged(runs.rows) if all(_BEST.of(row) is None for row in runs.rows) else []
    return [*differing(runs.rows), *metrics]


def _tells_apart(trait: Trait, groups: Sequence[Group]) -> bool:
    """Whether groups differ in a trait of which one of them has one value: not in the seed, which differs within each."""
    values = [group.value(trait) for group in groups]
    return len(set(map(repr, values))) > 1 and any(value is not None and not isinstance(value, Several) for value in values)


def _followed(rows: Sequence[RunRow]) -> str | None:
    """The one metric that all runs with a best commit follow; None when they follow several, or none."""
    followed = {row.best.metric for row in rows if row.best is not None and row.best.metric is not None}
    return followed.pop() if len(followed) == 1 else None


# -------------------------------------------------------------------------------------------------------- private: layout


def _named(title: str) -> Column:
    return Column(title, cut=20 if (terminal_width() or _NARROW) >= _NARROW else 10, middle=True)


def _columns(traits: Sequence[Trait], values: Sequence[Sequence[Any]]) -> list[Column]:
    """A column for each trait; numbers stand to the right."""
    numbers = (int, float, Spread, type(None))
    return [
        Column(trait.title, right=all(isinstance(own[number], numbers) for own in values), optional=True)
        for number, trait in enumerate(traits)
    ]


def _lines(layout: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> list[Line]:
    lines, left_out = lay_out(layout, cells, terminal_width())
    if not left_out:
        return [*lines]
    words = f"no room for {plural(len(left_out), 'column')}: {', '.join(left_out)}"
    return [*lines, [Painted(fit(words, terminal_width() or len(words)), "faint")]]


# --------------------------------------------------------------------------------------------------------- private: cells


def _fixed(row: RunRow, followed: str | None, *, is_live: bool) -> list[Cell]:
    """The cells that every run has; the best value without its metric's name where that is the column's title."""
    best = row.best
    value = "-" if best is None or best.value is None else figure(best.value)
    value += "" if best is None or best.step is None else f" @{best.step}"
    name = "" if followed is not None or best is None or best.metric is None else f"{best.metric} "
    rate: list[Cell] = ["-" if row.rate is None else f"{row.rate:.3g}"] if is_live else []
    step = "-" if row.step is None else str(row.step)
    return [row.name, Painted(row.status, _STATUS_STYLES[row.status]), age(since(row.created / 1e9)), step, *rate, name + value]


def _statuses(group: Group) -> Cell:
    """The status that all runs of a group have, or how many have which."""
    if len(group.statuses) == 1:
        (status,) = group.statuses
        return Painted(status, _STATUS_STYLES[status])
    return ", ".join(f"{count} {status}" for status, count in group.statuses.most_common())


def _shown(traits: Sequence[Trait], values: Sequence[Any]) -> list[Cell]:
    return [_value(trait, value) for trait, value in zip(traits, values, strict=True)]


def _value(trait: Trait, value: Any) -> str:
    """A value of a run, or of a group."""
    if value is None:
        return "-"
    if isinstance(value, Spread):
        return figure(value.mean) if value.deviation is None else f"{figure(value.mean)} ± {value.deviation:.2g}"
    if isinstance(value, Several):
        return plural(value.values, "value")
    if trait.kind == "moment":
        return date(value / 1e9)
    if trait.kind == "words":
        return ", ".join(value)
    return figure(value) if trait.kind in {"metric", "number"} else fit(literal(value), LONGEST, middle=True)
