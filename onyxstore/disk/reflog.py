"""Every move of a ref, written down before it is made.

`reflog/` has a file for each ref, a log of {"time": ns, "old": ref or null, "new": ref or null, "by": what was done, "call":
which command or run did it}. The entry is on disk before the ref is: after a crash between the two, the last entry speaks of a
move that did not happen, which shows by the ref still holding its `old`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onyxstore.disk.linefile import append_values, read_values


@dataclass(frozen=True)
class Move:
    """One entry: when (ns), what the ref was, what it became, by what, in which call."""

    time: int
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    by: str
    call: str


def append_move(path: Path, move: Move) -> None:
    """Writes an entry at the end of a ref's file; on disk when this returns."""
    append_values(path, [asdict(move)])


def read_entries(path: Path) -> list[Move]:
    """Every entry, oldest first, that of a move which did not happen included. Damaged lines are left out."""
    return [move for value in read_values(path) if (move := _decode(value)) is not None]


def read_moves(path: Path, current: Mapping[str, Any] | None) -> list[Move]:
    """The moves that happened, oldest first; `current` is what the ref holds.

    A damaged line costs its own move, and the one before it when that is what it took back: the two look like a crash.
    """
    happened = []
    later = current
    for move in reversed(read_entries(path)):
        if move.old != later:
            happened.append(move)
            later = move.old
    return happened[::-1]


def _decode(value: Any) -> Move | None:
    try:
        move = Move(value["time"], value["old"], value["new"], value["by"], value["call"])
    except (TypeError, KeyError):
        return None
    refs = all(ref is None or type(ref) is dict for ref in (move.old, move.new))
    return move if refs and type(move.time) is int and type(move.by) is str and type(move.call) is str else None
