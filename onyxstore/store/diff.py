"""What differs between two commits: configs, metrics, code, environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onyxstore.history.config_difference import Change, config_difference
from onyxstore.history.metrics.records import Value
from onyxstore.store.views import Commit


@dataclass(frozen=True)
class MetricChange:
    """A metric's last value up to each of the two commits; None where it has none."""

    name: str
    old: Value | None
    new: Value | None

    @property
    def differs(self) -> bool:
        """Whether the two are not one value; NaN is NaN."""
        return repr(self.old) != repr(self.new)

    @property
    def change(self) -> float | int | None:
        """New minus old; None where one is missing, or where no float is large enough."""
        try:
            return None if self.old is None or self.new is None else self.new - self.old
        except OverflowError:
            return None


@dataclass(frozen=True)
class Difference:
    """Two commits side by side; parts that are equal are left out, but for metrics, which are all there."""

    old: Commit
    new: Commit
    configs: Mapping[str, tuple[Change, ...]]
    metrics: tuple[MetricChange, ...]
    code: tuple[Change, ...]
    environment: tuple[Change, ...]

    def __bool__(self) -> bool:
        """Whether anything differs; equal metrics are no difference."""
        return bool(self.configs or self.code or self.environment or any(each.differs for each in self.metrics))


def difference(old: Commit, new: Commit) -> Difference:
    """What differs between two commits."""
    names = dict.fromkeys([*old.config_entries, *new.config_entries])
    configs = {name: _config_changes(old.config, new.config, name) for name in names}
    return Difference(
        old,
        new,
        {name: changes for name, changes in configs.items() if changes},
        _metrics(last_values(old), last_values(new)),
        config_difference(_shown_code(old.code), _shown_code(new.code)),
        config_difference(_shown_environment(old.environment), _shown_environment(new.environment)),
    )


def last_values(commit: Commit) -> dict[str, Value]:
    """The last value of each metric up to a commit, and what was handed in with it where nothing of that name was logged."""
    logged = {name: series.last for name, series in commit.metrics.items()}
    checkpoint = commit.checkpoint
    return {**(checkpoint.metrics if checkpoint else {}), **commit.values, **logged}


def _metrics(old: Mapping[str, Value], new: Mapping[str, Value]) -> tuple[MetricChange, ...]:
    return tuple(MetricChange(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))


def _config_changes(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> tuple[Change, ...]:
    """The changes of one config; of one that only one side has, its leaves, as if the other had an empty one."""
    if name in old and name in new:
        return config_difference(old[name], new[name])
    there = old[name] if name in old else new[name]
    nothing: Any = type(there)() if type(there) in {dict, list} else None
    return config_difference(old.get(name, nothing), new.get(name, nothing))


def _shown_environment(environment: Mapping[str, Any] | None) -> dict[str, Any]:
    """The environment with the command line in one piece: word by word it would be one change for each."""
    shown = dict(environment or {})
    return shown | {"argv": shlex.join(map(str, shown["argv"]))} if shown.get("argv") else shown


def _shown_code(code: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(code or {})
