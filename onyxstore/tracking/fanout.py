"""What is fed besides the store: a thread and a bounded queue for each backend.

The calling thread only appends to the queues, some microseconds; the threads look every fifth of a second, and take what waits in short
stretches. Waking one with each call would cost the caller more than the call, and a thread that works takes the interpreter from the
training. So a backend may be slow, hang or raise without holding up the training or the other backends. What is wrong is said once;
what a backend did not get is counted and said at the end, and the store has it.

This is one of three places that catch everything: a backend is other people's code, and an exception that ended its thread would
lose all calls after it in silence.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from onyxstore.errors import OnyxError
from onyxstore.tracking.backends.base import TrackingBackendBase

_log = logging.getLogger("onyxstore")

MOST_CALLS = 50_000
"""Calls that wait for one backend: with five metrics each 30 MB, and a minute of a row each millisecond."""
MOST_BYTES = 128 << 20
"""Bytes that wait for one backend, images above all: one of 1024 x 1024 has 3 MiB."""
POLL = 0.2
"""Seconds from one look at the queue to the next."""
STRETCH, REST = 0.0005, 0.01
"""Seconds of work after which a thread rests so long, when nobody waits for it.

In a loop of Python that logs each 0.3 ms, threads that took all at once made the loop 2.4 times as long, for they hold the
interpreter; so it is 1.0 to 1.4. W&B then takes some 250 rows a second, and all there are once half a queue waits.
"""
DUE = 0.01
"""Seconds from one look whether a call is due to the next."""
HANGING = 60.0
"""Seconds in one call after which a backend is said to hang, while training goes on: longer than the timeouts of most clients."""
TIRED = 20
"""Failures in a row after which a backend is left alone."""


class Call(NamedTuple):
    """A call that waits: a backend's method, what it is handed, and the bytes of that.

    It is made once `due` is true, and never if that is None. Then `done` is set.
    """

    method: str
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = MappingProxyType({})
    size: int = 0
    due: Callable[[], bool | None] | None = None
    done: threading.Event | None = None


class Fanout:
    """The backends of one run."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds = tuple(feeds)
        self.order = threading.Lock()
        """To be held around `put`, and from where the call is recorded: all backends get the calls in the store's order."""
        _all.add(self)

    def put(self, call: Call) -> None:
        """Queues a call for each backend that does something with it, without waiting for any."""
        for feed in self._feeds:
            feed.put(call)

    def flush(self, timeout: float) -> None:
        """Waits until each backend has taken and flushed what waits, `timeout` seconds for all together.

        One that has not is said, once, and later flushes don't wait for it before it answers.
        """
        with self.order:
            asked = [(feed, feed.ask(Call("flush"))) for feed in self._feeds if not feed.is_late]
        deadline = time.monotonic() + timeout
        for feed, done in asked:
            if not done.wait(max(0.0, deadline - time.monotonic())):
                feed.note_late(timeout)

    def end(self, status: str, timeout: float) -> None:
        """Ends each backend after what waits, and waits for all of them in the same way; says how many calls each has missed."""
        with self.order:
            for feed in self._feeds:
                feed.ask(Call("end_experiment", named={"status": status}))
        deadline = time.monotonic() + timeout
        for feed in self._feeds:
            if not feed.join(max(0.0, deadline - time.monotonic())):
                feed.note_late(timeout)
            feed.report()


class Feed:
    """One backend: its queue, its thread, what went wrong. `start` makes and starts it; that and all its calls happen in the thread."""

    def __init__(self, name: str, kind: type[TrackingBackendBase], start: Callable[[], TrackingBackendBase]) -> None:
        self.name = name
        self._start = start
        self._wanted = {method: _named(kind, method) for method in _METHODS if _overrides(kind, method)}
        self._queue: deque[Call] = deque()
        # Of each pair one number is the callers', one the thread's: no lock is needed to tell how far they are apart.
        self._put, self._made = 0, 0
        self._put_bytes, self._taken_bytes = 0, 0
        self._asked, self._answered = 0, 0
        self._is_full = self._is_left_alone = False
        self.is_late, self._was_late = False, False
        self._busy_since = 0.0
        self._failures = self._failures_in_a_row = 0
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"onyx-backend-{name}", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Queues a call, or drops it where there is no room; one caller at a time."""
        if call.method not in self._wanted:
            return
        if self._busy_since and time.monotonic() - self._busy_since > HANGING:
            self.note_late(HANGING)
        self._put += 1
        if len(self._queue) < MOST_CALLS and self._put_bytes - self._taken_bytes + call.size <= MOST_BYTES:
            self._put_bytes += call.size
            self._queue.append(call)
        elif not self._is_full:
            self._is_full = True
            words = "backend '%s' does not keep up: %d calls wait, and what there is no room for is dropped; the store has it"
            _log.warning(words, self.name, len(self._queue))

    def ask(self, call: Call) -> threading.Event:
        """Queues a call that somebody waits for; the event is set when it was made, whether or not it failed. One caller at a time."""
        done = threading.Event()
        self._asked += 1
        self._queue.append(call._replace(done=done))
        self._wake.set()
        return done

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended, as it does with the backend; waits for it, but no longer than `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def note_late(self, seconds: float) -> None:
        """Somebody waited in vain; said once."""
        if not self._was_late:
            _log.warning("backend '%s' has not answered for %g s, and is not waited for any longer", self.name, seconds)
        self.is_late = self._was_late = True

    def report(self) -> None:
        """Says how many calls the backend has missed, if any."""
        if missed := self._put - self._made:
            _log.warning("backend '%s' has missed %d of %d calls; the store has them all", self.name, missed, self._put)

    # ------------------------------------------------------------------------------------------------- in its own thread

    def _work(self) -> None:
        backend = self._started()
        while True:
            self._wake.wait(POLL)
            self._wake.clear()
            began = time.thread_time()
            while self._queue:
                call = self._queue.popleft()
                self._take(backend, call)
                if call.method == "end_experiment":
                    return
                if time.thread_time() - began > STRETCH and self._has_time:
                    self._wake.wait(REST)
                    began = time.thread_time()

    def _started(self) -> TrackingBackendBase | None:
        made: list[TrackingBackendBase] = []
        error = self._timed_attempt(lambda: made.append(self._start()))
        if error is not None:
            self._is_left_alone = True
            _log.warning("backend '%s' could not start: %s; it is left alone, the store records everything", self.name, _said(error))
        return made[0] if made else None

    def _take(self, backend: TrackingBackendBase | None, call: Call) -> None:
        self._taken_bytes += call.size
        is_end = call.done is not None
        if backend is not None and call.method in self._wanted and (is_end or not self._is_left_alone):
            self._make(backend, call)
        if call.done is not None:
            self._answered += 1
            self.is_late = False
            call.done.set()

    @property
    def _has_time(self) -> bool:
        return self._asked == self._answered and len(self._queue) < MOST_CALLS // 2

    def _make(self, backend: TrackingBackendBase, call: Call) -> None:
        known = self._wanted[call.method]
        named = {name: value for name, value in call.named.items() if name in known}
        error = self._timed_attempt(lambda: _when_due(call.due) and getattr(backend, call.method)(*call.arguments, **named))
        if error is None:
            self._made += call.done is None
            self._failures_in_a_row = 0
            return
        self._failures += 1
        self._failures_in_a_row += 1
        if self._failures == 1:
            after = "" if call.method == "end_experiment" else "it goes on with the next call, and "
            _log.warning("backend '%s' failed in %s: %s; %sthe store has everything", self.name, call.method, _said(error), after)
        if self._failures_in_a_row == TIRED:
            self._is_left_alone = True
            _log.warning("backend '%s' failed %d times in a row and is left alone; the store records everything", self.name, TIRED)

    def _timed_attempt(self, act: Callable[[], object]) -> BaseException | None:
        self._busy_since = time.monotonic()
        error = _attempt(act)
        self._busy_since = 0.0
        return error


_METHODS = (*(name for name in vars(TrackingBackendBase) if name.startswith("log_")), "flush", "end_experiment")


def _overrides(kind: type[TrackingBackendBase], method: str) -> bool:
    """Whether the backend does something at this call; what it would ignore is not queued."""
    return getattr(kind, method) is not getattr(TrackingBackendBase, method)


def _named(kind: type[TrackingBackendBase], method: str) -> frozenset[str]:
    """Which of the parameters that a backend may leave out its method takes."""
    parameters = inspect.signature(getattr(kind, method)).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return _MAY_BE_LEFT_OUT
    return _MAY_BE_LEFT_OUT & {parameter.name for parameter in parameters}


_MAY_BE_LEFT_OUT = frozenset({"epoch", "status"})


def _when_due(due: Callable[[], bool | None] | None) -> bool:
    """Waits until it is; whether it ever will be."""
    while due is not None and (answer := due()) is not True:
        if answer is None:
            return False
        time.sleep(DUE)
    return True


def _attempt(act: Callable[[], object]) -> BaseException | None:
    """What went wrong in code of others, whatever it is."""
    try:
        act()
    except BaseException as error:  # noqa: BLE001 - the thread must live on, and the caller says it
        return error
    return None


def _said(error: BaseException) -> str:
    """An exception in one line."""
    words = str(error).strip().partition("\n")[0]
    return words if isinstance(error, OnyxError) else f"{type(error).__name__}: {words}".removesuffix(": ")


_all: weakref.WeakSet[Fanout] = weakref.WeakSet()


def _renew_locks() -> None:
    """A forked child has none of the threads, and perhaps a lock that one of them held: it is to get an error, not to wait for ever."""
    for fanout in list(_all):
        fanout.order = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks)
