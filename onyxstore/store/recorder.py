"""What a live run writes: the one place where its parts become a commit.

A Recorder belongs to the saver's thread. It knows the run's state and its last commit, and turns each job (a staged checkpoint, a
bare commit, the end) into a commit, in this order: chunks, then trees and manifest, then the metric log up to the job's position,
then the commit, then the refs. Only after the refs have moved does retention look, and only after that is space freed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onyxstore.disk.locks import pinned
from onyxstore.disk.refs import Reason
from onyxstore.errors import OnyxError
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.best import Number
from onyxstore.history.commits import CheckpointEntry, CommitRecord, ConfigEntry
from onyxstore.history.config_snapshots import ConfigSnapshot
from onyxstore.history.metrics.live import LogWriter
from onyxstore.store.committing import Election, followed, write_commit
from onyxstore.store.doors import Doors
from onyxstore.store.gc import enforce_retention, with_room
from onyxstore.store.retaining import revive
from onyxstore.store.surroundings import Surroundings, put_configs
from onyxstore.store.trees import Trees, write_trees

_log = logging.getLogger("onyxstore")


@dataclass(frozen=True)
class Draft:
    """A commit that is asked for: what was handed in, and where the metric log stood at the call."""

    message: str
    position: int
    step: int | None = None
    epoch: float | int | None = None
    metrics: Mapping[str, Number] = field(default_factory=dict)
    is_best: bool | None = None
    candidate: Number | None = None
    trees: Trees | None = None
    configs: Sequence[ConfigSnapshot] = ()
    cost: Mapping[str, Number] = field(default_factory=dict)


class Recorder:
    """Writes one run's commits; used by one thread at a time."""

    def __init__(self, doors: Doors, state: runs.RunState, log: LogWriter, surroundings: Surroundings) -> None:
        self._doors = doors
        self._log = log
        # Not put when the run starts: nothing names them before its next commit does, and a sweep between would take them.
        self._unput = tuple(surroundings.configs)
        self._configs: dict[str, ConfigEntry] = {}
        self._put_off = ""
        self._seconds = 0.0
        self._last_save: dict[str, int] = {}
        self.state = state

    def record(self, draft: Draft) -> Address:
        """Makes the commit; durable when this returns. A full disk is made room on once."""
        return with_room(self._doors, lambda: self._write(draft))

    def _write(self, draft: Draft) -> Address:
        began = time.perf_counter()
        with pinned(self._doors.layout.locks):
            checkpoint = self._write_checkpoint(draft)
            configs = {**self._configs, **put_configs(self._doors, (*self._unput, *draft.configs))}
            address = self._write_commit(draft, checkpoint, configs, time.perf_counter() - began)
        self._configs, self._unput = configs, ()
        return address

    def retain(self) -> None:
        """Retention, and the freeing of space, after a checkpoint that is safe by now: what is wrong is said, and puts this off."""
        try:
            if self._last_save:
                enforce_retention(self._doors, self.state, self._last_save["raw_bytes"])
        except OnyxError as error:
            if str(error) != self._put_off:
                self._put_off = str(error)
                _log.warning("run '%s': pruning is put off, since %s", self.state.name, error)

    def _write_checkpoint(self, draft: Draft) -> CheckpointEntry | None:
        if draft.trees is None:
            return None
        written = write_trees(self._doors.objects, draft.trees)
        revive(self._doors, self.state.name, written.manifest)
        self._last_save = {"checkpoint_bytes": written.stored, "raw_bytes": written.raw}
        return CheckpointEntry(written.manifest, draft.step, draft.epoch, dict(draft.metrics))

    def _write_commit(
        self, draft: Draft, checkpoint: CheckpointEntry | None, configs: Mapping[str, ConfigEntry], seconds: float
    ) -> Address:
        doors, state = self._doors, self.state
        self._log.sync()
        parent = doors.latest_of(state.name) or state.parent
        before = doors.commit(parent) if parent else None
        self._seconds += seconds
        attempt = state.attempts[-1]
        record = CommitRecord(
            run=state.name,
            parents=(parent,) if parent else (),
            message=draft.message,
            time=time.time_ns(),
            step=draft.step,
            epoch=draft.epoch,
            metrics=dict(draft.metrics),
            configs={**(before.configs if before else {}), **configs},
            log=self._log.prefix_at(draft.position),
            checkpoint=checkpoint or (before.checkpoint if before else None),
            artifacts=before.artifacts if before else (),
            code=attempt.code,
            environment=attempt.environment,
            cost={**draft.cost, "save_seconds": self._seconds, **self._last_save},
        )
        metric, mode = followed(doors, state)
        value = draft.metrics.get(metric, draft.candidate) if metric else None
        return write_commit(doors, record, Election(metric, mode, value, draft.is_best), Reason(draft.message, state.name))

    def end(self, status: runs.Status) -> None:
        """Writes how the attempt ended."""
        self.state = runs.end_attempt(self.state, status, time.time_ns())
        runs.write_state(self._doors.layout, self.state)
