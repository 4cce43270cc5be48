"""Rows and lines of what moves refs and runs: reflog, undo, rm, restore, purge, best, note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onyxstore.cli.json_shapes import Row
from onyxstore.cli.screen import Cell, Painted
from onyxstore.hashing import short

if TYPE_CHECKING:
    from onyxstore.store.moves import RefMove
    from onyxstore.store.purging import PurgedObject
    from onyxstore.store.removing import RefChange
    from onyxstore.store.trash_entries import TrashEntry

_FIXED = ("HEAD", "latest", "best")


def move_row(move: RefMove) -> Row:
    """A row of `reflog`."""
    return {**{key: value for key, value in vars(move).items() if key != "ref"}, "run": move.run}


def change_row(change: RefChange) -> Row:
    """MOVE."""
    return dict(vars(change))


def entry_row(entry: TrashEntry, *, is_restored: bool) -> Row:
    """A row of `restore`."""
    return {**vars(entry), "is_restored": is_restored}


def object_row(each: PurgedObject) -> Row:
    """A row of `purge`."""
    return {**vars(each), "lacked_by": list(each.lacked_by)}


def ref_style(name: str) -> str:
    """How a ref's name is painted."""
    return "head" if name == "HEAD" else "ref" if "@" in name or name in _FIXED else "tag"


def held(ref: Mapping[str, Any] | None) -> Cell:
    """What a ref holds, as people read it."""
    if ref is None:
        return Painted("nothing", "faint")
    return Painted(short(ref["commit"]), "address") if "commit" in ref else f"run {ref['run']}"


def change_cells(changes: Sequence[RefChange]) -> list[list[Cell]]:
    """A line for each ref that moved: its name, where from, where to."""
    return [[Painted(change.ref, ref_style(change.ref)), held(change.old), "->", held(change.new)] for change in changes]
