"""A run that is being written: what training code holds.

`log` is a line written by the caller's thread. `save_checkpoint` copies, and hands the copy to the run's saver thread. Everything
else is rare. A Run may be used from several threads; a forked child (a DataLoader worker) that touches it gets an error, since
two processes may not write one run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, Self

from onyxstore.disk.locks import Lock, pinned
from onyxstore.disk.syncer import Syncer
from onyxstore.errors import BadInput, CannotEncode, OnyxError, RunEnded
from onyxstore.frameworks.rng import capture_rng
from onyxstore.frameworks.torch_staging import Slot, StagingPool
from onyxstore.frameworks.training import capture_tracked, collect_training, restore_tracked
from onyxstore.hashing import Address, Buffer
from onyxstore.history import runs
from onyxstore.history.best import Candidate, Moment, Number
from onyxstore.history.commits import CommitRecord
from onyxstore.history.metrics.live import LogWriter
from onyxstore.history.metrics.plain import plain_columns, plain_epoch, plain_metrics, plain_step
from onyxstore.history.metrics.records import Artifact, Epoch, Rewind, Summary
from onyxstore.names import check_relative_path
from onyxstore.store import signals
from onyxstore.store.committing import check_message
from onyxstore.store.doors import Doors
from onyxstore.store.recorder import Draft, Recorder
from onyxstore.store.restoring import restore_newest
from onyxstore.store.save import SaveHandle, Saver
from onyxstore.store.surroundings import capture_configs
from onyxstore.store.trees import Trees
from onyxstore.store.views import Commit, RunView

_log = logging.getLogger("onyxstore")

ENDINGS = ("finished", "failed", "killed", "crashed")

_TIMED = 0x3F
"""One call of `log` in 64 is timed, for the commit's cost: two clock readings are a tenth of a call."""


class Run(RunView):
    """A live run; reading it (`.metrics`, `.commits`, `.best` …) is as with any run of the store."""

    def __init__(self, doors: Doors, recorder: Recorder, log: LogWriter, lock: Lock, *, rewinds: bool, after: Moment) -> None:
        super().__init__(doors, recorder.state.name)
        self._recorder = recorder
        self._log = log
        self._lock = lock
        self._rewind_due, self._rewinding = rewinds, threading.Lock()
        self._pid = os.getpid()
        self._step, self._epoch = after
        self._candidate = Candidate(recorder.state.best_metric or doors.settings.best_metric)
        self._best_metric = self._candidate.metric
        self._best_root = self._best_metric.partition("/")[0]
        self._line: Callable[[], Iterator[tuple[Address, CommitRecord]]] = partial(doors.line, self.name)
        self._tracked: dict[str, Any] = {}
        self._restored: dict[str, Any] = {}
        self._calls = 0
        self._cost = {"log_seconds": 0.0, "blocked_seconds": 0.0}
        self._pool = StagingPool()
        self._saver = Saver(self.name, self._view)
        self._syncer = Syncer(self._beat, doors.settings.sync_interval)
        self._ended = False
        self._handlers: dict[int, Any] = {}
        self.stop_requested = False
        signals.watch(self)

    # ---------------------------------------------------------------------------------------------------------- logging

    def log(self, metrics: Mapping[str, Any], step: int | None = None, epoch: float | None = None) -> None:
        """Appends points: numbers by name, nested names joined with `/`. It survives `kill -9` when this returns.

        `step` is the last one + 1 if not given, `epoch` the last one; a resumed run's or a fork's first is the one after its
        checkpoint's (`resume="append"`: after its last point's). Steps may repeat, go back and come late. BadMetric for what is
        no number.
        """
        self._calls += 1
        began = 0.0 if self._calls & _TIMED else time.perf_counter()
        if step is None:
            step = 0 if self._step is None else self._step + 1
        elif type(step) is not int:
            step = plain_step(step)
        if epoch is None:
            epoch = self._epoch
        elif epoch is not self._epoch:
            epoch = plain_epoch(epoch)
        if self._rewind_due:
            plain_metrics(metrics)  # what is refused rewinds nothing
            self._rewind(step, epoch)
        self._log.append_points(metrics, step, epoch, time.time_ns())
        self._step, self._epoch = step, epoch
        if self._best_metric in metrics or self._best_root in metrics:
            self._candidate.note((step, epoch), plain_metrics(metrics))
        if began:
            self._cost["log_seconds"] += (time.perf_counter() - began) * (_TIMED + 1)

    def log_many(self, columns: Mapping[str, Sequence[Any]], steps: Sequence[int], epochs: Sequence[float] | None = None) -> None:
        """Appends many points at once: a column of values for each name, one row a step."""
        rows = plain_columns(columns, steps, epochs, time.time_ns())
        if not rows:
            return
        if self._rewind_due:
            self._rewind(rows[0].step, rows[0].epoch)
        with pinned(self._doors.layout.locks):  # so many rows may be sealed at once
            self._log.append_many(rows)
        self._step, self._epoch = rows[-1].step, rows[-1].epoch
        if self._best_metric in columns:
            for row in rows:
                self._candidate.note((row.step, row.epoch), row.values)

    def log_artifact(self, name: str, content: Buffer | str | Path, *, kind: str = "file", step: int | None = None) -> None:
        """Keeps a file (a path, streamed) or bytes under `name`, as an entry of the metric log; on disk when this returns."""
        self._check_writable()
        check_relative_path("artifact", name)
        if type(kind) is not str or not kind or any("\ud800" <= letter <= "\udfff" for letter in kind):
            raise BadInput(f"an artifact's kind is a word, not {kind!r}")
        at = plain_step(step) if step is not None else None
        objects = self._doors.objects
        with pinned(self._doors.layout.locks):
            if isinstance(content, bytes | bytearray | memoryview):
                data = bytes(content)
                address, size = objects.put(data), len(data)
            else:
                address, size = objects.put_file(Path(content))
            self._log.append(Artifact(name, address, size, kind, at, self._epoch, time.time_ns()))
            self._log.sync()

    def summary(self, values: Mapping[str, Any]) -> None:
        """Final values without a step: columns of `runs`. Later ones of the same name take the place of earlier ones."""
        self._log.append(Summary(plain_metrics(values), time.time_ns()))

    def flush(self) -> None:
        """Returns when all earlier calls survive a power cut; raises the first error that happened in the background."""
        self._check_writable()
        self._saver.flush()
        self._raise_background_error()
        self._log.sync()

    # ------------------------------------------------------------------------------------------------- commits, saving

    def save_checkpoint(  # noqa: PLR0913 - the parts of a training, each by its name
        self,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        state: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        step: int | None = None,
        epoch: float | None = None,
        is_best: bool | None = None,
        message: str | None = None,
        wait: bool = False,
    ) -> SaveHandle:
        """Saves what is handed in, exactly as it is at this call, as a commit; returns once it is copied.

        Modules, optimizers and the like by their `state_dict()`, `state` as it is; RNG states and tracked objects go along.
        `metrics` belong to the commit (for `best`), they are no points of the log; `message` is what it says, `checkpoint at step N`
        if not given. With `wait` it is durable when this returns.
        Raises CannotEncode for what has no encoding, and the error of an earlier save that nobody waited for.
        """
        self._check_writable()
        began = time.perf_counter()
        words = check_message(message) if message is not None else None
        # A copy, as of everything else: the caller may write to its dict as soon as this returns.
        values = dict(plain_metrics(metrics or {}))
        self._saver.raise_error()
        slot = self._pool.take()
        with contextlib.ExitStack() as undo:
            undo.callback(self._pool.give_back, slot)
            live = collect_training(model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler, state=state)
            draft = self._draft(words, values, step, epoch, is_best=is_best, trees=self._stage(live, slot))
            undo.pop_all()
        self._cost["blocked_seconds"] += time.perf_counter() - began
        handle = self._saver.submit(lambda: self._record_staged(draft, slot))
        # Who waits for the handle waits for a durable checkpoint, not for what retention then frees.
        self._saver.submit(self._recorder.retain)
        if wait:
            handle.wait()
        return handle

    def commit(self, message: str, *, configs: Mapping[str, Any] | None = None) -> Commit:
        """Makes a commit without a new checkpoint; durable when this returns.

        `configs`, files or values by name as for `start_run`, are snapshotted: this commit and all after it hold them, in the place of
        those of the same names. BadConfig, CannotEncode.
        """
        self._check_writable()
        draft = replace(self._draft(check_message(message)), configs=capture_configs(self._doors, configs or {}))
        return self._saver.submit(lambda: self._recorder.record(draft)).wait()

    def track_state(self, name: str, stateful: Any) -> None:
        """Takes an object with `state_dict` and `load_state_dict` (a data loader, a sampler) along with every checkpoint.

        After `restore` it gets its state back at once.
        """
        if not (hasattr(stateful, "state_dict") and hasattr(stateful, "load_state_dict")):
            raise CannotEncode(f"tracked.{name}", f"a {type(stateful).__name__} has no state_dict and load_state_dict")
        self._tracked[name] = stateful
        if name in self._restored:
            restore_tracked({name: self._restored[name]}, {name: stateful})

    @property
    def moment(self) -> Moment:
        """The step and the epoch of the last point, or those from which the run goes on; what is saved next is of this moment."""
        return self._step, self._epoch

    def restore(self, *, model: Any = None, optimizer: Any = None, scheduler: Any = None, scaler: Any = None) -> int:
        """Loads the run's latest whole checkpoint into these, RNG and tracked states with it; the step to go on with.

        0 on a fresh run, with nothing loaded. A checkpoint that is damaged is passed over, and that is said.
        """
        self._check_writable()
        live = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        restored = restore_newest(self._doors, self._line(), live)
        if restored is None:
            return 0
        self._restored = restored.tracked
        restore_tracked(restored.tracked, self._tracked)
        self._step = restored.step
        self._epoch = restored.epoch
        return 0 if restored.step is None else restored.step + 1

    # --------------------------------------------------------------------------------------------------------- the end

    def stop_on_signal(self) -> None:
        """Until the run ends, a first SIGTERM or SIGUSR1 only sets `stop_requested`; a second SIGTERM ends the program as before.

        To be called in the main thread: Python handles signals there alone, ValueError says so elsewhere.
        """
        self._handlers |= {number: signal.signal(number, self._request_stop) for number in (signal.SIGTERM, signal.SIGUSR1)}

    def finish(self, status: runs.Status = "finished") -> None:
        """Ends the run: seals the log, makes the last commit, writes the status, lets go of the lock. Once; later calls do nothing."""
        if self._ended or os.getpid() != self._pid:
            return
        if status not in ENDINGS:
            raise BadInput(f"a run ends as one of {', '.join(ENDINGS)}, not {status!r}")
        self._ended = True
        signals.unwatch(self)
        # Each step is taken even when one before it failed; the last failure is raised, with the earlier ones in its context.
        with contextlib.ExitStack() as steps:
            steps.callback(signals.give_back, self._handlers, self._request_stop)
            steps.callback(self._lock.release)
            steps.callback(self._recorder.end, status)
            steps.callback(self._saver.close)
            steps.callback(self._write_last_commit)
            steps.callback(self._raise_background_error)
            steps.callback(self._syncer.stop)
            steps.callback(self._saver.flush)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        status = "killed" if error is None and self.stop_requested else signals.status_of(error)
        try:
            self.finish(status)
        except OnyxError as failure:
            if error is None:
                raise
            _log.warning("run '%s' did not end cleanly: %s", self.name, failure)

    # --------------------------------------------------------------------------------------------------------- private

    def _draft(
        self,
        message: str | None,
        metrics: Mapping[str, Number] = MappingProxyType({}),
        step: int | None = None,
        epoch: float | None = None,
        *,
        is_best: bool | None = None,
        trees: Trees | None = None,
    ) -> Draft:
        """The commit that is asked for, as of this call; without words of its own it says that it is a checkpoint."""
        step = self._step if step is None else plain_step(step)
        epoch = self._epoch if epoch is None else plain_epoch(epoch)
        candidate = self._candidate.at((step, epoch)) if trees is not None else None
        if message is None:
            message = f"checkpoint at step {step}" if step is not None else "checkpoint"
        cost = {"log_calls": self._calls, **self._cost}
        return Draft(message, self._log.position, step, epoch, metrics, is_best, candidate, trees, cost=cost)

    def _stage(self, live: Mapping[str, Any], slot: Slot) -> Trees:
        """Copies of everything that goes into the checkpoint, in memory of `slot`."""
        tracked = capture_tracked(self._tracked)
        return Trees(slot.capture(live), slot.capture(capture_rng()), slot.capture(tracked) if tracked else None)

    def _record_staged(self, draft: Draft, slot: Slot) -> Address:
        try:
            return self._recorder.record(draft)
        finally:
            self._pool.give_back(slot)

    def _rewind(self, step: int, epoch: Epoch) -> None:
        """Before an attempt's first point; a point of another thread waits, or the rewind would take it off the line."""
        with self._rewinding:
            if self._rewind_due:
                self._log.append(Rewind(step, epoch, time.time_ns()))
                self._rewind_due = False

    def _beat(self) -> None:
        """What the syncer does each interval: sync, and seal a tail that is full."""
        self._log.sync()
        if self._log.seal_due:
            with pinned(self._doors.layout.locks):
                self._log.seal()

    def _write_last_commit(self) -> None:
        with pinned(self._doors.layout.locks):
            self._log.close()
        draft = self._draft("finish")
        # By the saver too: if a second signal cut the waiting short, it may still be writing.
        self._saver.submit(lambda: self._recorder.record(draft)).wait()

    def _raise_background_error(self) -> None:
        error = self._syncer.take_error() or self._log.take_error()
        if error is not None:
            raise error

    def _check_writable(self) -> None:
        if os.getpid() != self._pid:
            raise RunEnded(self.name, "this is a forked process; only the one that started the run writes it")
        if self._ended:
            raise RunEnded(self.name, "it has ended")

    def _request_stop(self, number: int, _frame: FrameType | None) -> None:
        if (self.stop_requested or self._ended) and number == signal.SIGTERM:
            signals.terminate(number, None)
        self.stop_requested = True
