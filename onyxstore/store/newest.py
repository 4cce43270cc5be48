"""The commits of a store, newest first; a few of them without reading all."""

from __future__ import annotations

from collections.abc import Iterator

from onyxstore.disk import files
from onyxstore.disk.refs import BEST, LATEST, RUNS, TAGS, run_ref
from onyxstore.hashing import Address
from onyxstore.history.graph import ancestors, newest_few, newest_first
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.listing import list_runs
from onyxstore.store.revisions import resolve


def list_commits(doors: Doors, revision: str | None = None, count: int | None = None) -> list[Address]:
    """The commits that `revision` comes from, itself first, without one all that refs lead to; at most `count`.

    Newest first, and no child below its parent, whatever the clocks of their machines said. UnknownRevision, ObjectMissing, CorruptObject.
    """
    if revision is not None:
        start = resolve(doors, revision)
        starts = {start: doors.commit(start).time}
    elif count is None:
        starts = dict.fromkeys((address for name in doors.refs.names() if (address := doors.refs.commit(name)) is not None), 0)
    else:
        starts = dict(_tips(doors))
    return newest_first(ancestors(doors.commit, starts)) if count is None else newest_few(doors.commit, starts, count)


def _tips(doors: Doors) -> Iterator[tuple[Address, int]]:
    """The commits that refs name, with their times; those of runs by their rows, which are mostly known."""
    rows = list_runs(doors).rows
    for row in rows:
        if row.latest is not None and row.latest_time:
            yield row.latest, row.latest_time
        if row.best is not None:
            yield row.best.address, row.best.time
    listed = {fold(row.name) for row in rows if row.latest_time}
    others = [run_ref(run, which) for run in files.list_folder(doors.layout.refs / RUNS) if run not in listed for which in (LATEST, BEST)]
    known = doors.refs.names(TAGS)
    for name in (LATEST, BEST, *known, *others):
        address = doors.refs.commit(name)
        if address is not None:
            yield address, doors.commit(address).time
