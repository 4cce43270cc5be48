"""What the names in a query mean: the traits of a run.

A name is looked for in this order, over all runs of the store:

1. a field of the run's own, if it is one word without quotes: name, status, group, labels, created, ended, step, epoch
2. a metric of that name; then one of the name without its last part, if that is last, min, max, best or at_best
3. a key of a config by its whole path, which begins with the config's name
4. a key of a config by its path without that name, where only one config has such a key

What no run has by any of these is an error, not a condition that is false: it was misspelt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from onyxstore.names import near
from onyxstore.store.query.compare import same
from onyxstore.store.run_rows import RunRow

if TYPE_CHECKING:
    from onyxstore.history.metrics.records import Value
    from onyxstore.store.query.tree import Name

Kind = Literal["text", "words", "moment", "number", "metric", "config"]

FIGURES = ("last", "min", "max", "best", "at_best")
"""What can be asked of a metric: `best` is the least or the greatest by the run's own mode, `at_best` the value at its best commit."""


class Trait(NamedTuple):
    """Something that a run may have: what it is called, what kind of value it is, and how it is had of a row; None: the run has none."""

    title: str
    kind: Kind
    of: Callable[[RunRow], Any]


FIELDS = {
    "name": Trait("name", "text", lambda row: row.name),
    "status": Trait("status", "text", lambda row: row.status),
    "group": Trait("group", "text", lambda row: row.group),
    "labels": Trait("labels", "words", lambda row: row.labels),
    "created": Trait("created", "moment", lambda row: row.created),
    "ended": Trait("ended", "moment", lambda row: row.ended),
    "step": Trait("step", "number", lambda row: row.step),
    "epoch": Trait("epoch", "number", lambda row: row.epoch),
}


class Unknown(Exception):
    """A name that means nothing, or more than one thing: words for it, and what was perhaps meant."""

    def __init__(self, words: str, near: Sequence[str] = (), *, is_ambiguous: bool = False) -> None:
        super().__init__(words)
        self.near, self.is_ambiguous = tuple(near), is_ambiguous


class Traits:
    """All that names can mean where these are the runs."""

    def __init__(self, rows: Iterable[RunRow]) -> None:
        self.rows = tuple(rows)

    @cached_property
    def metrics(self) -> Mapping[str, None]:
        """Every metric, in the order in which one meets them."""
        found: dict[str, None] = {}
        for row in self.rows:
            found.update(dict.fromkeys(row.curves))
            found.update(dict.fromkeys(row.values))
        return found

    @cached_property
    def keys(self) -> Mapping[str, Mapping[str, None]]:
        """The paths of every config, by its name."""
        return _keys(self.rows)

    def find(self, name: Name) -> Trait:
        """What a name means; Unknown. Where there are no runs it may mean anything, and nobody has it."""
        last = name.segments[-1]
        if len(name.segments) == 1 and not last.is_quoted and last.text in FIELDS:
            return FIELDS[last.text]
        if self._has_metric(name.text):
            return metric_trait(name.text, "last")
        metric = name.text.removesuffix(f".{last.text}")
        if len(name.segments) > 1 and not last.is_quoted and last.text in FIGURES and self._has_metric(metric):
            return metric_trait(metric, last.text)
        return self._find_key(name.text) if self.rows else Trait(name.text, "config", lambda _: None)

    def _has_metric(self, name: str) -> bool:
        # Mostly the first run has it: all names are gathered only for who asks for one that nobody has.
        return any(name in row.curves or name in row.values for row in self.rows)

    def _find_key(self, text: str) -> Trait:
        whole = [(config, text[len(config) + 1 :]) for config in self.keys if text == config or text.startswith(f"{config}.")]
        found = [key for key in whole if self._has(*key)] or [(config, text) for config in self.keys if self._has(config, text)]
        if not found:
            meant = self._meant(text)
            raise Unknown(f"no run has '{text}'" + (f"; did you mean {_either(meant)}?" if meant else ""), meant)
        if len(found) > 1:
            meant = [whole_path(*key) for key in found]
            raise Unknown(f"'{text}' could be {_either(meant)}; write it with the config's name", meant, is_ambiguous=True)
        return key_trait(*found[0])

    def _has(self, config: str, path: str) -> bool:
        if path in self.keys[config]:
            return True
        # An element of a list, or of what stands in one: only the values know.
        is_below = any(path.startswith(f"{leaf}.") for leaf in self.keys[config])
        return is_below and any(_at(row.configs.get(config, {}), path) is not None for row in self.rows)

    def _meant(self, text: str) -> list[str]:
        """What was perhaps meant: what a section holds, or names that are nearly the same."""
        keys = [whole_path(config, path) for config, paths in self.keys.items() for path in paths]
        below = [key for key in (*keys, *self.metrics) if key.startswith(f"{text}.")]
        # What is behind the config's name may be misspelt as well as all of it.
        known = [*FIELDS, *self.metrics, *keys, *(path for paths in self.keys.values() for path in paths)]
        metric, _, figure = text.rpartition(".")
        figures = [f"{each}.{figure}" for each in near(metric, self.metrics)] if figure in FIGURES else []
        return below[:3] or figures or list(near(text, known))


def _keys(rows: Iterable[RunRow]) -> dict[str, dict[str, None]]:
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for config, leaves in row.configs.items():
            found.setdefault(config, {}).update(dict.fromkeys(leaves))
    return found


def differing(rows: Sequence[RunRow]) -> list[Trait]:
    """The keys of configs in which these runs differ, those that most of them have first.

    Each is called by its path alone, where among these runs that means no other key, no metric and no field.
    """
    found: list[tuple[int, Trait]] = []
    keys = _keys(rows)
    counts = Counter(path for paths in keys.values() for path in paths)
    taken = {"", *FIELDS, *(name for row in rows for name in (*row.curves, *row.values))}
    for config, paths in keys.items():
        leaves = [row.configs.get(config, {}) for row in rows]
        for path in paths:
            values = [each.get(path) for each in leaves]
            if _differ(values):
                trait = key_trait(config, path)
                is_clear = counts[path] == 1 and path not in taken
                found.append((values.count(None), trait._replace(title=path) if is_clear else trait))
    return [trait for _, trait in sorted(found, key=lambda each: each[0])]


def logged(rows: Iterable[RunRow]) -> list[Trait]:
    """The metrics of these runs, those that most of them have first."""
    count = Counter(name for row in rows for name in (*row.curves, *row.values))
    return [metric_trait(name, "last") for name in sorted(count, key=lambda name: -count[name])]


def metric_trait(metric: str, figure: str) -> Trait:
    """One figure of a metric."""

    def of(row: RunRow) -> Value | None:
        found = row.figures(metric)
        if found is None:
            return None
        if figure == "best":
            return found.min if row.best_mode == "min" else found.max
        value: Value | None = getattr(found, figure)
        return value

    return Trait(metric if figure == "last" else f"{metric}.{figure}", "metric", of)


def key_trait(config: str, path: str) -> Trait:
    """One key of a config."""
    return Trait(whole_path(config, path), "config", lambda row: _at(row.configs.get(config, {}), path))


def _differ(values: Sequence[Any]) -> bool:
    """Whether not all are one value, kinds included; one that is missing differs from all others."""
    if not values or (values.count(values[0]) == len(values) and len(set(map(type, values))) == 1):
        return False
    return not all(type(value) is type(values[0]) and same(value, values[0]) for value in values)


def whole_path(config: str, path: str) -> str:
    """A key with its config's name before it."""
    return f"{config}.{path}" if path else config


def _at(leaves: Mapping[str, Any], path: str) -> Any:
    """What a config has at a path: a leaf, or an element of one that is a list."""
    if path in leaves:
        return leaves[path]
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        leaf = ".".join(parts[:end])
        if leaf in leaves:
            return _inside(leaves[leaf], parts[end:])
    return None


def _inside(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if type(value) is list and re.fullmatch(r"\d{1,9}", key) and int(key) < len(value):
            value = value[int(key)]
        elif type(value) is dict:
            value = value.get(key)
        else:
            return None
    return value


def _either(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"

