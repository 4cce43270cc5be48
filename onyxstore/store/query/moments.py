"""Moments as one writes them: `2026-11-01`, `2026-11-01 18:30`, or how long ago: `2d`, `90 min`.

A day is its beginning. Without a time zone it is the local time of whoever asks, as in what `onyx` prints.
"""

from __future__ import annotations

import re

SECOND = 10**9

_AGO = r"(?P<count>\d{1,9}(?:\.\d{1,9})?) ?(?P<unit>s|min|h|d|w)"
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DATE = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?"


def read_moment(text: str, now: int) -> int:
    """The moment in nanoseconds since 1970 UTC; `now` is one, from which `2d` counts back. ValueError when the text is none."""
    if ago := re.fullmatch(_AGO, text):
        return now - int(float(ago["count"]) * _UNITS[ago["unit"]] * SECOND)
    if not re.fullmatch(_DATE, text):
        raise ValueError(f"'{text}' is no moment; write '2026-11-01', '2026-11-01 18:30', or how long ago: '2d' (s, min, h, d, w)")
    # 2 ms, which only a query with a date pays.
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    try:
        moment = datetime.fromisoformat(text)
        since = (moment if moment.tzinfo else moment.astimezone()) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"there is no such moment as '{text}'") from None
    return since // timedelta(microseconds=1) * 1000
