"""Locks that the kernel takes back when their holder dies.

`flock` on files that hold nothing. Not `lockf`: it vanishes when any descriptor of the file is closed anywhere in the process.
Not files that exist or don't: a killed process leaves them. `flock` has a trap of its own, forked children (DataLoader workers)
keep it after their parent's death; so every lock of this process is closed in a child as soon as it is forked, and a lock is let
go of by name, not only by closing: a child that was forked a moment ago may not have come to that yet.

Four locks in a store:

- `runs/RUN/lock`, exclusive, held by the process that writes the run: a run whose state says *running* and whose lock is free
  has crashed.
- `locks/refs`, exclusive, for the moment in which refs move; `locks/notes` likewise while a note is added, or a run is moved away.
- the store's lock, `locks/store` behind `locks/gate`. Whoever writes a commit *pins* the store: it holds the lock shared from
  before it looks for what it can reuse until its ref has moved. A sweep holds it exclusive. So a sweep sees no half-written
  commit, needs no clock to tell young objects from old ones, and a writer that dies lets go. The gate keeps a stream of writers
  from starving a sweep: it is passed through by writers, and held by a sweep while it waits.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from onyxstore.disk import files
from onyxstore.errors import StoreBusy

WRITER_PATIENCE = 120.0
"""Seconds that a writer waits for a sweep: one over 10,000 runs takes a few."""


class Lock:
    """A lock that this process holds; `release` is safe to call twice, and in a forked child does nothing."""

    def __init__(self, path: Path) -> None:
        with _no_fork:
            self._fd = files.open_lock(path)
            _open.add(self)

    def try_take(self, *, exclusive: bool) -> bool:
        """Takes the lock when it is free at this moment; otherwise, or when that fails, it is spent."""
        taken = False
        try:
            taken = files.try_flock(self._fd, exclusive=exclusive)
        finally:
            if not taken:
                self.release()
        return taken

    def release(self) -> None:
        """Lets go."""
        with _no_fork:
            if self._fd >= 0:
                files.unflock(self._fd)
                self._close()

    def _close(self) -> None:
        """Gives this process's descriptor back; if it has a copy in another process, the lock stays."""
        fd, self._fd = self._fd, -1
        _open.discard(self)
        files.close(fd)


_open: set[Lock] = set()
"""Every lock of this process, also those that nobody refers to any more: a child must close them all."""

_no_fork = threading.RLock()
"""Held while a lock's descriptor is open and not in `_open`; a fork waits for it. Reentrant, for a signal handler that forks."""


def try_lock(path: Path, *, exclusive: bool = True) -> Lock | None:
    """The lock when it is free at this moment, else None."""
    files.make_folder(path.parent)
    found = Lock(path)
    return found if found.try_take(exclusive=exclusive) else None


def try_lock_there(path: Path) -> Lock | None:
    """The lock when its folder is there and it is free at this moment: for a folder that somebody else may take away."""
    try:
        found = Lock(path)
    except FileNotFoundError:
        return None
    return found if found.try_take(exclusive=True) else None


def lock(path: Path, *, exclusive: bool = True, patience: float, who: str) -> Lock:
    """The lock, waited for up to `patience` seconds; StoreBusy(`who`) after that."""
    deadline = time.monotonic() + patience
    pause = 0.001
    while (held := try_lock(path, exclusive=exclusive)) is None:
        if time.monotonic() >= deadline:
            raise StoreBusy(who, patience)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return held


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock exclusively; reading only, so it works on a store that cannot be written."""
    try:
        fd = files.open_read(path)
    except FileNotFoundError:
        return False
    try:
        return not files.try_flock(fd, exclusive=False)
    finally:
        files.unflock(fd)
        files.close(fd)


@contextlib.contextmanager
def pinned(folder: Path) -> Iterator[None]:
    """Keeps sweeps away while a commit is written; `folder` is the store's `locks/`."""
    gate = lock(folder / "gate", exclusive=False, patience=WRITER_PATIENCE, who="a gc is sweeping")
    try:
        held = lock(folder / "store", exclusive=False, patience=WRITER_PATIENCE, who="a gc is sweeping")
    finally:
        gate.release()
    try:
        yield
    finally:
        held.release()


@contextlib.contextmanager
def sweeping(folder: Path, patience: float) -> Iterator[None]:
    """Keeps writers of commits away while garbage is looked for and set aside; StoreBusy after `patience` seconds of waiting."""
    who = "others are committing to"
    gate = lock(folder / "gate", patience=patience, who=who)
    try:
        held = lock(folder / "store", patience=patience, who=who)
        try:
            yield
        finally:
            held.release()
    finally:
        gate.release()


def _close_in_child() -> None:
    for each in tuple(_open):
        each._close()  # noqa: SLF001 - this module's own; `release` would take the lock from the parent
    _no_fork.release()


os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_close_in_child)
