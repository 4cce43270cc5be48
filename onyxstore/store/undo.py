"""Undo: the refs that one call moved, back where they were.

A call of the command, or of the library, has an id that stands in the reflog with each of its moves; undo takes back all of them, or
none when one has moved since. What a live run moved is its own. An undo is a call like any other, and is taken back by the next.
A removal is taken back by restoring the run, and a restoration by removing it again.

Only names move. Files that a checkout wrote stay, and what retention dropped meanwhile does not come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from onyxstore.disk.locks import pinned
from onyxstore.disk.reflog import Move
from onyxstore.disk.refs import BEST, HEAD, LATEST, RUNS, Reason, Ref, is_call, new_call, swap
from onyxstore.errors import PlanSpent, Refused, UnknownName
from onyxstore.hashing import Address, short
from onyxstore.history.best import check_mode
from onyxstore.history.runs import run_exists
from onyxstore.names import near
from onyxstore.store.doors import Doors
from onyxstore.store.electing import follow
from onyxstore.store.removed import RemovedRun, removed_runs
from onyxstore.store.removing import RefChange, RestorationPlan, joined, plan_removal
from onyxstore.store.revisions import find_logged_ref, known_names, typed_ref

_RESTORES = "restore "
_REMOVES = "rm "


@dataclass(frozen=True)
class UndoReport:
    """What was taken back, in words; the refs that moved; the runs that came back from the trash, and those that went there."""

    undone: str
    moves: tuple[RefChange, ...]
    restored: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass
class UndoPlan:
    """What an undo would take back. It prints itself; `execute` does it, once."""

    undone: str
    moves: tuple[RefChange, ...]
    restores: tuple[RemovedRun, ...]
    removes: tuple[str, ...]
    _doors: Doors = field(repr=False)
    _refs: tuple[str, ...] = field(default=(), repr=False)
    """The refs of the moves, by the names of their files."""
    _spent: bool = field(default=False, repr=False)

    def execute(self) -> UndoReport:
        """Moves all of it back, or nothing. RefConflict when a ref moved since the plan was made; PlanSpent."""
        if self._spent:
            raise PlanSpent("undo")
        self._spent = True
        doors, call = self._doors, new_call()
        if self.restores:
            moved = joined(move for run in self.restores for move in RestorationPlan(run, doors).execute(call))
            return UndoReport(self.undone, moved, restored=tuple(run.name for run in self.restores))
        if self.removes:
            return UndoReport(self.undone, plan_removal(doors, self.removes).execute(call), removed=self.removes)
        with pinned(doors.layout.locks):  # no sweep takes what a ref is about to name
            _check_there(doors, self.moves)
            changes = {ref: swap(ref, move.old, move.new) for ref, move in zip(self._refs, self.moves, strict=True)}
            doors.refs.update(changes, Reason(_turned(self.undone), call))
        for ref, move in zip(self._refs, self.moves, strict=True):
            _follow_again(doors, ref, move, self.undone)
        return UndoReport(self.undone, self.moves)

    def __str__(self) -> str:
        lines = [f"{self.undone}: would be taken back"]
        lines += [f"{move.ref}: {_held(move.old)} -> {_held(move.new)}" for move in self.moves]
        lines += [f"run '{run.name}' would come back from the trash" for run in self.restores]
        return "\n".join([*lines, *(f"run '{name}' would go to the trash" for name in self.removes)])


def plan_undo(doors: Doors, ref: str | None = None) -> UndoPlan:
    """What takes back the last call that moved refs, or the last move of one ref. Refused, UnknownName."""
    plan = _last_call(doors) if ref is None else _last_move(doors, ref)
    _check_there(doors, plan.moves)
    return plan


# ---------------------------------------------------------------------------------------------------------------- private


def _last_call(doors: Doors) -> UndoPlan:
    moves = {name: doors.refs.moves(name) for name in doors.refs.logged_names()}
    removed = removed_runs(doors)
    calls = [(move.time, move.call) for each in moves.values() for move in each if is_call(move.call)]
    calls += [(run.removed.time, run.removed.call) for run in removed]
    if not calls:
        raise Refused("there is nothing to undo: no command has moved a ref yet")
    last = max(calls, key=lambda each: each[0])[1]
    restores = tuple(run for run in removed if run.removed.call == last)
    if restores:
        return UndoPlan(", ".join(f"{_REMOVES}{run.name}" for run in restores), (), restores, (), doors)
    mine = {name: each for name, each in moves.items() if any(move.call == last for move in each)}
    words = next(move.by for each in mine.values() for move in each if move.call == last)
    removes = tuple(_restored(doors, mine, last))
    if removes:
        return UndoPlan(", ".join(f"{_RESTORES}{name}" for name in removes), (), (), removes, doors)
    for name, each in mine.items():
        if each[-1].call != last:
            raise Refused(_moved_since(doors, name, each[-1], words))
    ordered = sorted(mine, key=lambda name: (-_first(mine[name], last).time, _RANK.get(name.rpartition("/")[2], 0), name))
    changes = {name: (mine[name][-1].new, _first(mine[name], last).old) for name in ordered}
    return _of_moves(doors, words, changes)


_RANK = {HEAD: 0, BEST: 1, LATEST: 2}
"""The order of moves back, where the reflog's times don't tell: that of the moves, turned round."""


def _last_move(doors: Doors, text: str) -> UndoPlan:
    name = find_logged_ref(doors, text)
    moves = doors.refs.moves(name) if name is not None else []
    if name is None or not moves:
        raise UnknownName("ref that moved", text, "the store", near(text, known_names(doors)))
    last = moves[-1]
    if not is_call(last.call):
        raise Refused(f"'{text}' was moved last by run '{last.call}' ({last.by}); undo takes back what a command did")
    if last.by.startswith((_REMOVES, _RESTORES)):
        raise Refused(f"'{text}' was moved last by '{last.by}', which is undone as a whole; say 'onyx undo', or restore or remove the run")
    return _of_moves(doors, last.by, {name: (last.new, last.old)})


def _of_moves(doors: Doors, words: str, changes: Mapping[str, tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]]) -> UndoPlan:
    """The plan that moves refs, in this order, from what they hold to what they held."""
    held = [tuple(None if ref is None else dict(ref) for ref in change) for change in changes.values()]
    moves = tuple(RefChange(typed_ref(doors, name), old, new) for name, (old, new) in zip(changes, held, strict=True))
    return UndoPlan(words, moves, (), (), doors, tuple(changes))


def _first(moves: list[Move], call: str) -> Move:
    return next(move for move in moves if move.call == call)


def _restored(doors: Doors, moves: Mapping[str, list[Move]], call: str) -> Iterator[str]:
    """The runs that a call brought back from the trash."""
    for name, each in moves.items():
        kind, _, rest = name.partition("/")
        run = rest.partition("/")[0]
        if kind == RUNS and rest.endswith(f"/{LATEST}") and each[-1].call == call and each[-1].by.startswith(_RESTORES):
            yield doors.state(run).name


def _moved_since(doors: Doors, name: str, last: Move, words: str) -> str:
    typed = typed_ref(doors, name)
    who = f"run '{last.call}'" if last.call and not is_call(last.call) else "another command"
    return f"'{typed}' has moved since '{words}': {who} moved it ({last.by}); 'onyx undo REF' takes back one ref's last move"


def _check_there(doors: Doors, moves: tuple[RefChange, ...]) -> None:
    """Refused when a commit that a ref would name again is gone."""
    for move in moves:
        if move.new is None or "commit" not in move.new:
            continue
        address = Address(move.new["commit"])
        # Not by reading it: a commit that was read once is remembered.
        if not doors.objects.has(address):
            raise Refused(f"'{move.ref}' cannot go back to {short(address)}: the store has it no more; 'onyx restore' lists the trash")


def _turned(words: str) -> str:
    """What the reflog says of an undo, and of that one's."""
    for one, other in (("undo ", "redo "), ("redo ", "undo ")):
        if words.startswith(one):
            return other + words.removeprefix(one)
    return f"undo {words}"


def _follow_again(doors: Doors, ref: str, move: RefChange, undone: str) -> None:
    """After an election was taken back, or held again, the run follows the metric that its best names."""
    kind, _, rest = ref.partition("/")
    run, _, which = rest.partition("/")
    is_election = undone.removeprefix("undo ").removeprefix("redo ").startswith("best ")
    if kind == RUNS and which == BEST and is_election and run_exists(doors.layout, run):
        new = move.new or {}
        follow(doors, run, new.get("metric"), check_mode(new.get("mode", "min")))


def _held(ref: Ref | None) -> str:
    if ref is None:
        return "nothing"
    return short(ref["commit"]) if "commit" in ref else f"run {ref['run']}"
