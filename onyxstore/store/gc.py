"""gc: retention enforced, what nothing refers to swept, the trash emptied of what has had its grace.

Mark (`marking.py`), then sweep. Everything is live that a ref, a run, or a commit that these lead to names; of a manifest that is pruned
in every run that has it, its chunks are not. What cannot be read makes the mark incomplete, and then nothing is swept: unknown is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from onyxstore.disk import files
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.disk.locks import sweeping
from onyxstore.disk.sweep import SweepPlan, execute_sweep, plan_sweep
from onyxstore.disk.trash import Discarded
from onyxstore.errors import CorruptFile, DiskFull, OnyxError, PlanSpent, StoreBusy
from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.history.purged import read_purged_addresses
from onyxstore.history.retention import read_marks
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.explaining import Verdict, explain, is_live
from onyxstore.store.marking import mark, reach
from onyxstore.store.removed import removed_folders
from onyxstore.store.removing import finish_removals
from onyxstore.store.retaining import RunRetention, mark_run, protected_manifests, retain, run_retention

T = TypeVar("T")

COMMAND_PATIENCE = 60.0
"""Seconds that a gc waits for commits under way; a save takes less."""

BACKGROUND_PATIENCE = 2.0
"""Seconds that the saver's own sweep waits: if others are saving, the next save tries again."""

GARBAGE_SHARE = 0.1
"""Part of the packs' bytes that may be garbage before the saver sweeps."""


@dataclass(frozen=True)
class GcReport:
    """What a gc did: manifests pruned, bytes freed (of them those only set aside), bytes that left the trash, and what held it up."""

    pruned: int
    freed: int
    to_trash: int
    trash_emptied: int
    unreadable: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.unreadable:
            return f"nothing was swept, since {self.unreadable[0]}; 'onyx fsck' says more"
        words = f"pruned {self.pruned} checkpoints, freed {self.freed:,} bytes"
        return f"{words} ({self.to_trash:,} of them wait in the trash), emptied {self.trash_emptied:,} bytes of trash"


@dataclass
class GcPlan:
    """What a gc would do. It prints itself; `execute` carries it out, once."""

    retention: tuple[RunRetention, ...]
    sweep: SweepPlan
    trash: int
    unreadable: tuple[str, ...]
    _doors: Doors = field(repr=False)
    _spent: bool = field(default=False, repr=False)

    @property
    def pruned(self) -> int:
        """Checkpoints that would be pruned."""
        return sum(len(each.plan.pruned) for each in self.retention)

    def explain(self) -> tuple[Verdict, ...]:
        """Why each checkpoint is kept or dropped, and the bytes that only it needs: as of now, so before `execute`."""
        return explain(self._doors)

    def execute(self, patience: float = COMMAND_PATIENCE) -> GcReport:
        """Prunes, sweeps and empties; looks again at what is live once it holds the store's lock. PlanSpent, StoreBusy."""
        if self._spent:
            raise PlanSpent("gc")
        doors = self._doors
        with sweeping(doors.layout.locks, patience):
            self._spent = True
            with contextlib.suppress(DiskFull):
                finish_removals(doors)
            emptied, leaving = _empty_trash(doors, doors.settings.trash_days)
            try:
                pruned = _prune(doors)
            except DiskFull:
                # A mark needs some bytes, which the disk no longer has.
                more, also_leaving = _empty_trash(doors)
                emptied, leaving = emptied + more, leaving | also_leaving
                _sweep(doors, leaving)
                pruned = _prune(doors)
            done, unreadable = _sweep(doors, leaving)
        # Again: with no grace at all, what was just set aside goes too.
        emptied += doors.trash.empty(older_than_days=doors.settings.trash_days)
        return GcReport(pruned, done.freed, done.to_trash, emptied, unreadable)

    def __str__(self) -> str:
        lines = [
            f"{each.run}: the checkpoint of {short(each.commits[manifest])} would be pruned, it is older than those that the run keeps"
            for each in self.retention
            for manifest in each.plan.pruned
        ]
        lines.append(f"{self.sweep.freed:,} bytes would be freed ({self.sweep.to_trash:,} of them wait in the trash)")
        if self.trash:
            lines.append(f"{self.trash:,} bytes in the trash have had their grace")
        return "\n".join([*lines, *(f"nothing would be swept: {words}" for words in self.unreadable)])


def plan_gc(doors: Doors) -> GcPlan:
    """What a gc would do at this moment."""
    retention = tuple(_retention(doors))
    also = {fold(each.run): set(each.plan.pruned) for each in retention}
    expired = _runs_in(doors, doors.trash.older(doors.settings.trash_days))
    sweep, unreadable = _plan_sweep(doors, also, reach(doors, expired), without=expired)
    return GcPlan(retention, sweep, doors.trash.expired(doors.settings.trash_days), unreadable, doors)


def enforce_retention(doors: Doors, state: runs.RunState, checkpoint_bytes: int) -> None:
    """After a save of that many raw bytes: marks what the run no longer keeps, and frees it when that is worth it."""
    if retain(doors, state) and doors.settings.auto_gc:
        free_what_retention_dropped(doors, checkpoint_bytes)


def free_what_retention_dropped(doors: Doors, checkpoint_bytes: int) -> None:
    """The saver's own sweep: when the garbage exceeds one checkpoint and a tenth of the packs; gives way to others who save."""
    packed = doors.objects.packed_size()
    if garbage_estimate(doors) <= max(checkpoint_bytes, GARBAGE_SHARE * packed):
        return
    _free_dropped(doors)


def with_room(doors: Doors, write: Callable[[], T]) -> T:
    """What `write` returns. A full disk empties the trash, whatever its grace, and frees all that retention dropped; then once more."""
    try:
        return write()
    except DiskFull:
        if not _make_room(doors):
            raise
    return write()


def garbage_estimate(doors: Doors) -> int:
    """Bytes that pruned checkpoints had added to the store when they were saved, of all pruned since the last sweep."""
    swept = _last_swept(doors)
    return sum(
        entry.stored for name in runs.run_folders(doors.layout) for entry in read_marks(doors.layout.runs / name) if entry.time > swept
    )


def _free_dropped(doors: Doors) -> int:
    """Sweeps what retention dropped, unless others are committing at this moment; the bytes that this freed."""
    try:
        with sweeping(doors.layout.locks, BACKGROUND_PATIENCE):
            return _sweep(doors, loose=False)[0].freed
    except StoreBusy:
        return 0


def _make_room(doors: Doors) -> int:
    """Empties the trash, and frees what that and retention gave up; while others commit the trash alone. The bytes that it freed."""
    try:
        with sweeping(doors.layout.locks, BACKGROUND_PATIENCE):
            emptied, leaving = _empty_trash(doors)
            return emptied + _sweep(doors, leaving, loose=False)[0].freed
    except StoreBusy:
        return doors.trash.empty()


def _empty_trash(doors: Doors, older_than_days: float = 0.0) -> tuple[int, set[Address]]:
    """Empties the trash; the bytes that this freed, and what the runs that lay there led to: a sweep need not set that aside again."""
    batches = doors.trash.older(older_than_days)
    leaving = reach(doors, _runs_in(doors, batches))
    return sum(map(doors.trash.discard, batches)), leaving


def _runs_in(doors: Doors, batches: Sequence[Discarded]) -> set[Path]:
    """The folders of the runs that lie in these batches of the trash."""
    return {folder for batch, folder in removed_folders(doors) if batch in batches}


def _prune(doors: Doors) -> int:
    """Marks what retention drops; how many checkpoints."""
    now = files.clock(doors.layout.tmp)
    planned = _retention(doors)
    for each in planned:
        mark_run(doors, each, now)
    return sum(len(each.plan.pruned) for each in planned)


def _sweep(doors: Doors, leaving: AbstractSet[Address] = frozenset(), *, loose: bool = True) -> tuple[SweepPlan, tuple[str, ...]]:
    """Sweeps, and notes when; what was done, and what could not be read, since which nothing was. Under the store's lock."""
    now = files.clock(doors.layout.tmp)
    # A purge that was interrupted is finished here too, as far as a sweep goes.
    plan, unreadable = _plan_sweep(doors, leaving=leaving | read_purged_addresses(doors.layout), loose=loose)
    if unreadable:
        return plan, unreadable
    done = execute_sweep(plan, doors.objects, doors.layout, doors.trash)
    with contextlib.suppress(DiskFull):  # it is derived
        replace_value(doors.layout.tmp, doors.layout.cache / "swept", {"time": now})
    return done, ()


def _retention(doors: Doors) -> list[RunRetention]:
    """What each run would prune; a live run's own saver prunes it. Nothing, when it cannot be known what protects what."""
    try:
        protected = protected_manifests(doors)
        planned = [
            run_retention(doors, state, protected)
            for state in doors.states()
            if not is_live(doors, state)
        ]
    except OnyxError:  # the mark, which reads the same, says what it is
        return []
    return [each for each in planned if each.plan.pruned]


def _plan_sweep(
    doors: Doors,
    also_pruned: Mapping[str, set[Address]] | None = None,
    leaving: AbstractSet[Address] = frozenset(),
    *,
    without: AbstractSet[Path] = frozenset(),
    loose: bool = True,
) -> tuple[SweepPlan, tuple[str, ...]]:
    """What can go, and what could not be read; `leaving` goes at once as far as nobody else needs it."""
    found = mark(doors, also_pruned, without)
    if found.unreadable:
        return SweepPlan(), tuple(found.unreadable)
    dropped = found.dropped | (leaving - found.objects - found.chunks)
    plan = plan_sweep(doors.objects, doors.layout, found.objects, found.chunks, dropped)
    return (plan if loose else replace(plan, loose=(), packs=tuple(pack for pack in plan.packs if not pack.to_trash))), ()


def _last_swept(doors: Doors) -> int:
    """When this store was last swept (ns); without the note, which may be deleted at any time, the estimate is too high once."""
    try:
        return int(read_value(doors.layout.cache / "swept")["time"])
    except (FileNotFoundError, CorruptFile, KeyError, TypeError):
        return 0

