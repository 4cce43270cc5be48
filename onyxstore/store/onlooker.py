"""The run as a process with a RANK other than 0 has it: it reads and restores, and writes nothing.

Training code is the same on every rank; only rank 0 has a run to write. The others get this in its place: what would write returns
at once, `restore` loads what rank 0's run loads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onyxstore.errors import RunEnded
from onyxstore.hashing import Address, Buffer
from onyxstore.history import runs
from onyxstore.history.commits import CommitRecord
from onyxstore.store import signals
from onyxstore.store.doors import Doors
from onyxstore.store.run import Run
from onyxstore.store.save import SaveHandle
from onyxstore.store.starting import StartOptions, check_options, find_parent, run_name
from onyxstore.store.views import Commit, RunView


def look_on(doors: Doors, options: StartOptions) -> Onlooker:
    """What `start_run` gives a process that is not rank 0. It restores what rank 0 restores; where that begins anew, nothing."""
    name = run_name(options)
    check_options(options)
    parent = find_parent(doors, options)
    if parent is not None:
        return Onlooker(doors, name, lambda: iter([(parent, doors.commit(parent))]))
    return Onlooker(doors, name, lambda: doors.line(name) if options.resume else iter(()))


class Onlooker(Run):
    """A Run whose writing methods do nothing."""

    def __init__(self, doors: Doors, name: str, line: Callable[[], Iterator[tuple[Address, CommitRecord]]]) -> None:
        RunView.__init__(self, doors, name)
        self._line = line
        self._handlers: dict[int, Any] = {}
        self._pid = os.getpid()
        self._ended = False
        self._step, self._epoch = None, None
        self._tracked: dict[str, Any] = {}
        self._restored: dict[str, Any] = {}
        self.stop_requested = False

    @property
    def name(self) -> str:
        """The name that rank 0 asked for."""
        return self._name

    def log(self, metrics: Mapping[str, Any], step: int | None = None, epoch: float | None = None) -> None:
        """Nothing."""

    def log_many(self, columns: Mapping[str, Sequence[Any]], steps: Sequence[int], epochs: Sequence[float] | None = None) -> None:
        """Nothing."""

    def log_artifact(self, name: str, content: Buffer | str | Path, *, kind: str = "file", step: int | None = None) -> None:
        """Nothing."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def save_checkpoint(self, **_: Any) -> SaveHandle:
        """A handle that is done; its `commit` is the newest that rank 0 made."""
        return _Done(self)

    def commit(self, message: str, *, configs: Mapping[str, Any] | None = None) -> Commit:  # noqa: ARG002 - the signature is Run's
        """The newest commit that rank 0 made."""
        return _Done(self).wait()

    def finish(self, status: runs.Status = "finished") -> None:  # noqa: ARG002 - the signature is Run's
        """Nothing more can be restored."""
        self._ended = True
        signals.give_back(self._handlers, self._request_stop)


class _Done(SaveHandle):
    def __init__(self, run: Onlooker) -> None:
        super().__init__(run.name, run._view)  # noqa: SLF001 - both are one thing
        self._onlooker = run
        self._finished.set()

    def wait(self, timeout: float | None = None) -> Commit:  # noqa: ARG002 - there is nothing to wait for
        latest = self._onlooker.latest
        if latest is None:
            raise RunEnded(self._onlooker.name, "this process has a RANK other than 0 and writes nothing; rank 0 made no commit yet")
        return latest
