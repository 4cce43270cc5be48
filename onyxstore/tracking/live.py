"""What stands between a tracker's start and its end: the run, and the backends that are fed besides.

The store records first. What has a step is then placed on the global axis and queued under one lock, so that every backend gets the
calls of all threads in the store's order.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from onyxstore.errors import OnyxError
from onyxstore.history.metrics.plain import plain_metrics
from onyxstore.names import run_name_from
from onyxstore.store import signals
from onyxstore.store.run import Run
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.local import LocalBackend
from onyxstore.tracking.backends.table import Kind
from onyxstore.tracking.checkpoints import Saving
from onyxstore.tracking.fanout import Call, Fanout, Feed
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.saved import find_save
from onyxstore.tracking.steps import GlobalSteps

PATIENCE = 60.0
"""Seconds for which backends are waited for at a flush and at the end: W&B uploads what is left."""
LITTLE_PATIENCE = 10.0
"""The same for a run that is killed: schedulers send SIGKILL half a minute after SIGTERM."""

_POINT_BYTES = 100
"""What a point takes while it waits."""


class LiveTracking:
    """A run that is on, and its backends, each made and started in its own thread; `end` is what an interpreter that exits calls."""

    def __init__(
        self, local: LocalBackend, metadata: ExperimentMetadata, backends: Mapping[str, Kind], end: Callable[[str], None]
    ) -> None:
        self.local, self.run, self.metadata = local, local.run, metadata
        self._pid = os.getpid()
        self._steps = GlobalSteps()
        self._steps.go_on_after(local.earlier_rows() if backends and not local.looks_on else ())
        self._at_exit = functools.partial(_end_at_exit, end)
        self._last_in_first_out()
        feeds = [Feed(name, kind, functools.partial(self._start, kind)) for name, kind in backends.items() if not local.looks_on]
        self._fanout = Fanout(feeds) if feeds else None

    @property
    def is_foreign(self) -> bool:
        """Whether this is a forked child, which only has a copy."""
        return os.getpid() != self._pid

    @property
    def is_fed(self) -> bool:
        """Whether anybody hears of what the store records."""
        return self._fanout is not None

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None, epoch: float | None) -> None:
        """Points: recorded, then queued."""
        fanout = self._fanout
        if fanout is None:
            self.run.log(metrics, step, epoch)
            return
        values = dict(plain_metrics(metrics))
        with fanout.order:
            self.run.log(values, step, epoch)
            at, during = self.run.moment
            place = self._steps.place(at or 0, during, values)
            fanout.put(Call("log_metrics", (values, place), {"epoch": during}, _POINT_BYTES * len(values)))

    def feed(self, call: Call) -> None:
        """Queues a call that has no step."""
        if self._fanout is not None:
            with self._fanout.order:
                self._fanout.put(call)

    def feed_at(self, step: int | None, names: Collection[str], call: Call) -> None:
        """Queues a call that has one (that of the last point if it is not given), its place on the global axis after its arguments."""
        if self._fanout is not None:
            with self._fanout.order:
                last, epoch = self.run.moment
                place = self._steps.place(int(step) if step is not None else last or 0, epoch, names)
                self._fanout.put(call._replace(arguments=(*call.arguments, place)))

    def feed_checkpoint(self, saving: Saving) -> None:
        """Queues what is told of a checkpoint, for when it is durable; of one that could not be saved nobody hears."""
        due = functools.partial(_is_saved, self.run, saving)
        self.feed(Call("log_checkpoint", (saving.reference, self._steps.last), due=due))

    def flush_backends(self, timeout: float) -> None:
        """All earlier calls are taken by the backends, in so far as they answer in time."""
        if self._fanout is not None:
            self._fanout.flush(timeout)

    def end(self, status: str) -> None:
        """Ends the run, then the backends; what they are told is how the run ended, whoever ended it."""
        try:
            self.local.end_experiment(status)
        finally:
            atexit.unregister(self._at_exit)
            if self._fanout is not None:
                with contextlib.suppress(OnyxError):
                    status = self.run.status
                self._fanout.end(status, LITTLE_PATIENCE if status == "killed" else PATIENCE)

    def _start(self, kind: Kind) -> TrackingBackendBase:
        backend = kind(self.local.config)
        backend.start_experiment(self._metadata_of_run())
        self._last_in_first_out()
        return backend

    def _metadata_of_run(self) -> ExperimentMetadata:
        """What backends are told: of an id that was taken the run's own name, by which a rerun is another there too."""
        given = self.metadata.experiment_id
        name = self.run.name
        return self.metadata if name == run_name_from(given) else replace(self.metadata, experiment_id=name)

    def _last_in_first_out(self) -> None:
        """Before what a backend's library does at exit, as W&B does, which stops its service: what is done last at the start."""
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)


def _is_saved(run: Run, saving: Saving) -> bool | None:
    """Whether the checkpoint is in the store; None when it never will be. The handle is not asked: its error is its caller's."""
    if not saving.handle.done():
        return False
    return True if find_save(run, saving.reference.checkpoint_id) is not None else None


def _end_at_exit(end: Callable[[str], None]) -> None:
    error = signals.Terminated() if signals._arrived.is_set() else getattr(sys, "last_value", None)  # noqa: SLF001
    with contextlib.suppress(OnyxError):
        end(signals.status_of(error))
