"""What a store's bytes are for: by run, by part of the checkpoints, and on the disk.

An address that several need is stored once. So of each run and each part there are two figures: what is stored for it, *shared* with
others or not, and what is *unique*, stored for it alone: that much is freed when it goes and nothing else does. A checkpoint belongs to
the run that saved it; one that is pruned to nobody: what only pruned ones need is garbage.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.errors import OnyxError
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.checkpoints.manifest import StoredTensor
from onyxstore.history.commits import CommitRecord
from onyxstore.history.metrics.log import read_log
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.marking import Mark, mark_names, named_by_commit, named_by_run, run_places
from onyxstore.store.trees import manifest_objects, read_manifest, read_tree_object

STATE = "state"


@dataclass(frozen=True)
class Share:
    """Bytes of one run, or of one part: `raw` those of its tensors, in each checkpoint; `stored` what it needs, `unique` it alone.

    `raw` is None for what holds no tensors.
    """

    name: str
    checkpoints: int
    raw: int | None
    stored: int
    unique: int

    @property
    def shared(self) -> int:
        """Stored bytes that others need too."""
        return self.stored - self.unique


@dataclass(frozen=True)
class Shares:
    """The shares of all runs or of all parts, the largest first; what several share is stored once: `shared` counts it so."""

    rows: tuple[Share, ...]
    checkpoints: int
    raw: int
    shared: int

    @property
    def unique(self) -> int:
        """Bytes that one of them alone needs."""
        return sum(row.unique for row in self.rows)

    @property
    def stored(self) -> int:
        """Bytes that any of them needs."""
        return self.unique + self.shared


@dataclass(frozen=True)
class Usage:
    """The bytes of a store, which are those of its files.

    They add up in two ways: to packs + objects + logs + other + trash, and to runs.stored + garbage + overhead + other + trash. `logs`
    are the live parts of runs; `other` is refs, reflogs, settings, what is derived or on the way in; `overhead` what packs have besides
    chunks, and second copies of these; `garbage` what nothing needs any more. `unreadable` says what is damaged: what only that needs is
    counted as garbage.
    """

    runs: Shares
    parts: Shares
    packs: int
    objects: int
    logs: int
    other: int
    trash: int
    garbage: int
    overhead: int
    unreadable: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Bytes of all files of the store."""
        return self.packs + self.objects + self.logs + self.other + self.trash

    def __str__(self) -> str:
        lines = [f"{row.name}: {row.stored:,} bytes stored, {row.unique:,} of them for it alone" for row in self.runs.rows]
        lines.append(f"{self.total:,} bytes in all, {self.garbage:,} of them garbage, {self.trash:,} in the trash")
        return "\n".join(lines)


class Tally:
    """Stored bytes by owner: how many it needs, and how many nobody else does. Each owner is added once, with all that it needs."""

    def __init__(self, sizes: Mapping[Address, int]) -> None:
        self._sizes = sizes
        self._owners: dict[Address, str | None] = {}
        self.stored: Counter[str] = Counter()
        self.unique: Counter[str] = Counter()
        self.shared = 0
        """Bytes that more than one needs, counted once."""

    def add(self, owner: str, addresses: Iterable[Address]) -> None:
        """An owner and the distinct addresses that it needs; one that is not stored counts nothing."""
        for address in addresses:
            size = self._sizes.get(address, 0)
            self.stored[owner] += size
            if address not in self._owners:
                self._owners[address] = owner
                self.unique[owner] += size
            elif (first := self._owners[address]) is not None:
                self._owners[address] = None
                self.unique[first] -= size
                self.shared += size


def measure_usage(doors: Doors) -> Usage:
    """What the store's bytes are for at this moment."""
    found = mark_names(doors)
    chunks = doors.objects.stored_sizes()
    loose = {address: _size(doors.layout.object(address)) for address in doors.objects.loose.addresses()}
    folders = {name: _sum(doors.layout.runs / name) for name in runs.run_folders(doors.layout)}
    sizes = chunks | loose | {_folder(name): size for name, size in folders.items()}
    by_run, by_part = _Ledger(sizes), _Ledger(sizes)
    _count_runs(doors, found, by_run, by_part)
    shares = by_run.shares()
    packs, logs = doors.objects.packed_size(), sum(folders.values())
    objects, in_chunks = sum(loose.values()), sum(chunks.values())
    damaged = [f"pack {name}: {why}" for name, why in doors.objects.damaged_packs().items()]
    return Usage(
        shares,
        by_part.shares(),
        packs,
        objects,
        logs,
        other=_others(doors.layout),
        trash=_sum(doors.layout.trash),
        garbage=in_chunks + objects + logs - shares.stored,
        overhead=packs - in_chunks,
        unreadable=tuple(dict.fromkeys([*found.unreadable, *damaged])),
    )


class _Ledger:
    """What each owner needs, as it comes to light."""

    def __init__(self, sizes: Mapping[Address, int]) -> None:
        self._sizes = sizes
        self._needs: defaultdict[str, set[Address]] = defaultdict(set)
        self._names: dict[str, str] = {}
        self._raw: Counter[str] = Counter()
        self._checkpoints: defaultdict[str, set[Address]] = defaultdict(set)

    def need(self, owner: str, addresses: Iterable[Address]) -> None:
        self._names.setdefault(fold(owner), owner)
        self._needs[fold(owner)].update(addresses)

    def save(self, owner: str, manifest: Address, raw: int, chunks: Iterable[Address]) -> None:
        """Tensors of a checkpoint: their bytes, and what holds them."""
        self.need(owner, chunks)
        self._raw[fold(owner)] += raw
        self._checkpoints[fold(owner)].add(manifest)

    def shares(self) -> Shares:
        tally = Tally(self._sizes)
        for owner, addresses in self._needs.items():
            tally.add(owner, addresses)
        rows = [
            Share(name, len(self._checkpoints[owner]), self._raw.get(owner), tally.stored[owner], tally.unique[owner])
            for owner, name in self._names.items()
        ]
        rows.sort(key=lambda row: (-row.stored, row.name))
        return Shares(tuple(rows), len(set().union(*self._checkpoints.values())), self._raw.total(), tally.shared)


def _count_runs(doors: Doors, found: Mark, by_run: _Ledger, by_part: _Ledger) -> None:
    for place in run_places(doors, Mark()):  # those in the trash need theirs too
        with contextlib.suppress(OnyxError, FileNotFoundError):  # the mark, which reads the same, says what it is
            state = runs.read_state_in(place.folder)
            _need(by_run, by_part, state.name, named_by_run(doors, state, read_log(place.folder, doors.objects.get), place.folder))
        if place.folder.parent == doors.layout.runs:
            _need(by_run, by_part, place.name, [("metrics", _folder(place.name))])
    for address, record in found.commits.items():
        if record.run:  # else it stands for one that cannot be read
            _need(by_run, by_part, record.run, [("commits", address), *named_by_commit(record)])
    for run, manifest in _saved(found.commits):
        try:
            _count_checkpoint(doors, run, manifest, by_run, by_part, is_kept=manifest in found.kept)
        except OnyxError as error:
            found.unreadable.append(str(error))


def _need(by_run: _Ledger, by_part: _Ledger, run: str, named: Iterable[tuple[str, Address]]) -> None:
    for part, address in named:
        by_run.need(run, [address])
        by_part.need(part, [address])


def _saved(commits: Mapping[Address, CommitRecord]) -> Iterator[tuple[str, Address]]:
    """Each checkpoint with the run that saved it: a commit that has its first parent's carries it only."""
    saved: dict[tuple[str, Address], None] = {}
    for record in commits.values():
        before = commits[record.parents[0]].checkpoint if record.parents else None
        if record.checkpoint is not None and (before is None or before.manifest != record.checkpoint.manifest):
            saved[record.run, record.checkpoint.manifest] = None
    yield from saved


def _count_checkpoint(doors: Doors, run: str, manifest: Address, by_run: _Ledger, by_part: _Ledger, *, is_kept: bool) -> None:
    """A checkpoint's objects, and its tensors unless it is pruned."""
    _need(by_run, by_part, run, (("manifests", each) for each in manifest_objects(doors.objects, manifest)))
    if not is_kept:
        return
    named = read_manifest(doors.objects, manifest)
    parts: defaultdict[str, list[StoredTensor]] = defaultdict(list)
    for kind, address in (("state", named.state), ("rng", named.rng), ("tracked", named.tracked)):
        for tensor in read_tree_object(doors.objects, address).tensors if address is not None else ():
            parts[str(tensor.path[0]) if kind == STATE and len(tensor.path) > 1 else kind].append(tensor)
    for part, tensors in parts.items():
        raw, chunks = sum(tensor.size for tensor in tensors), {chunk for tensor in tensors for chunk in tensor.chunks}
        by_run.save(run, manifest, raw, chunks)
        by_part.save(part, manifest, raw, chunks)


def _folder(run: str) -> Address:
    """What stands for a run's folder among the addresses."""
    return Address(f"runs/{run}")


def _others(layout: Layout) -> int:
    """Bytes of what is none of packs, objects, runs and trash."""
    told = {folder.name for folder in (layout.packs, layout.objects, layout.runs, layout.trash)}
    paths = [layout.root / name for name in files.list_folder(layout.root) if name not in told]
    return sum(_sum(path) if path.is_dir() else _size(path) for path in paths)


def _sum(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(_size(path) for path in files.walk_files(folder))


def _size(path: Path) -> int:
    """Bytes of a file; none when it went away meanwhile."""
    try:
        return files.file_size(path)
    except FileNotFoundError:
        return 0
