"""How far apart two tensors are: sums over their values, from which the figures follow.

The bytes come in windows of any size, as they are read; what is known of each is a Comparison, and comparisons add up, in any order.
All sums are float64, formed in blocks that stay in the processor's cache. A value is *changed* when its bits are: -0.0 is not 0.0, and a
NaN is itself; where the dtypes differ, when its number is. Pairs with a NaN or an infinity are counted, and left out of the sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onyxstore.hashing import Buffer
from onyxstore.history.checkpoints.elements import FLOAT4, Numbers, count_values, differences, is_complex, read_words, widen
from onyxstore.history.checkpoints.tensors import WIDTHS

BLOCK = 1 << 15
"""Values that are widened at a time: three arrays of 256 kB, within the second-level cache of what is sold today. With 4,096 the calls
cost more than the sums, with a million it is the memory."""

_LARGEST_SQUARE = 480
"""Powers of two beyond which float64s are scaled before they are squared: sums of 2^60 such squares are numbers yet."""

_SOUND = 1e-280
"""A sum of squares below it may have lost some."""


@dataclass(frozen=True)
class Comparison:
    """Sums over pairs of values: `old`, `new` and `difference` of their squares, `product` of both, in units of 4^`exponent`.

    `nan` and `inf` count such values on the old and on the new side.
    """

    values: int = 0
    changed: int = 0
    finite: int = 0
    nan: tuple[int, int] = (0, 0)
    inf: tuple[int, int] = (0, 0)
    old: float = 0.0
    new: float = 0.0
    product: float = 0.0
    difference: float = 0.0
    exponent: int = 0

    def __add__(self, other: Comparison) -> Comparison:
        """What is known of both parts of a tensor together."""
        exponent = max((each.exponent for each in (self, other) if each.old or each.new), default=0)
        ours, theirs = (math.ldexp(1.0, 2 * min(each.exponent - exponent, 0)) for each in (self, other))
        return Comparison(
            self.values + other.values,
            self.changed + other.changed,
            self.finite + other.finite,
            (self.nan[0] + other.nan[0], self.nan[1] + other.nan[1]),
            (self.inf[0] + other.inf[0], self.inf[1] + other.inf[1]),
            self.old * ours + other.old * theirs,
            self.new * ours + other.new * theirs,
            self.product * ours + other.product * theirs,
            self.difference * ours + other.difference * theirs,
            exponent,
        )

    @property
    def norm(self) -> float | None:
        """The norm of the difference as a part of the old one's: inf where all old values are 0; None where no pair is finite."""
        if not self.finite and self.values:
            return None
        if not self.old:
            return math.inf if self.difference else 0.0
        return math.sqrt(self.difference) / math.sqrt(self.old)

    @property
    def cosine(self) -> float | None:
        """The cosine of the angle between both; None where one of them is all 0."""
        if not self.old or not self.new:
            return None
        return max(-1.0, min(1.0, self.product / (math.sqrt(self.old) * math.sqrt(self.new))))

    @property
    def share(self) -> float:
        """The part of the values that changed."""
        return self.changed / self.values if self.values else 0.0


def are_comparable(old: str, new: str) -> bool:
    """Whether tensors of these dtypes and of one shape have as many values: one of float4 has two where others have one."""
    return (old == FLOAT4) == (new == FLOAT4)


def compare(old_dtype: str, old: Buffer, new_dtype: str, new: Buffer) -> Comparison:
    """What is known of two windows with as many values."""
    found = Comparison()
    before, after = memoryview(old).cast("B"), memoryview(new).cast("B")
    steps = BLOCK * WIDTHS[old_dtype], BLOCK * WIDTHS[new_dtype]
    for number in range(-(-before.nbytes // steps[0])):
        ours, theirs = (view[number * step : (number + 1) * step] for view, step in zip((before, after), steps, strict=True))
        found += _compare_block(old_dtype, ours, new_dtype, theirs)
    return found


def _compare_block(old_dtype: str, old: memoryview, new_dtype: str, new: memoryview) -> Comparison:
    values = count_values(old_dtype, old.nbytes)
    if old_dtype != new_dtype:
        before, after = _as_pairs(old_dtype, new_dtype, widen(old_dtype, old)), _as_pairs(new_dtype, old_dtype, widen(new_dtype, new))
        with np.errstate(invalid="ignore", over="ignore"):
            apart = after - before
        changed = _any_part((before != after) & ~(np.isnan(before) & np.isnan(after)), values)
        return _sums(before, after, apart, values, changed)
    changed = _any_part(read_words(old_dtype, old) != read_words(new_dtype, new), values)
    before = widen(old_dtype, old)
    if not changed:
        return _sums(before, before, None, values, 0)
    with np.errstate(invalid="ignore", over="ignore"):
        return _sums(before, widen(new_dtype, new), differences(old_dtype, new, old), values, changed)


def _sums(old: Numbers, new: Numbers, apart: Numbers | None, values: int, changed: int) -> Comparison:
    """The sums; `apart` is new minus old, None where they are the same."""
    with np.errstate(invalid="ignore", over="ignore"):
        sums = _dots(old, new, apart)
    # Squares of float64s can be too large for a float64, and too small.
    if math.isfinite(sum(sums)) and all(total > _SOUND or not side.any() for total, side in ((sums[0], old), (sums[1], new))):
        return Comparison(values, changed, values, (0, 0), (0, 0), *sums)
    return _careful_sums(old, new, apart, values, changed)


def _careful_sums(old: Numbers, new: Numbers, apart: Numbers | None, values: int, changed: int) -> Comparison:
    """The same where something is not finite, or has no square that is: such values are left out, and the rest is scaled."""
    parts = len(old) // values
    keep = np.isfinite(old) & np.isfinite(new)
    keep = np.repeat(keep.reshape(values, parts).all(axis=1), parts)
    exponent = math.frexp(max((float(np.abs(each[keep]).max()) for each in (old, new) if keep.any()), default=0.0))[1]
    exponent = exponent if abs(exponent) > _LARGEST_SQUARE else 0
    ours, theirs = (np.ldexp(each[keep], -exponent) for each in (old, new))
    # Two float64s may be further apart than any float64 says.
    is_exact = apart is not None and np.isfinite(apart[keep]).all()
    sums = _dots(ours, theirs, np.ldexp(apart[keep], -exponent) if apart is not None and is_exact else theirs - ours)
    nan = tuple(_any_part(np.isnan(each), values) for each in (old, new))
    inf = tuple(_any_part(np.isinf(each), values) for each in (old, new))
    return Comparison(values, changed, int(keep.sum()) // parts, (nan[0], nan[1]), (inf[0], inf[1]), *sums, exponent=exponent)


def _dots(old: Numbers, new: Numbers, apart: Numbers | None) -> tuple[float, float, float, float]:
    squares = _dot(old, old)
    return (squares, squares, squares, 0.0) if apart is None else (squares, _dot(new, new), _dot(old, new), _dot(apart, apart))


def _dot(one: Numbers, other: Numbers) -> float:
    # `one @ other` is BLAS, from 10,000 values on with threads of its own, which wait for one another by spinning: where other
    # threads work too, as here, it took up to fifty times as long.
    return float(np.einsum("i,i->", one, other))


def _any_part(holds: NDArray[Any], values: int) -> int:
    """The values of which any part is so."""
    return int(np.count_nonzero(holds if holds.size == values else holds.reshape(values, -1).any(axis=1)))


def _as_pairs(dtype: str, other: str, numbers: Numbers) -> Numbers:
    """Real numbers as complex ones, where the other side is complex."""
    if is_complex(dtype) or not is_complex(other):
        return numbers
    return np.stack([numbers, np.zeros_like(numbers)], -1).reshape(-1)
