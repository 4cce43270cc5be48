"""fsck: every byte read, damage named by run and tensor.

The disk half (`disk/verify.py`) reads every object, pack and line file against its own check. This half follows names: every ref
to its commit, every commit to what it consists of, every manifest to its chunks. What a crash leaves (a torn line, a file in
`tmp/`, an unreferenced object) is a note; what lost or would lose something is damage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from onyxstore.disk.locks import pinned
from onyxstore.disk.refs import BEST, HEAD, LATEST, RUNS
from onyxstore.disk.verify import Finding, verify_disk
from onyxstore.errors import CorruptFile, OnyxError, ReadOnly, short_words
from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.history.checkpoints.manifest import Manifest, StoredTensor
from onyxstore.history.checkpoints.walk import print_path
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import ancestors
from onyxstore.history.metrics.log import Log, read_log
from onyxstore.history.metrics.prefix import RunningHash
from onyxstore.history.metrics.series import artifacts_of
from onyxstore.history.notes import read_notes
from onyxstore.history.purged import read_purged_addresses
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.removed import read_removed_run, removed_folders, removed_runs
from onyxstore.store.retaining import all_marked_pruned, is_pruned, went_with_its_run
from onyxstore.store.trees import read_manifest, read_tree_object


@dataclass(frozen=True)
class FsckReport:
    """`damage` is empty when the store is whole; `notes` is what crashes left, harmless."""

    damage: list[Finding]
    notes: list[Finding]
    objects: int
    chunks: int
    read: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage


def check_store(doors: Doors) -> FsckReport:
    """Reads the whole store; never raises for what it finds. Sweeps are kept away meanwhile, or what they take would be missed."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ReadOnly):  # then nobody sweeps it either
            held.enter_context(pinned(doors.layout.locks))
        return _check_all(replace(doors, _commits={}))


def _check_all(doors: Doors) -> FsckReport:
    disk = verify_disk(doors.objects, doors.layout)
    broken = {finding.address for finding in disk.damage if finding.address}
    found = [*disk.damage, *_check_refs(doors), *_check_runs(doors, broken), *_check_trash(doors)]
    commits, unreadable = _reachable(doors)
    found += unreadable
    found += [finding for address, record in commits.items() for finding in _check_commit(doors, address, record, broken)]
    found += _check_checkpoints(doors, commits, broken)
    purged = read_purged_addresses(doors.layout)
    found = [_as_meant(finding) if finding.address in purged and finding.address not in broken else finding for finding in found]
    damage = list(dict.fromkeys(finding for finding in found if finding.is_damage))
    notes = list(dict.fromkeys([*disk.notes, *(finding for finding in found if not finding.is_damage)]))
    return FsckReport(damage, notes, disk.objects, disk.chunks, disk.read)


def _as_meant(finding: Finding) -> Finding:
    return replace(finding, words=f"{finding.words}: it was purged", is_damage=False)


def _check_refs(doors: Doors) -> Iterator[Finding]:
    for name in [HEAD, *doors.refs.names()]:
        where = name if name == HEAD else f"refs/{name}"  # as the disk half calls it
        try:
            address = doors.refs.commit(name)
            if address is not None:
                doors.commit(address)
        except CorruptFile as error:
            yield Finding(where, error.why, is_damage=True)
        except OnyxError as error:
            yield Finding(where, f"it names a commit that cannot be read: {short_words(error)}", is_damage=True)
    yield from _lost_refs(doors)


def _lost_refs(doors: Doors) -> Iterator[Finding]:
    """Refs that are gone although no move took them away, and runs of whom only the refs are left."""
    for name in doors.refs.logged_names():
        where = name if name == HEAD else f"refs/{name}"
        try:
            if doors.refs.read(name) is not None or doors.refs.recall(name) is None:
                continue
            moves = doors.refs.moves(name)
        except OnyxError as error:
            yield Finding(where, short_words(error), is_damage=True)
            continue
        if moves and moves[-1].new is not None:
            yield Finding(where, "it is gone; its reflog says what it named", is_damage=True)
        else:  # there was none before: it cannot be told from one that was just about to be made
            yield Finding(where, "a crash came before its first move, or it is gone; its reflog says where to", is_damage=False)
    there, in_trash = set(runs.run_folders(doors.layout)), {folder.name for _, folder in removed_folders(doors)}
    for run in dict.fromkeys(name.split("/")[1] for name in doors.refs.names() if name.startswith(f"{RUNS}/")):
        if run in in_trash - there:
            yield Finding(f"run {run}", "it is half removed, since a crash came; 'onyx gc' or 'onyx restore' goes on", is_damage=False)
        elif run not in there:
            yield Finding(f"run {run}", "its state is gone; its commits are there", is_damage=True)


def _check_runs(doors: Doors, broken: set[Address]) -> Iterator[Finding]:
    for name in runs.run_folders(doors.layout):
        try:
            state = doors.state(name)
            log = doors.log(name)
        except OnyxError as error:
            yield Finding(f"run {name}", short_words(error), is_damage=True)
            continue
        if state.status == "crashed":
            yield Finding(f"run {state.name}", "it crashed; start it with resume to go on", is_damage=False)
        yield from (Finding(f"run {state.name}", words, is_damage=False) for words in log.notes)
        yield from (Finding(f"run {state.name}", words, is_damage=True) for words in log.damage)
        for artifact in (*artifacts_of(log), *artifacts_of(log, superseded=True)):
            if artifact.address in broken or not doors.objects.has(artifact.address):
                words = f"artifact {artifact.name} is {'damaged' if artifact.address in broken else 'missing'}"
                yield Finding(f"run {state.name}", words, is_damage=True, address=artifact.address)
        if strange := read_notes(doors.layout.runs / name).strange:
            yield Finding(f"run {state.name}", f"{strange} lines of its notes are none", is_damage=True)
        differing = _commits_of_another_log(doors, name, log)
        if differing:
            others = f" and {len(differing) - 1} later ones" if len(differing) > 1 else ""
            words = f"its metric log is not what commit {short(differing[0])}{others} saw"
            yield Finding(f"run {state.name}", words, is_damage=True)


def _commits_of_another_log(doors: Doors, run: str, log: Log) -> list[Address]:
    """The run's commits whose prefix of the metric log is not what the log begins with, oldest first."""
    prefixes = sorted(((record.log, address) for address, record in _line(doors, run) if record.log), key=lambda each: each[0].position)
    # One hash that goes on from commit to commit: from the start for each, it would be commits times records.
    hasher = RunningHash()
    return [
        address
        for prefix, address in prefixes
        if prefix.id != log.id or prefix.position > log.position or hasher.at(prefix.position, log.records) != prefix.hash
    ]


def _check_trash(doors: Doors) -> Iterator[Finding]:
    """Runs in the trash that cannot be taken back whole."""
    for batch, folder in removed_folders(doors):
        where = f"trash/{batch.time}/{RUNS}/{folder.name}"
        try:
            run = read_removed_run(batch, folder)
            yield from (Finding(where, words, is_damage=True) for words in read_log(folder, doors.objects.get).damage)
            if read_notes(run.folder).strange:
                yield Finding(where, "lines of its notes are none", is_damage=True)
        except (OnyxError, FileNotFoundError) as error:
            yield Finding(where, short_words(error), is_damage=True)


def _line(doors: Doors, name: str) -> Iterator[tuple[Address, CommitRecord]]:
    try:
        yield from doors.line(name)
    except OnyxError:
        return


def _reachable(doors: Doors) -> tuple[dict[Address, CommitRecord], list[Finding]]:
    """Every commit that refs lead to, and those that cannot be read."""
    missing: list[Finding] = []
    nothing = CommitRecord(run="", parents=(), message="", time=0)

    def read(address: Address) -> CommitRecord:
        try:
            return doors.commit(address)
        except OnyxError as error:
            missing.append(Finding(f"commit {short(address)}", short_words(error), is_damage=True, address=address))
            return nothing

    starts = []
    for name in [HEAD, *doors.refs.names()]:
        try:
            address = doors.refs.commit(name)
        except CorruptFile:
            continue
        starts += [address] if address else []
    starts += [address for run in removed_runs(doors) for which in (LATEST, BEST) if (address := run.removed.commit(which)) is not None]
    return {address: record for address, record in ancestors(read, starts).items() if record is not nothing}, missing


def _check_commit(doors: Doors, address: Address, record: CommitRecord, broken: set[Address]) -> Iterator[Finding]:
    named = {f"artifact {artifact.name}": artifact.address for artifact in record.artifacts}
    for name, entry in record.configs.items():
        named |= {f"config {name}": entry.snapshot, f"the value of config {name}": entry.value}
    named |= {what: each for what, each in (("code state", record.code), ("environment", record.environment)) if each is not None}
    for what, each in named.items():
        if each in broken or not doors.objects.has(each):
            words = f"{what} of commit {short(address)} is {'damaged' if each in broken else 'missing'}"
            yield Finding(f"run {record.run}", words, is_damage=True, address=each)


def _check_checkpoints(doors: Doors, commits: dict[Address, CommitRecord], broken: set[Address]) -> Iterator[Finding]:
    """Every checkpoint, looked at once, and every chunk of those that are kept; who misses one is named by run, step and tensor."""
    pruned = all_marked_pruned(doors)
    looked_at: set[tuple[Address, bool]] = set()
    for address, record in commits.items():
        entry = record.checkpoint
        is_kept = entry is not None and entry.manifest not in pruned.get(fold(record.run), set())
        if entry is None or (entry.manifest, is_kept) in looked_at:
            continue
        looked_at.add((entry.manifest, is_kept))
        where = f"run {record.run}"
        try:
            manifest = read_manifest(doors.objects, entry.manifest)
            trees = {name: read_tree_object(doors.objects, tree) for name, tree in _trees(manifest).items()}
            if manifest.file is not None:
                doors.objects.get(manifest.file.header)
        except OnyxError as error:
            words = f"the checkpoint at step {entry.step} cannot be read: {short_words(error)}"
            yield Finding(where, words, is_damage=True, address=entry.manifest)
            continue
        tensors = [(name, tensor) for name, tree in trees.items() for tensor in tree.tensors if is_kept]
        lacking = [(name, tensor, lost) for name, tensor in tensors if (lost := _lost_chunks(doors, tensor, broken))]
        if lacking and _was_inherited_pruned(doors, address):
            continue
        for name, tensor, lost in lacking:
            path = print_path(tensor.path if name == "state" else (name, *tensor.path))
            words = f"the checkpoint at step {entry.step}: {path} lacks {len(lost)} of {len(tensor.chunks)} chunks"
            yield Finding(where, words, is_damage=True, address=lost[0])


def _was_inherited_pruned(doors: Doors, commit: Address) -> bool:
    """Whether a checkpoint was pruned by the run that the commit's run was forked from, or went with a run that was removed."""
    try:
        return is_pruned(doors, commit) or went_with_its_run(doors, commit)
    except OnyxError:
        return False


def _trees(manifest: Manifest) -> dict[str, Address]:
    named = {"state": manifest.state, "rng": manifest.rng, "tracked": manifest.tracked}
    return {name: address for name, address in named.items() if address is not None}


def _lost_chunks(doors: Doors, tensor: StoredTensor, broken: set[Address]) -> list[Address]:
    return [chunk for chunk in tensor.chunks if chunk in broken or not doors.objects.has_chunk(chunk)]
