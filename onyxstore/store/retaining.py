"""Retention in a store: which manifests of which runs go, and the marks that say so.

The policy is `history/retention.py`; here stands what it is asked with: the run's own line, its limit, and what best, latest, tags
and forks protect.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.refs import TAGS
from onyxstore.errors import Damage, DiskError, NotHere
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import first_parents
from onyxstore.history.retention import PruneMark, RetentionPlan, append_marks, plan_retention, read_marks, read_pruned
from onyxstore.history.runs import RunState
from onyxstore.names import fold
from onyxstore.store.doors import Doors
from onyxstore.store.removed import removed_folders

_log = logging.getLogger("onyxstore")


@dataclass(frozen=True)
class RunRetention:
    """What a run keeps and what it prunes, and the commit that first had each manifest."""

    run: str
    plan: RetentionPlan
    commits: Mapping[Address, Address]


def is_pruned(doors: Doors, commit: Address) -> bool:
    """Whether a commit's checkpoint was pruned, by its run or one before it on the line that carries the checkpoint, or went with them."""
    carriers = _carriers(doors, commit)
    if any(manifest in marked_pruned(doors, run) for run, (manifest, _) in carriers.items()):
        return True
    return not any(runs.run_exists(doors.layout, run) for run in carriers) and went_with_its_run(doors, commit)


def went_with_its_run(doors: Doors, commit: Address) -> bool:
    """Whether a commit's checkpoint was kept by runs alone that were removed for good; the commit is there since another needs it."""
    carriers = _carriers(doors, commit)
    for run, (_, address) in carriers.items():
        # A run of the same name may be another.
        if runs.run_exists(doors.layout, run) and any(address == each for each, _ in doors.line(run)):
            return False
    in_trash = {folder.name for _, folder in removed_folders(doors)}
    protected = protected_manifests(doors)
    return bool(carriers) and not any(manifest in protected or fold(run) in in_trash for run, (manifest, _) in carriers.items())


def _carriers(doors: Doors, commit: Address) -> dict[str, tuple[Address, Address]]:
    """The runs that carry the commit's checkpoint, back to the one that saved it: the manifest, and the run's newest such commit."""
    wanted = doors.commit(commit).checkpoint
    carriers: dict[str, tuple[Address, Address]] = {}
    for address, record in first_parents(doors.commit, commit):
        if wanted is None or record.checkpoint is None or record.checkpoint.manifest != wanted.manifest:
            break
        carriers.setdefault(record.run, (wanted.manifest, address))
    return carriers


def marked_pruned(doors: Doors, run: str) -> set[Address]:
    """The run's manifests that were pruned by their last readable mark: it explains what is missing. A sweep doubts more.

    Of a run that is in the trash, and in its place no other, by the marks there.
    """
    if runs.run_exists(doors.layout, run):
        return _last_marks(doors.layout.run(run))
    return set().union(*(_last_marks(folder) for _, folder in removed_folders(doors) if folder.name == fold(run)))


def all_marked_pruned(doors: Doors) -> dict[str, set[Address]]:
    """The same for all runs by their folded names, here and in the trash: of several that had one name, what any of them marked."""
    found: dict[str, set[Address]] = {}
    for folder in (*(doors.layout.runs / name for name in runs.run_folders(doors.layout)), *(each for _, each in removed_folders(doors))):
        with contextlib.suppress(Damage, DiskError):  # fsck's other half says it
            found[folder.name] = found.get(folder.name, set()) | _last_marks(folder)
    return found


def _last_marks(folder: Path) -> set[Address]:
    last = {mark.manifest: mark.pruned for mark in read_marks(folder)}
    return {manifest for manifest, pruned in last.items() if pruned}


def revive(doors: Doors, run: str, manifest: Address) -> None:
    """Takes back that a manifest was pruned, once it is stored again and before a commit names it: a sweep goes by the mark."""
    folder = doors.layout.run(run)
    if manifest in read_pruned(folder):
        append_marks(folder, [PruneMark(manifest, time.time_ns(), pruned=False, stored=0)])


def retain(doors: Doors, state: RunState) -> bool:
    """After a save: marks what the run no longer keeps; whether anything was. The first pruning of a run is said."""
    found = run_retention(doors, state, protected_manifests(doors))
    if not found.plan.pruned:
        return False
    if not read_marks(doors.layout.run(state.name)):
        limit = limit_of(doors, state)
        _log.warning("run '%s' keeps its newest %s checkpoints; older ones are pruned (max_checkpoints)", state.name, limit)
    mark_run(doors, found, files.clock(doors.layout.tmp))
    return True


def mark_run(doors: Doors, found: RunRetention, now: int) -> None:
    """Marks what the plan prunes; `now` is by the clock of the machine that holds the files."""
    marks = [PruneMark(manifest, now, pruned=True, stored=_added_by(doors, found.commits[manifest])) for manifest in found.plan.pruned]
    append_marks(doors.layout.run(found.run), marks)


def _added_by(doors: Doors, commit: Address) -> int:
    return int(doors.commit(commit).cost.get("checkpoint_bytes", 0))


def run_retention(doors: Doors, state: RunState, protected: Mapping[Address, str]) -> RunRetention:
    """What a run keeps, of the manifests that it still has."""
    gone = read_pruned(doors.layout.run(state.name))
    first_commit: dict[Address, Address] = {}
    manifests: list[Address] = []
    inherited = _inherited(doors, state)
    for address, record in doors.line(state.name):
        if record.checkpoint is not None and record.checkpoint.manifest not in gone | inherited:
            manifests.append(record.checkpoint.manifest)
            first_commit[record.checkpoint.manifest] = address
    return RunRetention(state.name, plan_retention(manifests, limit_of(doors, state), protected), first_commit)


def limit_of(doors: Doors, state: RunState) -> int | None:
    """How many checkpoints the run keeps; None is all."""
    return doors.settings.max_checkpoints if state.max_checkpoints == "settings" else state.max_checkpoints


def protected_manifests(doors: Doors) -> dict[Address, str]:
    """Manifests that stay whatever their age, with the reason."""
    return {
        record.checkpoint.manifest: reason
        for address, reason in _protected_commits(doors)
        if (record := _find_commit(doors, address)) is not None and record.checkpoint is not None
    }


def _protected_commits(doors: Doors) -> Iterator[tuple[Address, str]]:
    for name in doors.refs.names():
        address = doors.refs.commit(name)
        if address is not None:
            kind, _, rest = name.partition("/")
            yield address, f"tagged {rest}" if kind == TAGS else (rest or kind).rpartition("/")[2]
    head = doors.refs.commit("HEAD")
    if head is not None:
        yield head, "HEAD"
    for state in doors.states():
        if state.parent is not None:
            yield state.parent, f"'{state.name}' starts from it"


def _inherited(doors: Doors, state: RunState) -> set[Address]:
    """A fork's first commits carry a manifest of the run that it came from, whose retention it is."""
    record = _find_commit(doors, state.parent) if state.parent else None
    return {record.checkpoint.manifest} if record is not None and record.checkpoint is not None else set()


def _find_commit(doors: Doors, address: Address) -> CommitRecord | None:
    try:
        return doors.commit(address)
    except NotHere:
        return None
