"""Purging: bytes that are to be gone for good, wherever the store has them.

A run is purged with all that it alone needs. An object is purged by its address, though commits name it: they lack it from then on, and
`purged` says that this was meant. A config's bytes and its value are one content in two forms, so neither goes without the other, nor
without the bytes of other files that say the same. What a history hangs on (commits, manifests, trees, metrics) goes with its run only.

Every pack that holds a purged chunk is written anew without it, however little that frees; the trash, what crashes left in `tmp/`, and
all that is derived are gone through too. A disk may keep the blocks of a deleted file until they are written over: that is beyond this.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.locks import sweeping
from onyxstore.disk.purge import plan_purge as plan_disk_purge
from onyxstore.disk.purge import purge_staged, purge_trash
from onyxstore.disk.refs import new_call
from onyxstore.disk.sweep import execute_sweep
from onyxstore.disk.trash import Discarded
from onyxstore.errors import AmbiguousRevision, OnyxError, PlanSpent, Refused, UnknownName
from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.history.metrics.log import read_log
from onyxstore.history.metrics.series import artifacts_of
from onyxstore.history.purged import append_purged, read_purged_addresses
from onyxstore.names import fold, near
from onyxstore.store.doors import Doors
from onyxstore.store.marking import Mark, mark, mark_names, named_by_run, reach, stored_bytes
from onyxstore.store.removed import removed_folders, removed_runs
from onyxstore.store.removing import RefChange, RemovalPlan, finish_removals, plan_removal
from onyxstore.store.trees import manifest_chunks, manifest_objects

PATIENCE = 60.0
"""Seconds that a purge waits for commits under way; a save takes less."""

_PREFIX = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class PurgedObject:
    """An object that goes: what it is, its bytes in the store, and what lacks it then, in words."""

    address: Address
    kind: str
    bytes: int
    lacked_by: tuple[str, ...]


@dataclass(frozen=True)
class PurgeReport:
    """What went: the runs, how many objects and chunks, the bytes that left the store's files; and the refs that moved."""

    runs: tuple[str, ...]
    objects: int
    freed: int
    moves: tuple[RefChange, ...]

    def __str__(self) -> str:
        return f"purged {self.objects} objects, {self.freed:,} bytes"


@dataclass
class PurgePlan:
    """What a purge would do. It prints itself; `execute` does it, once."""

    objects: tuple[PurgedObject, ...]
    """Those that were named by their addresses, and what goes with them."""
    runs: tuple[str, ...]
    """Runs that are there."""
    batches: tuple[Discarded, ...]
    """What goes from the trash as a whole."""
    unique: int
    """Bytes that the runs, here and in the trash, alone need."""
    staying: int
    """Objects of these runs that others need too."""
    removed: tuple[str, ...]
    """Runs in the trash, among the batches."""
    removal: RemovalPlan | None
    """How the runs that are there go to the trash, from where they are purged."""
    _doors: Doors = field(repr=False)
    _spent: bool = field(default=False, repr=False)

    @property
    def bytes(self) -> int:
        """Bytes that leave the store."""
        return self.unique + sum(each.bytes for each in self.objects) + sum(map(self._doors.trash.size, self.batches))

    def execute(self, patience: float = PATIENCE) -> PurgeReport:
        """Removes all of it. StoreBusy, RunIsLive; Refused when what others need cannot be known, or something could not be removed."""
        if self._spent:
            raise PlanSpent("purge")
        doors = self._doors
        folders = {doors.layout.run(name) for name in self.runs} | _folders(doors, self.batches)
        if folders and (unreadable := mark(doors, without=folders).unreadable):
            raise Refused(f"nothing was purged, since it cannot be known what others need: {unreadable[0]}")
        call = new_call()
        moves = self.removal.execute(call) if self.removal is not None else ()
        with sweeping(doors.layout.locks, patience):
            self._spent = True
            finish_removals(doors)
            batches = [*self.batches, *(run.batch for run in removed_runs(doors) if run.removed.call == call)]
            doomed = {each.address for each in self.objects} | _needed_by_none_but(doors, _folders(doors, batches))
            append_purged(doors.layout, sorted(doomed), files.clock(doors.layout.tmp))
            freed = sum(map(doors.trash.discard, batches))
            freed += _remove(doors, doomed | _unfinished(doors))
        return PurgeReport(self.runs, len(doomed), freed, moves)

    def __str__(self) -> str:
        lines = [f"{each.kind} {short(each.address)} would go: {', '.join(each.lacked_by) or 'nothing names it'}" for each in self.objects]
        lines += [f"run '{name}' would go" for name in self.runs]
        lines += [f"{words}: what that needs stays" for run in (self.removal.runs if self.removal else ()) for words in run.needed_by]
        lines += [f"what was set aside at {batch.time} would go" for batch in self.batches]
        lines += [f"{self.staying} objects stay, since others need them too"] if self.staying else []
        return "\n".join([*lines, f"{self.bytes:,} bytes would be gone for good"])


def plan_purge(doors: Doors, names: Sequence[str], *, trash: bool = False) -> PurgePlan:
    """What purging these runs and objects (by address, or its first digits), or all of the trash, would do. UnknownName, Refused."""
    chosen: list[Discarded] = list(doors.trash.batches()) if trash else []
    there: list[str] = []
    addresses: list[Address] = []
    removed = removed_runs(doors)
    for name in names:
        in_trash = [run.batch for run in removed if fold(name) == run.folder.name or name == str(run.batch.time)]
        if runs.is_run(doors.layout, name):
            there.append(doors.state(name).name)
        elif in_trash:
            chosen += [batch for batch in in_trash if batch not in chosen]
        else:
            addresses.append(_find(doors, name))
    folders = {doors.layout.run(name) for name in there} | _folders(doors, chosen)
    led_to = reach(doors, folders)
    rest = mark(doors, without=folders).all if folders else set()
    objects = tuple(_describe(doors, addresses)) if addresses else ()
    unique, staying = stored_bytes(doors, led_to - rest), len(led_to & rest)
    gone = tuple(run.name for run in removed if run.batch in chosen)
    removal = plan_removal(doors, there) if there else None
    return PurgePlan(objects, tuple(there), tuple(chosen), unique, staying, gone, removal, doors)


# ---------------------------------------------------------------------------------------------------------------- private


def _needed_by_none_but(doors: Doors, folders: set[Path]) -> set[Address]:
    """What runs in these folders of the trash lead to and nothing else does."""
    return reach(doors, folders) - mark(doors, without=folders).all if folders else set()


def _unfinished(doors: Doors) -> set[Address]:
    """What an earlier purge that was interrupted would have removed. What was stored again since, and is named, stays."""
    left = {each for each in read_purged_addresses(doors.layout) if doors.objects.has(each) or doors.objects.has_chunk(each)}
    return left - mark(doors).all if left else set()


def _folders(doors: Doors, batches: Iterable[Discarded]) -> set[Path]:
    times = {batch.time for batch in batches}
    return {folder for batch, folder in removed_folders(doors) if batch.time in times}


def _remove(doors: Doors, doomed: set[Address]) -> int:
    """Removes addresses from wherever they are; the bytes that this freed. Under the store's lock."""
    plan = plan_disk_purge(doors.objects, doors.layout, doomed)
    done = execute_sweep(plan, doors.objects, doors.layout, doors.trash)
    freed = done.freed + purge_trash(doors.trash, doomed)
    purge_staged(doors.layout)
    files.remove_folder(doors.layout.cache)
    left = [address for address in sorted(doomed) if doors.objects.has(address) or doors.objects.has_chunk(address)]
    if left:
        others = f" and {len(left) - 1} others" if len(left) > 1 else ""
        raise Refused(f"{short(left[0])}{others} could not be purged: a pack that holds more is damaged, or the disk is full")
    return freed


def _find(doors: Doors, text: str) -> Address:
    """The object or chunk whose address begins like this, in the store or in the trash; UnknownName, AmbiguousRevision."""
    prefix = text.lower()
    if not _PREFIX.fullmatch(prefix):
        known = [*(state.name for state in doors.states()), *(run.name for run in removed_runs(doors))]
        raise UnknownName("run or object", text, "the store", near(text, known))
    loose = {address for address in doors.objects.loose.addresses() if address.startswith(prefix)}
    chunks = {address for address in doors.objects.stored_sizes() if address.startswith(prefix)}
    # Those that were purged already too: what was interrupted is repeated with the same words.
    others = {each for each in (*_in_trash(doors), *read_purged_addresses(doors.layout)) if each.startswith(prefix)}
    found = sorted(loose | chunks | others)
    if len(found) > 1:
        raise AmbiguousRevision(text, tuple(map(short, found[:8])))
    if not found:
        raise UnknownName("run or object", text, "the store")
    return found[0]


def _in_trash(doors: Doors) -> Iterator[Address]:
    for batch in doors.trash.batches():
        for path in batch.paths:
            if path.startswith("objects/"):
                yield Address(path.removeprefix("objects/").replace("/", ""))


def _describe(doors: Doors, wanted: Iterable[Address]) -> Iterator[PurgedObject]:
    """Each object with what lacks it; Refused for one that a history hangs on."""
    found = mark_names(doors)
    uses, kinds = _uses(doors, found)
    for address in sorted(_with_their_twins(found, set(wanted))):
        if kinds.get(address) in _HANGS_ON:
            raise Refused(f"{short(address)} is a {kinds[address]}: its run's history hangs on it; purge the run")
        is_chunk = doors.objects.has_chunk(address)
        lacking = tuple(_in_words(uses[address])) or (tuple(_of_tensors(doors, found, address)) if is_chunk else ())
        kind = "chunk" if is_chunk else kinds.get(address, "object")
        yield PurgedObject(address, kind, stored_bytes(doors, [address]), lacking)


_HANGS_ON = ("commit", "manifest", "metric segment")


def _with_their_twins(found: Mark, wanted: set[Address]) -> set[Address]:
    """The addresses, and of configs their other form: the value of those bytes, the bytes that say that value."""
    entries = {(entry.snapshot, entry.value) for record in found.commits.values() for entry in record.configs.values()}
    values = {value for snapshot, value in entries if snapshot in wanted or value in wanted}
    return wanted | values | {snapshot for snapshot, value in entries if value in values}


Uses = defaultdict[Address, Counter[tuple[str, str]]]
"""For each address: what it is to whom, as (what, run), and in how many commits, 0 for the run's own."""


def _uses(doors: Doors, found: Mark) -> tuple[Uses, dict[Address, str]]:
    """Who names each object, and what it is."""
    uses: Uses = defaultdict(Counter)
    kinds: dict[Address, str] = dict.fromkeys(found.commits, "commit")
    for record in found.commits.values():
        if record.checkpoint is not None:
            with contextlib.suppress(OnyxError):  # what cannot be read names nothing
                kinds |= dict.fromkeys(manifest_objects(doors.objects, record.checkpoint.manifest), "manifest")
        for name, entry in record.configs.items():
            for address, kind in ((entry.snapshot, "config"), (entry.value, "config value")):
                kinds[address] = kind
                uses[address][f"config '{name}'", record.run] += 1
        for artifact in record.artifacts:
            kinds[artifact.address] = "artifact"
            uses[artifact.address][f"artifact '{artifact.name}'", record.run] += 1
        for each, kind in ((record.code, "code state"), (record.environment, "environment")):
            if each is not None:
                kinds[each] = kind
                uses[each][f"the {kind}", record.run] += 1
    _add_logged(doors, uses, kinds)
    return uses, kinds


def _add_logged(doors: Doors, uses: Uses, kinds: dict[Address, str]) -> None:
    """What the metric logs of runs name: their segments, and artifacts."""
    folders = [*(doors.layout.runs / name for name in runs.run_folders(doors.layout)), *(folder for _, folder in removed_folders(doors))]
    for folder in folders:
        with contextlib.suppress(OnyxError, FileNotFoundError):
            state, log = runs.read_state_in(folder), read_log(folder, doors.objects.get)
            kinds |= {address: "metric segment" for part, address in named_by_run(doors, state, log, folder) if part == "metrics"}
            for artifact in (*artifacts_of(log), *artifacts_of(log, superseded=True)):
                kinds[artifact.address] = "artifact"
                uses[artifact.address][f"artifact '{artifact.name}'", state.name] += 0


def _in_words(used: Counter[tuple[str, str]]) -> Iterator[str]:
    for (what, run), count in used.items():
        yield f"{what} of run '{run}'" + (f", in {count} commit{'s' if count > 1 else ''}" if count else "")


def _of_tensors(doors: Doors, found: Mark, chunk: Address) -> Iterator[str]:
    """The checkpoints that need a chunk."""
    told = set()
    for record in found.commits.values():
        checkpoint = record.checkpoint
        if checkpoint is not None and checkpoint.manifest not in told:
            told.add(checkpoint.manifest)
            with contextlib.suppress(OnyxError):
                if chunk in manifest_chunks(doors.objects, checkpoint.manifest):
                    yield f"the checkpoint of run '{record.run}'" + ("" if checkpoint.step is None else f" at step {checkpoint.step}")
