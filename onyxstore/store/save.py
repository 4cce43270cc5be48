"""The queue behind `save_checkpoint`: one thread a run, in order, errors that are never silent.

The caller's thread only copies; the writing happens here, so that commits of a run follow each other as they were asked for. Memory
is bounded by the staging pool: at most two saves are in flight, then the next caller waits for its slot.

An error of a job belongs to its handle. Whoever waits on the handle gets it; otherwise the next `submit` or `flush` raises it.
It is raised once. This is one of three places that catch everything: a job runs code of other libraries, and an exception that
ends this thread would lose all saves after it in silence.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from onyxstore.errors import OnyxError, RunEnded
from onyxstore.hashing import Address

if TYPE_CHECKING:
    from onyxstore.store.views import Commit

Job = Callable[[], Address | None]


class SaveHandle:
    """A save under way: `wait()` returns its commit once it survives a power cut, `done()` asks."""

    def __init__(self, run: str, view: Callable[[Address], Commit]) -> None:
        self._run = run
        self._view = view
        self._finished = threading.Event()
        self._address: Address | None = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Whether it is written, or has failed."""
        return self._finished.is_set()

    def wait(self, timeout: float | None = None) -> Commit:
        """The commit, durable; raises what went wrong, or TimeoutError after `timeout` seconds."""
        if not self._finished.wait(timeout):
            message = f"the save of run '{self._run}' is not done after {timeout:g} s"
            raise TimeoutError(message)
        error = self._take_error()
        if error is not None:
            raise error
        if self._address is None:
            raise RunEnded(self._run, "this save failed, and its error was raised already")
        return self._view(self._address)

    @property
    def commit(self) -> Commit:
        """The commit; waits for it."""
        return self.wait()

    def _take_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error


class Saver:
    """The queue and the thread of one run."""

    def __init__(self, run: str, view: Callable[[Address], Commit]) -> None:
        self._run = run
        self._view = view
        self._jobs: queue.Queue[tuple[Job, SaveHandle] | None] = queue.Queue()
        self._unwaited: list[SaveHandle] = []
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"onyx-saver-{run}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> SaveHandle:
        """Queues a job."""
        handle = SaveHandle(self._run, self._view)
        with self._guard:
            self._unwaited.append(handle)
            self._jobs.put((job, handle))
        return handle

    def flush(self) -> None:
        """Waits for all that was submitted, then raises the first error that nobody has seen."""
        for handle in list(self._unwaited):
            handle._finished.wait()  # noqa: SLF001 - the handle's other half
        self.raise_error()

    def raise_error(self) -> None:
        """Raises the first error of a finished save that nobody waited for, once."""
        with self._guard:
            finished = [handle for handle in self._unwaited if handle.done()]
            self._unwaited = [handle for handle in self._unwaited if handle not in finished]
        errors = [error for handle in finished if (error := handle._take_error()) is not None]  # noqa: SLF001 - as above
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"and after it: {other}")
            raise errors[0]

    def close(self) -> None:
        """Ends the thread after what is queued."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, handle = item
            try:
                handle._address = job()  # noqa: SLF001 - the handle's other half
            except BaseException as error:  # noqa: BLE001 - kept, and raised where somebody sees it
                handle._error = error if isinstance(error, (OnyxError, Exception)) else RuntimeError(repr(error))  # noqa: SLF001
            handle._finished.set()  # noqa: SLF001
