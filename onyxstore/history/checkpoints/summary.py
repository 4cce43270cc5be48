"""What a tensor's values are like: range, mean, deviation, and how many are no numbers.

The bytes come in windows, as they are read. NaN and infinities are counted, and left out of the rest; complex numbers are taken by
their modulus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onyxstore.hashing import Buffer
from onyxstore.history.checkpoints.elements import FLOAT4, Numbers, count_values, is_complex, is_integer, read_native, widen
from onyxstore.history.checkpoints.tensors import WIDTHS

FIRST = 8
"""Values from the beginning that a summary has."""

BLOCK = 1 << 15
"""Values that are widened at a time, as `compare` does it."""

Number = int | float | complex


@dataclass(frozen=True)
class Summary:
    """A tensor's figures; `min`, `max`, `mean` and `std` are None where no value is finite. `std` is that of the values themselves."""

    values: int
    nan: int
    inf: int
    min: int | float | None
    max: int | float | None
    mean: float | None
    std: float | None
    first: tuple[Number, ...]


@dataclass(frozen=True)
class _Part:
    """Figures of some of the values; `spread` is the sum of squared distances from their mean."""

    finite: int = 0
    nan: int = 0
    inf: int = 0
    min: int | float = math.inf
    max: int | float = -math.inf
    mean: float = 0.0
    spread: float = 0.0

    def __add__(self, other: _Part) -> _Part:
        finite = self.finite + other.finite
        apart = other.mean - self.mean if self.finite and other.finite else 0.0
        mean = self.mean + apart * (other.finite / finite) if self.finite else other.mean
        spread = self.spread + other.spread + apart * apart * (self.finite * other.finite / finite if finite else 0.0)
        low, high = min(self.min, other.min), max(self.max, other.max)
        return _Part(finite, self.nan + other.nan, self.inf + other.inf, low, high, mean, spread)


def summarize(dtype: str, windows: Iterable[Buffer]) -> Summary:
    """The figures of a tensor whose bytes are these, one window after another; each is of whole values."""
    found = _Part()
    values = 0
    first: tuple[Number, ...] = ()
    step = BLOCK * WIDTHS[dtype]
    for window in windows:
        view = memoryview(window).cast("B")
        values += count_values(dtype, view.nbytes)
        first = first or _first(dtype, view)
        for offset in range(0, view.nbytes, step):
            found += _measure(dtype, view[offset : offset + step])
    if not found.finite:
        return Summary(values, found.nan, found.inf, None, None, None, None, first)
    std = math.sqrt(found.spread / found.finite)
    return Summary(values, found.nan, found.inf, found.min, found.max, found.mean, std, first)


def _measure(dtype: str, data: memoryview) -> _Part:
    numbers = widen(dtype, data)
    if is_complex(dtype):
        numbers = np.hypot(numbers[0::2], numbers[1::2])
    nan, inf = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    finite = numbers[np.isfinite(numbers)] if nan or inf else numbers
    if not len(finite):
        return _Part(0, nan, inf)
    # Of float64s near the largest the sum may be none; what that gives is infinite, and so it is.
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(finite.mean())
        spread = float(np.square(finite - mean).sum())
    low, high = _range(dtype, data, finite)
    return _Part(len(finite), nan, inf, low, high, mean, spread)


def _range(dtype: str, data: memoryview, finite: Numbers) -> tuple[int | float, int | float]:
    """The least and the greatest: of ints exactly."""
    if is_integer(dtype):
        native = read_native(dtype, data)
        return int(native.min()), int(native.max())
    return float(finite.min()), float(finite.max())


def _first(dtype: str, data: memoryview) -> tuple[Number, ...]:
    size = FIRST // 2 if dtype == FLOAT4 else FIRST * WIDTHS[dtype]
    head = data[:size]
    if is_complex(dtype):
        parts = widen(dtype, head).tolist()
        return tuple(map(complex, parts[0::2], parts[1::2]))
    return tuple((read_native(dtype, head) if is_integer(dtype) else widen(dtype, head)).tolist())
