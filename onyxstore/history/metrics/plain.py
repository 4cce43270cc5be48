"""What users log, as plain Python numbers.

Accepted are numbers, bools, and whatever holds one number and says it by `.item()`: numpy scalars and arrays, tensors of any
framework (none is imported; one on a GPU is waited for). Nested dicts become names joined with `/`. A value keeps its kind: a
float32 becomes the float64 that equals it. Everything else is BadMetric, with the metric's name.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from onyxstore.errors import BadMetric
from onyxstore.history.metrics.records import INT_BITS, LARGEST_EPOCH, Epoch, Points, Value, is_epoch, is_int64, is_value
from onyxstore.names import check_metric_name

DEEPEST = 20
"""Levels of nested dicts; more is a dict that holds itself."""

_AS_THEY_ARE = frozenset({float, bool})
_REMEMBERED = 100_000

_good_names: set[str] = set()
"""Names that passed their check: a run logs the same few a million times."""


def plain_metrics(metrics: Mapping[str, Any]) -> Mapping[str, Value]:
    """`metrics` as names and plain numbers; the very same dict when it is that already. BadMetric or BadName for what is neither."""
    if type(metrics) is dict and _good_names.issuperset(metrics) and _AS_THEY_ARE.issuperset(map(type, metrics.values())):
        return metrics
    if not isinstance(metrics, Mapping):
        raise BadMetric("what was handed in", f"it is a {type(metrics).__name__}, no dict of names and numbers")
    plain: dict[str, Value] = {}
    for name, value in _flat(metrics, "", DEEPEST):
        if name in plain:
            raise BadMetric(name, "two values have this name")
        plain[name] = plain_value(name, value)
    if len(_good_names) < _REMEMBERED:
        _good_names.update(plain)
    return plain


def plain_value(name: str, value: Any) -> Value:
    """One value as a float, int or bool; BadMetric when it is none."""
    if is_value(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        number = int(value)
        if number.bit_length() > INT_BITS:
            raise BadMetric(name, f"an int of more than {INT_BITS} bits")
        return number
    return plain_value(name, _item(name, value))


def plain_step(step: Any) -> int:
    """A step as an int; BadMetric when it is none or needs more than 64 bits."""
    try:
        number = operator.index(step)
    except TypeError:
        raise BadMetric("step", f"{step!r:.60} is no whole number") from None
    if not is_int64(number):
        raise BadMetric("step", f"{number!r:.60} needs more than 64 bits")
    return number


def plain_epoch(epoch: Any) -> Epoch:
    """An epoch as None, an int or a float; BadMetric when it is none of these, or cannot be put in order."""
    if is_epoch(epoch):
        return epoch  # type: ignore[no-any-return]
    number = plain_value("epoch", epoch)
    if type(number) is bool or not is_epoch(number):
        raise BadMetric("epoch", f"{epoch!r:.60} is no finite number of up to {LARGEST_EPOCH}")
    return number


def plain_columns(columns: Mapping[str, Any], steps: Any, epochs: Any, time: int) -> list[Points]:
    """Columns (lists, arrays, tensors of one length) as a record a row; None in a column is no value; `epochs` is one, a column or None.

    All rows carry the same time: they were handed in by one call.
    """
    names = [check_metric_name(name) for name in columns]
    rows = [plain_step(step) for step in _listed("step", steps)]
    wanted = repeat(plain_epoch(epochs)) if epochs is None or _is_one(epochs) else map(plain_epoch, _listed("epoch", epochs, len(rows)))
    lists = [_listed(name, columns[name], len(rows)) for name in names]
    made = []
    for step, epoch, *values in zip(rows, wanted, *lists, strict=False):
        kept = {name: plain_value(name, value) for name, value in zip(names, values, strict=True) if value is not None}
        made.append(Points(step, epoch, time, kept))
    return made


def _flat(metrics: Mapping[str, Any], prefix: str, levels: int) -> Iterator[tuple[str, Any]]:
    if not levels:
        raise BadMetric(prefix[:60], f"dicts nested deeper than {DEEPEST}")
    for key, value in metrics.items():
        name = prefix + key if type(key) is str else key
        if isinstance(value, Mapping):
            yield from _flat(value, f"{check_metric_name(name)}/", levels - 1)
        else:
            yield check_metric_name(name), value


def _item(name: str, value: Any) -> Any:
    """The one number inside an array or tensor."""
    shape = getattr(value, "shape", None)
    item = getattr(value, "item", None)
    if shape is None or not callable(item):
        raise BadMetric(name, f"a {type(value).__name__} is no number")
    if math.prod(shape) != 1:
        raise BadMetric(name, f"it holds {math.prod(shape)} numbers, shape {tuple(shape)}")
    try:
        number = item()
    except (RuntimeError, TypeError, ValueError) as error:
        raise BadMetric(name, f"its number cannot be had ({error})") from None
    if not isinstance(number, float | int):
        raise BadMetric(name, f"it holds a {type(number).__name__}, no number")
    return number


def _is_one(value: Any) -> bool:
    return isinstance(value, float | int) or getattr(value, "shape", None) == ()


def _listed(name: str, column: Any, length: int | None = None) -> Sequence[Any]:
    """A column as a list of Python values, of `length` if one is given."""
    listed = column.tolist() if hasattr(column, "tolist") else column
    if isinstance(listed, str | bytes | Mapping) or not hasattr(listed, "__iter__"):
        raise BadMetric(name, f"a {type(column).__name__} is no column of numbers")
    listed = list(listed)
    if length is not None and len(listed) != length:
        raise BadMetric(name, f"its column has {len(listed)} rows, the steps have {length}")
    return listed
