"""What is live: the half of gc that knows what commits, runs and checkpoints are.

Everything is live that a ref, a run, or a commit that these lead to names; a run in the trash too, for as long as it lies there. Of a
checkpoint's chunks, those are live that a run on whose line it is keeps, or that belong to a commit which a ref names or a fork
starts from. So once a run is gone for good, what tags and forks need of it stays, and no more. What cannot be read makes the mark
incomplete, and then nothing is swept: unknown is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from onyxstore.disk.refs import BEST, HEAD, LATEST, RUNS, run_ref
from onyxstore.errors import CorruptFile, OnyxError
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import ancestors, line_of
from onyxstore.history.metrics.log import Log, read_list, read_log
from onyxstore.history.metrics.sealed import decode_list
from onyxstore.history.metrics.series import artifacts_of
from onyxstore.history.retention import read_pruned
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.removed import read_removed_run, removed_folders
from onyxstore.store.trees import manifest_chunks, manifest_objects

Named = Iterator[tuple[str, Address]]
"""Objects that something names, each with the word for what it is there: `configs`, `artifacts`, `code`, `environment`, `metrics`."""


@dataclass
class Mark:
    """What is live: objects, chunks; chunks that only pruned manifests name; the commits; what could not be read.

    The manifests `kept` are those whose chunks are live; a manifest that is neither there nor in `pruned` belongs to a run that is gone.
    """

    objects: set[Address] = field(default_factory=set)
    chunks: set[Address] = field(default_factory=set)
    dropped: set[Address] = field(default_factory=set)
    commits: dict[Address, CommitRecord] = field(default_factory=dict)
    kept: set[Address] = field(default_factory=set)
    pruned: set[Address] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)

    @property
    def all(self) -> set[Address]:
        """Every address that is live."""
        return self.objects | self.chunks


@dataclass(frozen=True)
class RunPlace:
    """A run's folder, among the runs or in the trash, and the commits that its refs name, or named: the latest, the best."""

    folder: Path
    latest: Address | None
    best: Address | None

    @property
    def name(self) -> str:
        """Its name, folded."""
        return self.folder.name


def mark(doors: Doors, also_pruned: Mapping[str, set[Address]] | None = None, without: AbstractSet[Path] = frozenset()) -> Mark:
    """What is live, chunks too; the arguments are those of `mark_names`."""
    found = mark_names(doors, also_pruned, without)
    _mark_manifests(doors, found)
    return found


def mark_names(doors: Doors, also_pruned: Mapping[str, set[Address]] | None = None, without: AbstractSet[Path] = frozenset()) -> Mark:
    """What is live, by the names that refs, runs and commits hold; no checkpoint is looked into.

    `also_pruned` are manifests by folded run name to be looked at as pruned already, `without` folders of runs to be looked at as gone.
    """
    found = Mark()
    places = list(run_places(doors, found, without))
    leaving = {folder.name for folder in without if folder.parent == doors.layout.runs}
    roots = [*_named_by_refs(doors, found, leaving), *_named_by_places(doors, found, places)]
    _mark_commits(doors, found, roots)
    # What a ref names or a fork starts from is kept, whatever a mark says: it may have been made in the moment before a tag.
    found.kept = {checkpoint.manifest for root in roots if (checkpoint := found.commits[root].checkpoint) is not None}
    for place in places:
        pruned = _pruned_by(place, found) | (also_pruned or {}).get(place.name if place.folder.parent == doors.layout.runs else "", set())
        for manifest in _manifests_of(place, found.commits):
            (found.pruned if manifest in pruned else found.kept).add(manifest)
    return found


def reach(doors: Doors, folders: Iterable[Path]) -> set[Address]:
    """Every object and chunk that runs in these folders lead to, what they pruned too; what cannot be read is left out."""
    wanted = set(folders)
    if not wanted:
        return set()
    found = Mark()
    _mark_commits(doors, found, _named_by_places(doors, found, (place for place in run_places(doors, found) if place.folder in wanted)))
    found.kept = _manifests(found)
    _mark_manifests(doors, found)
    return found.objects | found.chunks


def named_by_commit(record: CommitRecord) -> Named:
    """The objects that a commit names, but for its parents and its checkpoint."""
    yield from (("configs", each) for config in record.configs.values() for each in (config.snapshot, config.value))
    yield from (("artifacts", artifact.address) for artifact in record.artifacts)
    yield from ((part, each) for part, each in (("code", record.code), ("environment", record.environment)) if each)


def named_by_run(doors: Doors, state: runs.RunState, log: Log, folder: Path | None = None) -> Named:
    """The objects that a run names, but for commits: those of its attempts and of its metric log. In the trash it has another `folder`."""
    for attempt in state.attempts:
        yield from ((part, each) for part, each in (("code", attempt.code), ("environment", attempt.environment)) if each)
    listed = decode_list(read_list(folder or doors.layout.run(state.name)))
    yield from (("metrics", each.segment) for each in listed.segments)
    for superseded in (False, True):  # what is off the line too
        yield from (("artifacts", artifact.address) for artifact in artifacts_of(log, superseded=superseded))


def stored_bytes(doors: Doors, addresses: Iterable[Address]) -> int:
    """The bytes that these objects and chunks take in the store."""
    in_packs = doors.objects.stored_sizes()
    total = 0
    for address in addresses:
        if address in in_packs:
            total += in_packs[address]
        else:
            with contextlib.suppress(FileNotFoundError):  # it was purged, or a sweep took it
                total += doors.objects.loose.stored_size(address)
    return total


def run_places(doors: Doors, found: Mark, without: AbstractSet[Path] = frozenset()) -> Iterator[RunPlace]:
    """Every run, those in the trash last."""
    for name in runs.run_folders(doors.layout):
        if doors.layout.runs / name not in without:
            yield RunPlace(doors.layout.runs / name, _commit(doors, run_ref(name, LATEST)), _commit(doors, run_ref(name, BEST)))
    for batch, folder in removed_folders(doors):
        if folder in without:
            continue
        try:
            removed = read_removed_run(batch, folder).removed
        except FileNotFoundError:
            continue
        except OnyxError as error:
            found.unreadable.append(str(error))
            continue
        yield RunPlace(folder, removed.commit(LATEST), removed.commit(BEST))


# ---------------------------------------------------------------------------------------------------------------- private


def _commit(doors: Doors, ref: str) -> Address | None:
    try:
        return doors.refs.commit(ref)
    except CorruptFile:  # said where all refs are looked at
        return None


def _named_by_refs(doors: Doors, found: Mark, leaving: set[str]) -> Iterator[Address]:
    """Commits that refs name; of those that follow runs, the ones that name a commit of a run that is leaving will name another."""
    follow = {LATEST, BEST}
    for name in [HEAD, *doors.refs.names()]:
        kind, _, rest = name.partition("/")
        if kind == RUNS and rest.partition("/")[0] in leaving:
            continue
        try:
            address = doors.refs.commit(name)
        except CorruptFile as error:
            found.unreadable.append(str(error))
            continue
        if address is not None and not (name in follow and fold(_read(doors, address, found).run) in leaving):
            yield address


def _named_by_places(doors: Doors, found: Mark, places: Iterable[RunPlace]) -> Iterator[Address]:
    """Commits that runs name; what else they name is marked on the way."""
    for place in places:
        yield from (each for each in (place.latest, place.best) if each is not None)
        try:
            state = runs.read_state_in(place.folder)
            log = read_log(place.folder, doors.objects.get)
            found.objects.update(address for _, address in named_by_run(doors, state, log, place.folder))
        except FileNotFoundError:  # it was set aside, or taken back, while this plan, without the store's lock, was only looked at
            continue
        except OnyxError as error:
            found.unreadable.append(str(error))
            continue
        if state.parent is not None:
            yield state.parent
        found.unreadable.extend(f"run {state.name}: {words}" for words in log.damage)


def _pruned_by(place: RunPlace, found: Mark) -> set[Address]:
    try:
        return read_pruned(place.folder)
    except OnyxError as error:
        found.unreadable.append(str(error))
        return set()


def _manifests_of(place: RunPlace, commits: Mapping[Address, CommitRecord]) -> set[Address]:
    """The checkpoints on a run's line."""
    if place.latest is None:
        return set()
    line = line_of(lambda address: commits[address], place.latest)
    return {record.checkpoint.manifest for _, record in line if record.checkpoint is not None}


def _mark_commits(doors: Doors, found: Mark, roots: Iterable[Address]) -> None:
    found.commits = ancestors(lambda each: _read(doors, each, found), roots)
    for address, record in found.commits.items():
        found.objects.add(address)
        found.objects.update(each for _, each in named_by_commit(record))


def _manifests(found: Mark) -> set[Address]:
    return {record.checkpoint.manifest for record in found.commits.values() if record.checkpoint is not None}


def _mark_manifests(doors: Doors, found: Mark) -> None:
    """Manifests and their trees are live, all of them; their chunks are where somebody keeps them."""
    for manifest in _manifests(found):
        try:
            found.objects.update(manifest_objects(doors.objects, manifest))
            if manifest in found.kept:
                found.chunks.update(manifest_chunks(doors.objects, manifest))
            elif manifest in found.pruned:
                found.dropped.update(manifest_chunks(doors.objects, manifest))
        except OnyxError as error:
            found.unreadable.append(str(error))
    found.dropped -= found.chunks


def _read(doors: Doors, address: Address, found: Mark) -> CommitRecord:
    try:
        return doors.commit(address)
    except OnyxError as error:
        found.unreadable.append(str(error))
        return CommitRecord(run="", parents=(), message="", time=0)
