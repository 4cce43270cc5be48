"""From what a program holds as its config to a plain value: None, bool, int, float, str, lists, dicts with such keys.

Taken are dicts and other mappings, lists, tuples, sets, dataclasses, `argparse.Namespace`, numpy's scalars and arrays, torch's dtypes
and devices, paths, enums, dates, and whatever dumps itself in the way of pydantic, attrs, OmegaConf, transformers or ml_collections.
None of these libraries is imported: an object is known by its methods, or by its type's name. Anything else, a class or a function
among them, is an error that names its path: a `repr` with a memory address in it would make every run's config differ.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import enum
import math
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from onyxstore.canonical import canonical_bytes
from onyxstore.errors import CannotEncode
from onyxstore.history.secrets import MASK, dotted
from onyxstore.yaml12 import MAX_DEPTH, MAX_VALUES


def plain_value(value: object) -> Any:
    """The plain value of a config object; CannotEncode names the path of what has none."""
    return _Walk().plain(value, (), 0)


class _Walk:
    """One walk over a config object. It counts, so that an object that holds itself ends in an error."""

    def __init__(self) -> None:
        self._count = 0

    def plain(self, value: object, path: tuple[object, ...], depth: int) -> Any:
        """The plain value of `value`, which stands at `path`; `depth` counts the steps of objects that dump themselves too."""
        self._count += 1
        if self._count > MAX_VALUES or depth >= MAX_DEPTH:
            limit = f"nested deeper than {MAX_DEPTH} levels" if depth >= MAX_DEPTH else f"more than {MAX_VALUES} values"
            raise _refusal(path, f"it is {limit}")
        if value is None or type(value) in {bool, int, float, str}:
            return value
        dumped = _dump(value, path)
        if dumped is not value:
            return self.plain(dumped, path, depth + 1)
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth)
        if isinstance(value, AbstractSet):
            return sorted((self.plain(item, path, depth + 1) for item in value), key=canonical_bytes)
        if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
            return [self.plain(item, (*path, index), depth + 1) for index, item in enumerate(value)]
        raise _refusal(path, f"a {type(value).__module__}.{type(value).__qualname__} is no config value")

    def _mapping(self, value: Mapping[Any, Any], path: tuple[object, ...], depth: int) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, item in value.items():
            plain = self.plain(key, path, depth + 1)
            if isinstance(plain, (list, dict)) or plain in made:
                raise _refusal(path, f"its key {str(key)[:60]!r} is no scalar, or stands for the same as another")
            made[plain] = self.plain(item, (*path, plain), depth + 1)
        return made


_STANDS_FOR: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((enum.Enum,), lambda value: value.value),
    ((int,), int),
    ((float,), float),
    ((str,), str),
    ((os.PathLike,), os.fsdecode),
    ((dt.date, dt.time), lambda value: value.isoformat()),
    ((argparse.Namespace, types.SimpleNamespace), vars),
)
"""The standard library's kinds that stand for a plainer value; enums first, since they may be ints and strings too."""


def _dump(value: Any, path: tuple[object, ...]) -> Any:
    """What an object stands for, one step nearer to a plain value; the object itself when it is no kind that stands for another."""
    for kinds, convert in _STANDS_FOR:
        if isinstance(value, kinds):
            return convert(value)
    if isinstance(value, type):
        return value
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    try:
        return _dump_itself(value)
    except (ValueError, TypeError) as error:
        raise _refusal(path, str(error)) from error


def _dump_itself(value: Any) -> Any:
    """An object by the method that its library gave it for the purpose."""
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if module == "omegaconf":
        return _dump_omegaconf(value)
    if module == "torch" and kind.__name__ in {"dtype", "device"}:
        return str(value)
    if hasattr(kind, "tolist") and hasattr(value, "shape"):
        return _dump_array(value)
    if hasattr(kind, "__attrs_attrs__"):
        return {each.name: getattr(value, each.name) for each in kind.__attrs_attrs__}
    if hasattr(kind, "get_secret_value"):
        return MASK
    method = next((name for name in ("model_dump", "to_dict") if hasattr(kind, name)), None)
    return getattr(value, method)() if method else value


def _dump_array(array: Any) -> Any:
    """The numbers of an array or array scalar of numpy, torch or any library like them."""
    if math.prod(array.shape) > MAX_VALUES:
        message = f"an array of shape {tuple(array.shape)} is no config value"
        raise ValueError(message)
    return array.tolist()


def _dump_omegaconf(config: Any) -> Any:
    """OmegaConf's value with its references resolved, but those to the environment: its variables are recorded by an allow-list only."""
    library = sys.modules["omegaconf"]
    try:
        return _without_environment(library.OmegaConf.to_container(config), library.OmegaConf.to_container(config, resolve=True))
    except library.errors.OmegaConfBaseException as error:
        raise ValueError(str(error)) from error


def _without_environment(raw: Any, resolved: Any) -> Any:
    if isinstance(raw, str):
        return raw if "env:" in raw else resolved
    if isinstance(raw, dict):
        return {key: _without_environment(raw[key], item) for key, item in resolved.items()}
    if isinstance(raw, list):
        return [_without_environment(*pair) for pair in zip(raw, resolved, strict=True)]
    return resolved


def _refusal(path: tuple[object, ...], why: str) -> CannotEncode:
    return CannotEncode(dotted(path) or "the config", why)
