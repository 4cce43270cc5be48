"""What changed between two config values: typed, nested, by key path.

1, 1.0 and True are three values, as they are in the canonical JSON that gives configs their identity; -0.0 is not 0.0, and NaN is
NaN. Mappings are compared by key, lists by position. A set of configs is a mapping of names to values, so the same function
compares two commits: their paths then begin with the config's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from onyxstore.history.secrets import dotted

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Change:
    """One difference: the keys and list positions that lead to it, and the values (None on the side that has none)."""

    path: tuple[Any, ...]
    kind: Kind
    old: Any = None
    new: Any = None

    @property
    def name(self) -> str:
        """The path as it is shown: `training.optimizer.lr`."""
        return dotted(self.path)


def config_difference(old: Any, new: Any) -> tuple[Change, ...]:
    """The changes from one value to another, in the order of the old one's keys, then what is new; () when they are the same.

    What only one side has is listed by its leaves; an empty mapping or list is one.
    """
    return tuple(_compare(old, new, ()))


def _compare(old: Any, new: Any, path: tuple[Any, ...]) -> Iterator[Change]:
    if type(old) is not type(new) or type(old) not in {dict, list}:
        if not _same(old, new):
            yield Change(path, "changed", old, new)
        return
    before, after = _children(old), _children(new)
    for typed_key, (key, item) in before.items():
        if typed_key in after:
            yield from _compare(item, after[typed_key][1], (*path, key))
        else:
            yield from (Change(leaf, "removed", old=value) for leaf, value in _leaves(item, (*path, key)))
    for typed_key, (key, item) in after.items():
        if typed_key not in before:
            yield from (Change(leaf, "added", new=value) for leaf, value in _leaves(item, (*path, key)))


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if type(value) not in {dict, list} or not value:
        yield path, value
        return
    for key, item in _children(value).values():
        yield from _leaves(item, (*path, key))


def _children(value: Any) -> dict[tuple[type, Any], tuple[Any, Any]]:
    """What a mapping or list holds, by typed key, since Python takes the keys 1 and True for one."""
    pairs = value.items() if type(value) is dict else enumerate(value)
    return {(type(key), key): (key, item) for key, item in pairs}


def _same(old: Any, new: Any) -> bool:
    """Whether two scalars are one value; `repr` tells 0.0 from -0.0 and takes NaN for NaN."""
    return type(old) is type(new) and (repr(old) == repr(new) if type(old) is float else old == new)
