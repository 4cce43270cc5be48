"""Refs: names for commits that move.

A ref is one checked line of canonical JSON under `refs/`, or `HEAD`. What it holds is a small mapping: {"commit": address}, for
`best` also metric, mode and value; HEAD holds {"run": name} or {"commit": address}; a tag keeps its spelling under "name".

    HEAD                      refs/latest   refs/best
    refs/tags/NAME            refs/runs/RUN/latest   refs/runs/RUN/best        (names folded to lower case)

Moves are made under one lock, several at once or none refused: a *change* is a function from what the ref holds to what it shall
hold, so that it decides on the present state (compare-and-swap is the change that raises RefConflict when the old one is not
what was expected). Each move is in the reflog, on disk, before the ref is replaced.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onyxstore.disk import files, reflog
from onyxstore.disk.layout import Layout
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.disk.locks import lock
from onyxstore.errors import CorruptFile, RefConflict
from onyxstore.hashing import Address, is_address
from onyxstore.names import fold

HEAD = "HEAD"
LATEST = "latest"
BEST = "best"
TAGS = "tags"
RUNS = "runs"

Ref = dict[str, Any]
Change = Callable[[Ref | None], Ref | None]
"""From what a ref holds (None: it does not exist) to what it shall hold (None: it goes; the same: it stays)."""

PATIENCE = 60.0
"""Seconds to wait for others' moves; one takes a few milliseconds."""

_WORD = r"[a-z0-9][a-z0-9._-]{0,99}"
_CALL = re.compile(r"call:[0-9a-f]{16}")
_NAME = re.compile(rf"HEAD|latest|best|tags/{_WORD}|runs/{_WORD}/(latest|best)")


@dataclass(frozen=True)
class Reason:
    """Why refs move: what is done, and by which call or which run."""

    by: str
    call: str = ""


def new_call() -> str:
    """An id for a call of the command, or of the library, that moves refs: undo takes back all that has it.

    What a live run moves has the run's name there instead, which has no colon.
    """
    return f"call:{os.urandom(8).hex()}"


def is_call(text: str) -> bool:
    """Whether it is the id of a call, and not a run's name."""
    return _CALL.fullmatch(text) is not None


class Refs:
    """The refs of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self, name: str) -> Ref | None:
        """What the ref holds, None when there is none; CorruptFile when its line fails the check."""
        path = self._path(name)
        try:
            ref = read_value(path)
        except FileNotFoundError:
            return None
        if not is_ref(ref):
            raise CorruptFile(str(path), "it holds no ref")
        known: Ref = ref
        return known

    def recall(self, name: str) -> Ref | None:
        """What a ref that is damaged or lost held last, by its reflog."""
        entries = reflog.read_entries(self._log(name))
        last = entries[-1].new if entries else None
        return dict(last) if last is not None and is_ref(last) else None

    def commit(self, name: str) -> Address | None:
        """The address that the ref names, if it names one."""
        ref = self.read(name)
        return Address(ref["commit"]) if ref and "commit" in ref else None

    def names(self, folder: str = "") -> list[str]:
        """Every ref but HEAD, or those in a folder as TAGS, sorted; files with other names are left out."""
        below = (str(path.relative_to(self._layout.refs)) for path in files.walk_files(self._layout.refs / folder))
        return sorted(name for name in below if _NAME.fullmatch(name) and name != HEAD)

    def moves(self, name: str) -> list[reflog.Move]:
        """The ref's moves, oldest first."""
        try:
            current = self.read(name)
        except CorruptFile:
            current = self.recall(name)
        return reflog.read_moves(self._log(name), current)

    def logged_names(self) -> list[str]:
        """Every ref that ever moved, sorted, those that are gone included."""
        below = (str(path.relative_to(self._layout.reflog)) for path in files.walk_files(self._layout.reflog))
        return sorted(name for name in below if _NAME.fullmatch(name))

    def update(self, changes: Mapping[str, Change], reason: Reason) -> dict[str, Ref | None]:
        """Moves refs, in the order given, all decided before the first moves; what each holds now. On disk when this returns."""
        held = lock(self._layout.locks / "refs", patience=PATIENCE, who="others are moving refs in")
        try:
            before = {name: self._read_or_repair(name) for name in changes}
            after = {name: change(before[name]) for name, change in changes.items()}
            for name, new in after.items():
                if new != before[name]:
                    self._move(name, before[name], new, reason)
        finally:
            held.release()
        return after

    def _move(self, name: str, old: Ref | None, new: Ref | None, reason: Reason) -> None:
        reflog.append_move(self._log(name), reflog.Move(time.time_ns(), old, new, reason.by, reason.call))
        path = self._path(name)
        if new is None:
            files.remove(path)
            files.sync_folder(path.parent)
        else:
            replace_value(self._layout.tmp, path, new)

    def _read_or_repair(self, name: str) -> Ref | None:
        """A damaged ref is what its reflog says: taken for none, a `best` would fall to the next commit that comes, however bad."""
        try:
            return self.read(name)
        except CorruptFile:
            ref = self.recall(name)
            if ref is not None:
                replace_value(self._layout.tmp, self._path(name), ref)
            return ref

    def _path(self, name: str) -> Path:
        return self._layout.root / HEAD if _checked(name) == HEAD else self._layout.refs / name

    def _log(self, name: str) -> Path:
        return self._layout.reflog / _checked(name)


def run_ref(folded_run: str, which: str) -> str:
    """The ref of a run: `which` is LATEST or BEST."""
    return f"{RUNS}/{folded_run}/{which}"


def tag_ref(folded_tag: str) -> str:
    """The ref of a tag."""
    return f"{TAGS}/{folded_tag}"


def to(ref: Ref | None) -> Change:
    """The change to `ref`, whatever was there."""
    return lambda _: ref


def swap(name: str, expected: Ref | None, new: Ref | None) -> Change:
    """Compare and swap: the change from `expected` to `new`, RefConflict when something else is there."""

    def change(current: Ref | None) -> Ref | None:
        if current != expected:
            raise RefConflict(name)
        return new

    return change


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no ref"
        raise ValueError(message)
    return name


def is_ref(value: Any) -> bool:
    """Whether a decoded line holds what readers of refs rely on: an address or a run's name, and a number where a value stands."""
    if type(value) is not dict or type(value.get("value", 0)) not in {int, float, bool}:
        return False
    run = value.get("run")
    return is_address(value.get("commit")) or (type(run) is str and re.fullmatch(_WORD, fold(run)) is not None)
