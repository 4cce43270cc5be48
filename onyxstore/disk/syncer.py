"""The background fsync: one thread a live run, which wakes once in an interval.

It only syncs and seals; the bytes were written by the caller's thread. The first error stays (sticky) until somebody takes it,
and the action is called again at the next beat: after a failed sync the metric log writes what it still has to a new file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from onyxstore.errors import OnyxError


class Syncer:
    """Calls `action` each `interval` seconds on a thread of its own, until stopped."""

    def __init__(self, action: Callable[[], None], interval: float) -> None:
        self._action = action
        self._interval = interval
        self._stop = threading.Event()
        self._error: OnyxError | None = None
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="onyx-syncer", daemon=True)
        self._thread.start()

    def take_error(self) -> OnyxError | None:
        """The first error since this was last asked."""
        with self._guard:
            error, self._error = self._error, None
        return error

    def stop(self) -> None:
        """Ends the thread; a beat under way is waited for."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._action()
            except OnyxError as error:
                with self._guard:
                    self._error = self._error or error
