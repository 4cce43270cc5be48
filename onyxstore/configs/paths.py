"""Paths into the values of a config: the keys and list positions that lead to one of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from onyxstore.canonical import canonical_bytes
from onyxstore.yaml12 import Key

Path = tuple[Key, ...]


def dotted(path: Path) -> str:
    """A path as it is shown: `optimizer_params.betas.0`."""
    return ".".join(map(str, path))


def path_from(text: str, values: Any) -> Path:
    """The path that a dotted key means in values. Where a key has dots in it, that one; where a list stands, a position."""
    path: Path = ()
    while text:
        first, _, rest = text.partition(".")
        if isinstance(values, dict) and text in values:
            first, rest = text, ""
        step = (int(first),) if isinstance(values, list) and first.isdecimal() else (first,)
        path += step
        values = at(values, step) if is_at(values, step) else None
        text = rest
    return path


def at(values: Any, path: Path) -> Any:
    """What a path leads to; LookupError when that is nothing."""
    for key in path:
        if not (key in values if isinstance(values, dict) else isinstance(values, list) and key in range(len(values))):
            raise KeyError(key)
        values = values[key]
    return values


def is_at(values: Any, path: Path) -> bool:
    """Whether a path leads to something."""
    try:
        at(values, path)
    except LookupError:
        return False
    return True


def put(values: Any, path: Path, value: Any) -> Any:
    """Values with another one at a path; those handed in stay as they are. Mappings on the way are made; LookupError beside a list."""
    if not path:
        return value
    made: Any = copy.copy(values) if isinstance(values, (dict, list)) else {}
    made[path[0]] = put(made[path[0]] if is_at(made, path[:1]) else None, path[1:], value)
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, kinds and all: 1, 1.0 and true are three."""
    return canonical_bytes(one) == canonical_bytes(other)


def nested(path: Path, value: Any) -> Any:
    """A value inside mappings, so that the path leads to it."""
    for key in reversed(path):
        value = {key: value}
    return value


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What is no mapping inside a value, each with its path; an empty mapping is a leaf."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, item in value.items():
        yield from leaves(item, (*path, key))
