"""The reflog, as one reads it: the moves of refs, each with a name that can be typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onyxstore.disk.refs import is_call
from onyxstore.errors import UnknownName
from onyxstore.hashing import Address
from onyxstore.names import near
from onyxstore.store.doors import Doors
from onyxstore.store.revisions import find_logged_ref, known_names, typed_ref


@dataclass(frozen=True)
class RefMove:
    """A move of a ref: `name` (`best@{1}`) is a revision that names where it led; `old` and `new` are what the ref held."""

    name: str
    ref: str
    time: float
    by: str
    call: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None

    @property
    def commit(self) -> Address | None:
        """The commit that the ref named from then on; None where it was taken away, or HEAD named a run."""
        return Address(self.new["commit"]) if self.new is not None and "commit" in self.new else None

    @property
    def run(self) -> str | None:
        """The live run that moved it; None when a command did, or nobody said who."""
        return None if is_call(self.call) else self.call or None


def read_moves(doors: Doors, ref: str | None = None) -> list[RefMove]:
    """The moves of a ref, of all refs without one, newest first; UnknownName for what never was a ref."""
    if ref is None:
        found = [move for name in doors.refs.logged_names() for move in _moves_of(doors, name)]
        return sorted(found, key=lambda move: -move.time)
    name = find_logged_ref(doors, ref)
    if name is None:
        raise UnknownName("ref", ref, "the store", near(ref, known_names(doors)))
    return list(_moves_of(doors, name))


def _moves_of(doors: Doors, name: str) -> Iterator[RefMove]:
    typed = typed_ref(doors, name)
    for number, move in enumerate(reversed(doors.refs.moves(name))):
        yield RefMove(f"{typed}@{{{number}}}", name, move.time / 1e9, move.by, move.call, move.old, move.new)
