"""Numbers, sizes and times as people read them; `--json` has them in full."""

from __future__ import annotations

import json
import math
import time

_LONG = 10**12
"""From here on an integer is shown like a float."""

_SIZES = ("kB", "MB", "GB", "TB", "PB")

_AGES = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (14 * 86_400, 86_400, "d"), (10**9, 7 * 86_400, "w"))
"""Up to so many seconds: the unit, and its name."""


def figure(value: object) -> str:
    """A value of a metric: floats and very large integers with five significant digits, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) < _LONG:
        return str(value)
    if isinstance(value, (int, float)):
        try:
            return f"{value:.5g}"
        except OverflowError:
            return "over 1e308" if value > 0 else "under -1e308"
    return str(value)


def literal(value: object) -> str:
    """A value of a config on one line: floats in full, what is nested as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def size(count: int) -> str:
    """Bytes: `999 B`, `1.2 kB`, `43.6 MB`, in powers of 1000."""
    if count < 1000:
        return f"{count} B"
    power = min(max(p for p in range(1, len(_SIZES) + 1) if count >= 999.95 * 1000 ** (p - 1)), len(_SIZES))
    return f"{count / 1000**power:.1f} {_SIZES[power - 1]}"


def plural(count: int, noun: str) -> str:
    """`1 commit`, `12 commits`, `1,200 commits`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """How long something took: `12 ms`, `3.4 s`, `5 min`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else age(seconds)


def age(seconds: float) -> str:
    """How long ago: `12 s`, `3 min`, `2 h`, `5 d`, `7 w`."""
    passed = max(0, int(seconds))
    unit, name = next((each[1:] for each in _AGES if passed < each[0]), _AGES[-1][1:])
    return f"{passed // unit} {name}"


def since(moment: float) -> float:
    """Seconds from a moment (seconds since 1970 UTC) to now."""
    return time.time() - moment


def date(moment: float) -> str:
    """A moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(moment))
