"""gc: retention enforced, what nothing refers to swept, the trash emptied of what has had its grace.

Mark, then sweep. Everything is live that a ref, a run, or a commit that these lead to names; of a manifest that is pruned in
every run that has it, its chunks are not. What cannot be read makes the mark incomplete, and then nothing is swept: unknown is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from onyxstore.disk import files
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.disk.locks import is_locked, sweeping
from onyxstore.disk.refs import HEAD
from onyxstore.disk.sweep import SweepPlan, execute_sweep, plan_sweep
from onyxstore.errors import CorruptFile, DiskFull, OnyxError, PlanSpent, StoreBusy
from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import ancestors
from onyxstore.history.metrics.log import Log, read_list
from onyxstore.history.metrics.sealed import decode_list
from onyxstore.history.metrics.series import artifacts_of
from onyxstore.history.retention import read_marks, read_pruned
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.retaining import RunRetention, mark_run, protected_manifests, retain, run_retention
from onyxstore.store.trees import manifest_chunks, manifest_objects

T = TypeVar("T")

COMMAND_PATIENCE = 60.0
"""Seconds that a gc waits for commits under way; a save takes less."""

BACKGROUND_PATIENCE = 2.0
"""Seconds that the saver's own sweep waits: if others are saving, the next save tries again."""

GARBAGE_SHARE = 0.1
"""Part of the packs' bytes that may be garbage before the saver sweeps."""


@dataclass
class Mark:
    """What is live: objects, chunks; chunks that only pruned manifests name; and what could not be read."""

    objects: set[Address] = field(default_factory=set)
    chunks: set[Address] = field(default_factory=set)
    dropped: set[Address] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)


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

    def execute(self, patience: float = COMMAND_PATIENCE) -> GcReport:
        """Prunes, sweeps and empties; looks again at what is live once it holds the store's lock. PlanSpent, StoreBusy."""
        if self._spent:
            raise PlanSpent("gc")
        doors = self._doors
        emptied = doors.trash.empty(older_than_days=doors.settings.trash_days)
        with sweeping(doors.layout.locks, patience):
            self._spent = True
            try:
                pruned = _prune(doors)
            except DiskFull:
                # A mark needs some bytes, which the disk no longer has.
                emptied += doors.trash.empty()
                _sweep(doors)
                pruned = _prune(doors)
            done, unreadable = _sweep(doors)
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
    sweep, unreadable = _plan_sweep(doors, also)
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
        emptied = doors.trash.empty()
        if not _free_dropped(doors) + emptied:
            raise
    return write()


def garbage_estimate(doors: Doors) -> int:
    """Bytes that pruned checkpoints had added to the store when they were saved, of all pruned since the last sweep."""
    swept = _last_swept(doors)
    return sum(
        entry.stored for name in runs.run_folders(doors.layout) for entry in read_marks(doors.layout.runs / name) if entry.time > swept
    )


def mark(doors: Doors, also_pruned: Mapping[str, set[Address]] | None = None) -> Mark:
    """What is live; `also_pruned` are manifests by folded run name to be looked at as pruned already."""
    found = Mark()
    pruned = _pruned_by_run(doors, found)
    for name, also in (also_pruned or {}).items():
        pruned[name] |= also
    roots = _roots(doors, found)
    commits = ancestors(lambda each: _read(doors, each, found), roots)
    # What a ref names or a fork starts from is kept, whatever a mark says: it may have been made in the moment before a tag.
    kept = {checkpoint.manifest for root in roots if (checkpoint := commits[root].checkpoint) is not None}
    dropped: set[Address] = set()
    for address, record in commits.items():
        found.objects.add(address)
        found.objects.update(_named_by(record))
        if record.checkpoint is not None:
            gone = record.checkpoint.manifest in pruned.get(fold(record.run), set())
            (dropped if gone else kept).add(record.checkpoint.manifest)
    for manifest in kept | dropped:
        try:
            found.objects.update(manifest_objects(doors.objects, manifest))
            (found.chunks if manifest in kept else found.dropped).update(manifest_chunks(doors.objects, manifest))
        except OnyxError as error:
            found.unreadable.append(str(error))
    found.dropped -= found.chunks
    return found


def _free_dropped(doors: Doors) -> int:
    """Sweeps what retention dropped, unless others are committing at this moment; the bytes that this freed."""
    try:
        with sweeping(doors.layout.locks, BACKGROUND_PATIENCE):
            return _sweep(doors, loose=False)[0].freed
    except StoreBusy:
        return 0


def _prune(doors: Doors) -> int:
    """Marks what retention drops; how many checkpoints."""
    now = files.clock(doors.layout.tmp)
    planned = _retention(doors)
    for each in planned:
        mark_run(doors, each, now)
    return sum(len(each.plan.pruned) for each in planned)


def _sweep(doors: Doors, *, loose: bool = True) -> tuple[SweepPlan, tuple[str, ...]]:
    """Sweeps, and notes when; what was done, and what could not be read, since which nothing was. Under the store's lock."""
    now = files.clock(doors.layout.tmp)
    plan, unreadable = _plan_sweep(doors, loose=loose)
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
            if state.status != "running" and not is_locked(doors.layout.run(state.name) / "lock")
        ]
    except OnyxError:  # the mark, which reads the same, says what it is
        return []
    return [each for each in planned if each.plan.pruned]


def _plan_sweep(
    doors: Doors, also_pruned: Mapping[str, set[Address]] | None = None, *, loose: bool = True
) -> tuple[SweepPlan, tuple[str, ...]]:
    found = mark(doors, also_pruned)
    if found.unreadable:
        return SweepPlan(), tuple(found.unreadable)
    plan = plan_sweep(doors.objects, doors.layout, found.objects, found.chunks, found.dropped)
    return (plan if loose else replace(plan, loose=(), packs=tuple(pack for pack in plan.packs if not pack.to_trash))), ()


def _roots(doors: Doors, found: Mark) -> list[Address]:
    """Commits that refs and runs name; what else runs name is marked on the way."""
    starts: list[Address] = []
    for name in [HEAD, *doors.refs.names()]:
        try:
            address = doors.refs.commit(name)
        except CorruptFile as error:
            found.unreadable.append(str(error))
        else:
            starts += [address] if address else []
    for name in runs.run_folders(doors.layout):
        try:
            state = runs.read_state(doors.layout, name)
            log = doors.log(name)
        except OnyxError as error:
            found.unreadable.append(str(error))
            continue
        starts += [state.parent] if state.parent else []
        found.objects.update(each for attempt in state.attempts for each in (attempt.code, attempt.environment) if each)
        found.objects.update(each.segment for each in decode_list(read_list(doors.layout.runs / name)).segments)
        found.objects.update(_artifacts(log))
        found.unreadable.extend(f"run {state.name}: {words}" for words in log.damage)
    return starts


def _pruned_by_run(doors: Doors, found: Mark) -> dict[str, set[Address]]:
    pruned: dict[str, set[Address]] = {}
    for name in runs.run_folders(doors.layout):
        try:
            pruned[name] = read_pruned(doors.layout.runs / name)
        except OnyxError as error:
            found.unreadable.append(str(error))
    return pruned


def _artifacts(log: Log) -> Iterator[Address]:
    """All artifacts in a log, those off the line too."""
    for superseded in (False, True):
        yield from (artifact.address for artifact in artifacts_of(log, superseded=superseded))


def _read(doors: Doors, address: Address, found: Mark) -> CommitRecord:
    try:
        return doors.commit(address)
    except OnyxError as error:
        found.unreadable.append(str(error))
        return CommitRecord(run="", parents=(), message="", time=0)


def _named_by(record: CommitRecord) -> Iterator[Address]:
    yield from (each for config in record.configs.values() for each in (config.snapshot, config.value))
    yield from (artifact.address for artifact in record.artifacts)
    yield from (each for each in (record.code, record.environment) if each)


def _last_swept(doors: Doors) -> int:
    """When this store was last swept (ns); without the note, which may be deleted at any time, the estimate is too high once."""
    try:
        return int(read_value(doors.layout.cache / "swept")["time"])
    except (FileNotFoundError, CorruptFile, KeyError, TypeError):
        return 0

