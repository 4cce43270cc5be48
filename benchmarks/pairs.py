"""How everything here is timed: two things in turn, A B A B …, and the ratio of each pair.

A machine that others use is slow at one moment and fast at the next, for both of a pair alike. So the ratio is what is quoted, its
median, with the least and the greatest beside it; times are there to say what kind of thing was measured.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of the table: what, its goal, what was measured, in which words, and whether the goal was reached (None: no goal)."""

    what: str
    goal: str
    measured: str
    holds: bool | None = None
    detail: str = ""


@dataclass(frozen=True)
class Pairs:
    """The ratios of pairs A/B, and both medians in seconds."""

    ratios: tuple[float, ...]
    a: float
    b: float

    @property
    def median(self) -> float:
        """The ratio to quote."""
        return statistics.median(self.ratios)

    def row(self, what: str, limit: float, peer: str) -> Row:
        """As a line: `limit` is the most that the ratio may be."""
        spread = f"{self.median:.2f} ({min(self.ratios):.2f} to {max(self.ratios):.2f})"
        return Row(what, f"≤ {limit:g}x {peer}", spread, self.median <= limit, f"{_time(self.a)} against {_time(self.b)}")


def alternate(a: Callable[[], object], b: Callable[[], object], pairs: int = 9, warmup: int = 2) -> Pairs:
    """Times A and B in turn; the first `warmup` pairs don't count."""
    times: list[tuple[float, float]] = []
    for _ in range(pairs + warmup):
        gc.collect()
        times.append((_timed(a), _timed(b)))
    counted = times[warmup:]
    return Pairs(tuple(x / y for x, y in counted), statistics.median(x for x, _ in counted), statistics.median(y for _, y in counted))


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _time(seconds: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
