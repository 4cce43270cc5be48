"""Notes on commits: what is learnt of them after they were made.

They lie with the commit's run, so they go to the trash with it, and come back. Several may add notes at once, also while the run is
live: who adds one holds `locks/notes` for that moment, and so does who moves the run's folder away.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from onyxstore.disk.locks import lock
from onyxstore.errors import UnknownName
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.notes import Note, append_note, make_note, read_notes
from onyxstore.store.doors import Doors

PATIENCE = 60.0
"""Seconds to wait for others' notes; one takes a few milliseconds."""


def add_note(doors: Doors, commit: Address, words: str | None, metrics: Mapping[str, Any] | None) -> Note:
    """Attaches a note to a commit; on disk when this returns. BadInput, BadMetric; UnknownName when the commit's run is gone."""
    note = make_note(commit, time.time_ns(), words, metrics)
    run = doors.commit(commit).run
    with no_notes(doors):
        if not runs.run_exists(doors.layout, run):
            raise UnknownName("run", run, "the store")
        append_note(doors.layout.run(run), note)
    return note


def notes_of(doors: Doors, commit: Address) -> tuple[Note, ...]:
    """A commit's notes, oldest first; none once its run is gone."""
    return tuple(note for note in read_notes(doors.layout.run(doors.commit(commit).run)).notes if note.commit == commit)


@contextlib.contextmanager
def no_notes(doors: Doors) -> Iterator[None]:
    """Keeps others from adding notes meanwhile."""
    held = lock(doors.layout.locks / "notes", patience=PATIENCE, who="others are adding notes to")
    try:
        yield
    finally:
        held.release()
