"""How values compare in a query.

Ints and floats are numbers, and compare as such; true and false are none, but for metrics, where they are 1 and 0. Text compares by its
characters, lists item by item. Values of two kinds are not equal, and neither is less than the other. NaN is NaN: `loss == nan` finds
the runs that diverged; it is not less than anything.

What a run does not have, and a config's null, are one. Every comparison with it is false, `!=` and `!~` too, but for `== null`, which
is true, and `in [null, …]`. `not` turns a result round, whatever it came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Comparing = Callable[[Any, Any], bool]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal."""
    if is_number(one) and is_number(other):
        return bool(one == other) or (_is_nan(one) and _is_nan(other))
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def less(one: Any, other: Any) -> bool:
    """Whether one value comes before another."""
    return is_ordered(one, other) and bool(one < other)


def is_number(value: Any) -> bool:
    """Whether a value is an int or a float, and no bool."""
    return type(value) is int or type(value) is float


def _is_nan(value: Any) -> bool:
    return type(value) is float and math.isnan(value)


def is_ordered(one: Any, other: Any) -> bool:
    """Whether one of two values comes before the other at all."""
    return (is_number(one) and is_number(other)) or (type(one) is str and type(other) is str)


def _unless_missing(holds: Comparing) -> Comparing:
    return lambda one, other: one is not None and other is not None and holds(one, other)


COMPARISONS: dict[str, Comparing] = {
    "==": same,
    "!=": lambda one, other: one is not None and (other is None or not same(one, other)),
    "<": _unless_missing(less),
    "<=": _unless_missing(lambda one, other: is_ordered(one, other) and bool(one <= other)),
    ">": _unless_missing(lambda one, other: less(other, one)),
    ">=": _unless_missing(lambda one, other: is_ordered(one, other) and bool(one >= other)),
    "in": lambda one, other: type(other) is list and any(same(one, item) for item in other),
    "not in": lambda one, other: one is not None and type(other) is list and not any(same(one, item) for item in other),
}
"""What each sign means between two values; patterns are apart, since they are read once."""
