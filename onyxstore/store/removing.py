"""Runs that go to the trash, and runs that come back from it.

The run's folder goes first, as a whole, with the words in it that say what its refs held (`history/removed.py`); then its refs, then
their reflogs. It comes back in the opposite order. So at each moment the run is all there, or in the trash from where all of it can be
had; what a crash leaves between the two is finished by the next that removes, restores or collects garbage. Whoever moves a run holds
its lock, which goes with the folder.

What else needs a removed run's commits keeps them: a tag, a fork, HEAD. `latest` and `best` fall to the next candidates.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from onyxstore.disk import files
from onyxstore.disk.locks import pinned, try_lock, try_lock_there
from onyxstore.disk.refs import BEST, HEAD, LATEST, RUNS, TAGS, Change, Reason, Ref, new_call, run_ref, to
from onyxstore.disk.trash import Discarded
from onyxstore.errors import CorruptFile, Damage, NameTaken, NotHere, PlanSpent, RunIsLive, UnknownName
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.removed import REMOVED, Removed, write_removed
from onyxstore.names import check_run_name, fold, near
from onyxstore.store.doors import Doors
from onyxstore.store.electing import best_again, best_of_others, latest_again, latest_of_others
from onyxstore.store.marking import mark, reach, stored_bytes
from onyxstore.store.noting import no_notes
from onyxstore.store.removed import RemovedRun, is_half_removed, read_removed_run, removed_runs

FOLLOWERS = (LATEST, BEST, HEAD)
"""The refs that name runs' commits by a rule, not because somebody said so."""


@dataclass(frozen=True)
class RefChange:
    """A ref that moved, by the name that one types: what it held, what it holds."""

    ref: str
    old: Ref | None
    new: Ref | None


def joined(changes: Iterable[RefChange]) -> tuple[RefChange, ...]:
    """Several moves of a ref as one; those that lead back to where it was are none."""
    found: dict[str, RefChange] = {}
    for change in changes:
        found[change.ref] = RefChange(change.ref, found.get(change.ref, change).old, change.new)
    return tuple(change for change in found.values() if change.old != change.new)


@dataclass(frozen=True)
class Leaving:
    """A run that is to go: how many commits it has, and who else needs some of them, in words."""

    name: str
    status: runs.Status
    commits: int
    needed_by: tuple[str, ...]


@dataclass
class RemovalPlan:
    """What removing runs would do. It prints itself; `execute` does it, once."""

    runs: tuple[Leaving, ...]
    unique: int
    """Bytes that these runs alone need."""
    _doors: Doors = field(repr=False)
    _spent: bool = field(default=False, repr=False)

    def execute(self, call: str | None = None) -> tuple[RefChange, ...]:
        """Sets the runs aside; the refs that moved, theirs left out. RunIsLive, UnknownName, PlanSpent."""
        if self._spent:
            raise PlanSpent("removal")
        self._spent = True
        doors, call = self._doors, call or new_call()
        finish_removals(doors)
        leaving = {fold(run.name) for run in self.runs}
        return joined(change for run in self.runs for change in _set_aside(doors, run.name, call, leaving))

    def __str__(self) -> str:
        lines = [f"{run.name} ({run.status}, {run.commits} commits) would go to the trash" for run in self.runs]
        lines += [f"{words}: what that needs of '{run.name}' stays" for run in self.runs for words in run.needed_by]
        return "\n".join([*lines, f"{self.unique:,} bytes would be freed once they have had their grace"])


@dataclass
class RestorationPlan:
    """What taking a run back would do; `execute` does it, once."""

    run: RemovedRun
    _doors: Doors = field(repr=False)
    _spent: bool = field(default=False, repr=False)

    def execute(self, call: str | None = None) -> tuple[RefChange, ...]:
        """Brings the run back; the refs that moved, its own left out. NameTaken, RunIsLive, UnknownName, PlanSpent."""
        if self._spent:
            raise PlanSpent("restoration")
        self._spent = True
        return _bring_back(self._doors, self.run, call or new_call())

    @property
    def name(self) -> str:
        """What comes back."""
        return f"run '{self.run.name}'"

    @property
    def batch(self) -> Discarded:
        """Where in the trash it lies."""
        return self.run.batch

    def __str__(self) -> str:
        return f"{self.run.name} ({self.run.state.status}) would come back"


def plan_removal(doors: Doors, names: Sequence[str]) -> RemovalPlan:
    """What setting these runs aside would do; UnknownName for one that there is not, RunIsLive for one that somebody writes."""
    states = list({fold(state.name): state for state in (_idle(doors, name) for name in names)}.values())
    folders = {doors.layout.run(state.name) for state in states}
    rest = mark(doors, without=folders)
    unique = stored_bytes(doors, reach(doors, folders) - rest.objects - rest.chunks)
    leaving = {folder.name for folder in folders}
    going = [Leaving(each.name, each.status, sum(1 for _ in doors.line(each.name)), _needed_by(doors, each, leaving)) for each in states]
    return RemovalPlan(tuple(going), unique, doors)


def finish_removals(doors: Doors) -> None:
    """Takes away what is left of runs that lie in the trash, where a crash came in between; not where somebody is at it."""
    for run in reversed(removed_runs(doors)):
        if not is_half_removed(doors, run) or files.exists(run.reflog):
            continue
        held = try_lock_there(run.folder / "lock")
        if held is None:
            continue
        try:
            if files.exists(run.folder / "state") and is_half_removed(doors, run):
                _take_refs_away(doors, run, {run.folder.name})
        finally:
            held.release()


# ------------------------------------------------------------------------------------------------------------- private: going


def _idle(doors: Doors, name: str) -> runs.RunState:
    """The state of a run that nobody writes."""
    try:
        state = doors.state(check_run_name(name))
    except FileNotFoundError:
        raise UnknownName("run", name, "the store", near(name, (state.name for state in doors.states()))) from None
    if state.status == "running":
        raise RunIsLive(state.name)
    return state


def _needed_by(doors: Doors, state: runs.RunState, leaving: set[str]) -> tuple[str, ...]:
    """Tags, HEAD and forks that name commits of a run."""
    refs = {name: doors.refs.read(name) for name in [HEAD, *doors.refs.names()] if name == HEAD or name.startswith(f"{TAGS}/")}
    named = [ref.get("name") for ref in refs.values() if ref is not None and "commit" in ref and _is_commit_of(doors, ref["commit"], state)]
    forks = [each for each in doors.states() if fold(each.name) not in leaving and _is_commit_of(doors, each.parent, state)]
    words = ("HEAD names it" if tag is None else f"tag '{tag}' names it" for tag in named)
    return (*words, *(f"'{each.name}' starts from it" for each in forks))


def _is_commit_of(doors: Doors, commit: str | None, state: runs.RunState) -> bool:
    try:
        return commit is not None and fold(doors.commit(Address(commit)).run) == fold(state.name)
    except (NotHere, Damage):  # whoever it belongs to: nobody can use it
        return False


def _set_aside(doors: Doors, name: str, call: str, leaving: set[str]) -> tuple[RefChange, ...]:
    layout, folder = doors.layout, doors.layout.run(name)
    with pinned(layout.locks):
        held = runs.lock_run(layout, name)
        try:
            with no_notes(doors):
                refs = {which: _held_by(doors, name, which) for which in (BEST, LATEST)}
                write_removed(layout, folder, Removed(time.time_ns(), call, refs))
                batch = doors.trash.open_batch()
                doors.trash.set_aside(batch, folder)
            run = read_removed_run(Discarded(int(batch.name), ()), batch / RUNS / folder.name)
            return _take_refs_away(doors, run, leaving)
        finally:
            held.release()


def _take_refs_away(doors: Doors, run: RemovedRun, leaving: set[str]) -> tuple[RefChange, ...]:
    """The second half: the run's folder is in the trash. Refs fall back, then the reflogs go where the folder is."""
    name = run.folder.name
    changes: dict[str, Change] = {
        run_ref(name, LATEST): to(None),
        run_ref(name, BEST): to(None),
        LATEST: latest_of_others(doors, leaving),
        BEST: best_of_others(doors, leaving),
        HEAD: lambda current: None if current is not None and fold(current.get("run", "")) == name else current,
    }
    moved = _update(doors, changes, Reason(f"rm {run.name}", run.removed.call))
    doors.trash.set_aside(doors.trash.folder(run.batch), doors.layout.run_reflog(name))
    return moved


def _held_by(doors: Doors, name: str, which: str) -> Ref | None:
    """What a run's ref holds; of one that is damaged, what it held last."""
    ref = run_ref(fold(name), which)
    try:
        return doors.refs.read(ref)
    except CorruptFile:
        return doors.refs.recall(ref)


# ------------------------------------------------------------------------------------------------------ private: coming back


def _bring_back(doors: Doors, run: RemovedRun, call: str) -> tuple[RefChange, ...]:
    layout, name = doors.layout, run.folder.name
    finish_removals(doors)
    with pinned(layout.locks):
        held = try_lock_there(run.folder / "lock")
        if held is None:
            raise RunIsLive(run.name) if files.exists(run.folder / "state") else UnknownName("run", run.name, "the trash")
        try:
            run = _found_again(run)
            _make_place(doors, run)
            if files.exists(run.reflog):
                files.rename(run.reflog, layout.run_reflog(name))
            moved = _update(doors, _refs_back(doors, run), Reason(f"restore {run.name}", call))
            files.rename(run.folder, layout.run(name))
            files.remove(layout.run(name) / REMOVED)
            if not any(files.walk_files(doors.trash.folder(run.batch))):
                files.remove_folder(doors.trash.folder(run.batch))
        finally:
            held.release()
    return moved


def _found_again(run: RemovedRun) -> RemovedRun:
    """The run as it lies in the trash now that its lock is held."""
    try:
        return read_removed_run(run.batch, run.folder)
    except FileNotFoundError:
        raise UnknownName("run", run.name, "the trash") from None


def _make_place(doors: Doors, run: RemovedRun) -> None:
    """Nothing has the run's name when this returns; NameTaken. A folder that a crashed start left is no run, and goes to the trash."""
    folder = doors.layout.run(run.name)
    is_own_half = not files.exists(run.reflog)
    if runs.run_exists(doors.layout, run.name) or (not is_own_half and files.list_folder(doors.layout.run_reflog(run.name))):
        raise NameTaken("run", run.name)
    if files.exists(folder):
        claim = try_lock(folder / "lock")
        if claim is None:
            raise NameTaken("run", run.name)
        try:
            doors.trash.set_aside(doors.trash.open_batch(), folder)
        finally:
            claim.release()


def _refs_back(doors: Doors, run: RemovedRun) -> dict[str, Change]:
    """What the run's own refs held; the followers where its removal took them from, or where their rules say."""
    name, refs = run.folder.name, run.removed.refs
    changes: dict[str, Change] = {run_ref(name, which): to(refs[which]) for which in (LATEST, BEST) if refs[which] is not None}
    latest, best = run.removed.commit(LATEST), refs[BEST]
    followers: dict[str, Change] = {HEAD: lambda current: current}
    if latest is not None:
        followers[LATEST] = latest_again(doors, latest)
    if best is not None:
        followers[BEST] = best_again(doors, best)
    return changes | {ref: _taken_back(doors, ref, run, change) for ref, change in followers.items()}


def _taken_back(doors: Doors, ref: str, run: RemovedRun, otherwise: Change) -> Change:
    def change(current: Ref | None) -> Ref | None:
        last = next(reversed(doors.refs.moves(ref)), None)
        is_undone = last is not None and last.call == run.removed.call and last.old is not None and _is_of(doors, last.old, run)
        return dict(last.old) if last is not None and last.old is not None and is_undone else otherwise(current)

    return change


def _is_of(doors: Doors, ref: Mapping[str, object], run: RemovedRun) -> bool:
    if "run" in ref:
        return fold(str(ref["run"])) == run.folder.name
    return fold(doors.commit(Address(str(ref["commit"]))).run) == run.folder.name


def _update(doors: Doors, changes: Mapping[str, Change], reason: Reason) -> tuple[RefChange, ...]:
    """Moves refs; which of the followers moved."""
    before: dict[str, Ref | None] = {}

    def remembered(ref: str, change: Change) -> Change:
        def both(current: Ref | None) -> Ref | None:
            before[ref] = current
            return change(current)

        return both

    after = doors.refs.update({ref: remembered(ref, change) for ref, change in changes.items()}, reason)
    return tuple(RefChange(ref, before[ref], after[ref]) for ref in changes if ref in FOLLOWERS and after[ref] != before[ref])
