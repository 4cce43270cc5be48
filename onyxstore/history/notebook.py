"""What notebooks show: small tables and curves as HTML.

Names come from whoever wrote the store, and a notebook trusts the HTML that it is handed; so every text is escaped here, and what
moves a cursor or turns the direction of writing is written out. There is no script in it, no style sheet and nothing to fetch.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from onyxstore.errors import visible

_WIDTH, _HEIGHT = 120, 24
_MOST_POINTS = 120
"""One for each pixel of a small curve's width."""


class Html(NamedTuple):
    """Text that is HTML already."""

    text: str


def heading(*words: str) -> Html:
    """Words in a line, the first of them strong."""
    first, *rest = map(escaped, words)
    return Html(f"<p>{' · '.join([f'<strong>{first}</strong>', *rest])}</p>")


def table(titles: Sequence[str], rows: Iterable[Sequence[str | Html]]) -> Html:
    """A table of texts."""
    head = "".join(f"<th>{escaped(title)}</th>" for title in titles)
    lines = ["<tr>" + "".join(f"<td>{_inner(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return Html(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>")


def sparkline(values: Sequence[float] | Any) -> Html:
    """A small curve of the values that are finite, as an inline SVG; nothing for fewer than two of them."""
    import numpy as np  # noqa: PLC0415 - a table of runs needs no numpy

    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < 2:
        return Html("")
    numbers = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), _MOST_POINTS)).round().astype(int)]
    # Halved: the distance of the largest float to the smallest is infinite.
    low, high = numbers.min() / 2, numbers.max() / 2
    heights = (numbers / 2 - low) / (high - low) if high > low else np.full(len(numbers), 0.5)
    across = np.linspace(1, _WIDTH - 1, len(numbers))
    down = 1 + (_HEIGHT - 2) * (1 - heights)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True))
    line = f'<polyline points="{points}" fill="none" stroke="currentColor"/>'
    return Html(f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{line}</svg>')


def page(*pieces: Html) -> str:
    """Pieces as a notebook takes them."""
    return f"<div>{''.join(piece.text for piece in pieces)}</div>"


def shown(value: object) -> str:
    """A value of a metric: floats with five significant digits."""
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def escaped(text: str) -> str:
    """`text` as HTML shows it, quotes and control characters included."""
    return html.escape(visible(text))


def _inner(cell: str | Html) -> str:
    return cell.text if isinstance(cell, Html) else escaped(cell)
