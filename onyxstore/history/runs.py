"""Runs: named lines of commits with a status, attempts and a metric log.

    runs/RUN/state      one checked line, replaced whole: what this module's RunState says
    runs/RUN/lock       held by the process that writes the run
    runs/RUN/pruned     what retention dropped            tail-…, segments   the metric log
    runs/RUN/notes      what was noted afterwards         removed            how it was set aside, in the trash

A run is live while its lock is held. A state that says *running* under a free lock is a run that crashed; nobody has to write
that down, so it is seen at once and by everyone. A run that `onyx commit` makes has no attempt and is *open*.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.disk.locks import Lock, is_locked, lock, try_lock
from onyxstore.errors import BadName, CorruptFile, RunIsLive, StoreBusy, UnknownName
from onyxstore.hashing import Address, is_address
from onyxstore.history.best import Mode
from onyxstore.names import check_run_name, fold

Status = Literal["open", "running", "finished", "failed", "crashed", "killed"]
STATUSES = ("open", "running", "finished", "failed", "crashed", "killed")

GLANCE = 0.2
"""Seconds that a run's lock is waited for: whoever asks whether a run is live holds its lock for some microseconds."""


@dataclass(frozen=True)
class Attempt:
    """One start or resume: when (ns), how it ended, and the objects that say with which code, in which environment."""

    started: int
    ended: int | None = None
    status: Status = "running"
    code: Address | None = None
    environment: Address | None = None


@dataclass(frozen=True)
class RunState:
    """All of a run that is not in its commits or its metric log."""

    name: str
    log: str
    created: int
    status: Status = "running"
    labels: tuple[str, ...] = ()
    group: str | None = None
    best_metric: str | None = None
    best_mode: Mode = "min"
    max_checkpoints: int | Literal["settings"] | None = "settings"
    parent: Address | None = None
    attempts: tuple[Attempt, ...] = ()


def new_state(name: str, *, created: int, status: Status) -> RunState:
    """The state of a run that begins; its metric log gets an id of its own, by which a later run of the name is another."""
    return RunState(name=check_run_name(name), log=os.urandom(16).hex(), created=created, status=status)


def encode_state(state: RunState) -> dict[str, Any]:
    """The state as plain JSON values."""
    value = asdict(state)
    return {**value, "labels": list(state.labels), "attempts": [asdict(attempt) for attempt in state.attempts]}


def decode_state(value: Any) -> RunState:
    """The state of plain values; ValueError when they are none."""
    try:
        attempts = tuple(Attempt(**attempt) for attempt in value["attempts"])
        state = RunState(**{**value, "labels": tuple(value["labels"]), "attempts": attempts})
        check_run_name(state.name)
    except (TypeError, KeyError) as error:
        message = f"it holds no run state ({error})"
        raise ValueError(message) from None
    if type(value["labels"]) is not list or not _is_sound(state) or not all(map(_is_attempt, attempts)):
        message = "it holds no run state"
        raise ValueError(message)
    return state


def read_state(layout: Layout, name: str) -> RunState:
    """A run's state as it is now, *crashed* where it says running and nobody holds the lock; FileNotFoundError when there is none."""
    folder = layout.run(name)
    while True:
        state = read_state_in(folder)
        if state.status != "running" or is_locked(folder / "lock"):
            return state
        # It may have ended, or been resumed, between the two looks.
        if read_state_in(folder) == state:
            return replace(state, status="crashed", attempts=_without_running(state.attempts))


def read_state_in(folder: Path) -> RunState:
    """The state in a run's folder as it was written, wherever the folder lies; FileNotFoundError, CorruptFile."""
    path = folder / "state"
    try:
        state = decode_state(read_value(path))
    except ValueError as error:
        raise CorruptFile(str(path), str(error)) from None
    if fold(state.name) != folder.name:
        raise CorruptFile(str(path), f"it is that of run '{state.name}'")
    return state


def write_state(layout: Layout, state: RunState) -> None:
    """Replaces a run's state; on disk when this returns."""
    replace_value(layout.tmp, layout.run(state.name) / "state", encode_state(state))


def run_exists(layout: Layout, name: str) -> bool:
    """Whether a run has the name, compared without case."""
    return files.exists(layout.run(name) / "state")


def is_run(layout: Layout, text: str) -> bool:
    """Whether a run has the name, of a text that may be no name at all."""
    try:
        return run_exists(layout, check_run_name(text))
    except BadName:
        return False


def run_folders(layout: Layout) -> list[str]:
    """The folded names of all runs, sorted."""
    return [name for name in files.list_folder(layout.runs) if files.exists(layout.runs / name / "state")]


def lock_run(layout: Layout, name: str) -> Lock:
    """The right to write the run, for as long as this process lives or until it is released; RunIsLive when another has it.

    UnknownName when the run was set aside in this moment, with the lock.
    """
    try:
        held = lock(layout.run(name) / "lock", patience=GLANCE, who="another process writes a run in")
    except StoreBusy:
        raise RunIsLive(name) from None
    if not run_exists(layout, name):
        held.release()
        raise UnknownName("run", name, "the store")
    return held


def claim_name(layout: Layout, name: str) -> tuple[str, Lock]:
    """The first free name of `name`, `name-2`, `name-3` …, locked; of two processes that ask at once each gets its own."""
    number = 1
    while True:
        candidate = name if number == 1 else f"{name[: 100 - len(str(number)) - 1]}-{number}"
        held = None if _is_taken(layout, candidate) else try_lock(layout.run(candidate) / "lock")
        if held is not None:
            if not _is_taken(layout, candidate):
                return candidate, held
            held.release()
        number += 1


def begin_attempt(state: RunState, attempt: Attempt) -> RunState:
    """The state with one more attempt under way; one that never ended has crashed."""
    return replace(state, status="running", attempts=(*_without_running(state.attempts), attempt))


def end_attempt(state: RunState, status: Status, ended: int) -> RunState:
    """The state with its attempt ended."""
    last = replace(state.attempts[-1], status=status, ended=ended)
    return replace(state, status=status, attempts=(*state.attempts[:-1], last))


def _is_taken(layout: Layout, name: str) -> bool:
    """Whether a run has the name, or had it and was set aside only in part when a crash came: its refs are not those of a new one."""
    return run_exists(layout, name) or any(files.list_folder(folder) for folder in (layout.run_refs(name), layout.run_reflog(name)))


def _without_running(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts of a run that nobody writes: one that never ended has crashed."""
    return tuple(replace(old, status="crashed") if old.status == "running" else old for old in attempts)


def _is_sound(state: RunState) -> bool:
    limit = state.max_checkpoints
    return (
        state.status in STATUSES
        and type(state.log) is str
        and type(state.created) is int
        and all(type(label) is str for label in state.labels)
        and all(text is None or type(text) is str for text in (state.group, state.best_metric))
        and state.best_mode in ("min", "max")
        and (limit is None or limit == "settings" or (type(limit) is int and limit >= 1))
        and (state.parent is None or is_address(state.parent))
    )


def _is_attempt(attempt: Attempt) -> bool:
    return (
        type(attempt.started) is int
        and (attempt.ended is None or type(attempt.ended) is int)
        and attempt.status in STATUSES
        and all(address is None or is_address(address) for address in (attempt.code, attempt.environment))
    )
