"""Starting a run: its name, its lock, its config snapshots, its code state and environment, its first commit.

Everything that can be wrong with the arguments is found before anything is written.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from onyxstore.disk.locks import Lock, pinned
from onyxstore.errors import BadInput
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.best import Moment, check_mode
from onyxstore.history.metrics.live import LogWriter
from onyxstore.history.metrics.records import Points
from onyxstore.names import check_metric_name, check_run_name, fold, run_name_from
from onyxstore.store.committing import elect_latest
from onyxstore.store.doors import Doors
from onyxstore.store.recorder import Draft, Recorder
from onyxstore.store.revisions import resolve
from onyxstore.store.run import Run
from onyxstore.store.surroundings import capture_surroundings, put_attempt
from onyxstore.store.views import Commit

_log = logging.getLogger("onyxstore")

Resume = bool | Literal["append"]


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """What `start_run` takes; `Store.start_run` says what each means."""

    name: str | None = None
    configs: Mapping[str, Any] | None = None
    labels: Sequence[str] = ()
    group: str | None = None
    parent: str | None = None
    best_metric: str | None = None
    best_mode: str = "min"
    max_checkpoints: int | Literal["settings"] | None = "settings"
    resume: Resume = False


def begin_run(doors: Doors, options: StartOptions) -> Run:
    """Starts or resumes a run and makes its first commit, or, resumed, its next attempt."""
    name = run_name(options)
    check_options(options)
    parent = find_parent(doors, options)
    surroundings = capture_surroundings(doors, options.configs or {})
    resumes = bool(options.resume) and runs.run_exists(doors.layout, name)
    with contextlib.ExitStack() as undo:
        with pinned(doors.layout.locks):
            state, lock = _resume(doors, name, options) if resumes else _claim(doors, name, parent, options)
            undo.callback(lock.release)
            state = runs.begin_attempt(state, put_attempt(doors, surroundings))
            runs.write_state(doors.layout, state)
            log = _open_log(doors, state)
            elect_latest(doors, state)
        recorder = Recorder(doors, state, log, surroundings)
        if doors.latest_of(state.name) is None:
            _make_first_commit(doors, recorder, parent)
        after = _last_moment(doors, state.name, options.resume)
        undo.pop_all()
    return Run(doors, recorder, log, lock, rewinds=resumes and options.resume != "append", after=after)


def find_parent(doors: Doors, options: StartOptions) -> Address | None:
    """The commit to fork from; UnknownRevision, or CheckpointPruned when there is nothing left to go on from."""
    if options.parent is None:
        return None
    parent = resolve(doors, options.parent)
    checkpoint = Commit(doors, parent).checkpoint
    if checkpoint is not None:
        checkpoint.check_stored()
    return parent


def run_name(options: StartOptions) -> str:
    """The name that is asked for, or the program's; BadName."""
    return check_run_name(_script_name() if options.name is None else options.name)


def _resume(doors: Doors, name: str, options: StartOptions) -> tuple[runs.RunState, Lock]:
    """The run's state, locked: it goes on as it was, but for what is said anew."""
    lock = runs.lock_run(doors.layout, name)
    state = doors.state(name)
    changed = replace(
        state,
        labels=tuple(dict.fromkeys((*state.labels, *options.labels))),
        group=options.group or state.group,
        best_metric=options.best_metric or state.best_metric,
        best_mode=check_mode(options.best_mode) if options.best_metric else state.best_mode,
        max_checkpoints=state.max_checkpoints if options.max_checkpoints == "settings" else options.max_checkpoints,
    )
    return changed, lock


def _claim(doors: Doors, wanted: str, parent: Address | None, options: StartOptions) -> tuple[runs.RunState, Lock]:
    """A new run's state under the first free name, locked."""
    free, lock = runs.claim_name(doors.layout, wanted)
    if fold(free) != fold(wanted):
        _log.warning("run '%s' exists, this one is '%s'", wanted, free)
    state = replace(
        runs.new_state(free, created=time.time_ns(), status="running"),
        labels=tuple(options.labels),
        group=options.group or _group_of(doors, wanted),
        best_metric=options.best_metric,
        best_mode=check_mode(options.best_mode),
        max_checkpoints=options.max_checkpoints,
        parent=parent,
    )
    return state, lock


def _group_of(doors: Doors, name: str) -> str:
    """The group of a run and its reruns: that of the first which has the name, or the name."""
    try:
        return doors.state(name).group or name
    except FileNotFoundError:
        return name


def _open_log(doors: Doors, state: runs.RunState) -> LogWriter:
    """The writer of the run's metric log; what it found and mended is said."""
    objects = doors.objects
    log = LogWriter.open(doors.layout.run(state.name), doors.layout.tmp, log=state.log, run=state.name, put=objects.put, get=objects.get)
    for note in log.notes:
        _log.warning("run '%s': %s", state.name, note)
    return log


def _make_first_commit(doors: Doors, recorder: Recorder, parent: Address | None) -> None:
    before = doors.commit(parent) if parent is not None else None
    recorder.record(Draft("start", 0, before.step if before else None, before.epoch if before else None))


def _last_moment(doors: Doors, name: str, resume: Resume) -> Moment:
    """After which step and epoch the run goes on: those of its checkpoint, or of its last point, to which `append` adds."""
    if resume == "append":
        parts = reversed(doors.log(name).parts)
        points = (record for part in parts for record in reversed([*part.records(part.first, part.end)]) if isinstance(record, Points))
        newest = next(points, None)
        if newest is not None:
            return newest.step, newest.epoch
    address = doors.latest_of(name)
    checkpoint = doors.commit(address).checkpoint if address is not None else None
    return (checkpoint.step, checkpoint.epoch) if checkpoint is not None else (None, None)


def check_options(options: StartOptions) -> None:
    """BadInput or BadName for what no run can be started with."""
    check_mode(options.best_mode)
    if options.best_metric is not None:
        check_metric_name(options.best_metric)
    limit = options.max_checkpoints
    if not (limit is None or limit == "settings" or (type(limit) is int and limit >= 1)):
        raise BadInput(f"max_checkpoints is a whole number from 1, or None, not {limit!r}")
    if not isinstance(options.configs or {}, Mapping):
        raise BadInput(f"configs map names to files or values; a {type(options.configs).__name__} does not")
    labels: object = options.labels
    are_many = isinstance(labels, Iterable) and not isinstance(labels, str)
    if not are_many or not all(type(label) is str and label.isprintable() and label for label in options.labels):
        raise BadInput(f"labels are a list of words, not {options.labels!r}")
    if options.group is not None and not (type(options.group) is str and options.group.isprintable() and options.group):
        raise BadInput(f"a group is a word, not {options.group!r}")
    if options.resume not in (True, False, "append"):
        raise BadInput(f"resume is True, False or 'append', not {options.resume!r}")
    if options.parent is not None and options.resume:
        raise BadInput("a run is resumed or forked, not both; give parent= or resume=")


def _script_name() -> str:
    """The name of the program that runs, for a run that was given none."""
    program = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in {"", "-c", "-m"} else ""
    return run_name_from(program)
