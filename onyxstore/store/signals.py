"""The end of a process as live runs see it: SIGTERM, and an interpreter that exits without `finish`.

SIGTERM becomes an exception in the main thread, so that `with` blocks unwind and the run ends as *killed* after a flush; a handler
that flushed by itself could wait for a lock which the interrupted code holds. It is installed only where the default stood: who
handles SIGTERM himself keeps his handler. At exit, what is still live is finished: *failed* when an exception ended the program.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol

from onyxstore.errors import OnyxError
from onyxstore.history.runs import Status


class Terminated(SystemExit):
    """SIGTERM arrived; the exit status is 143, as the shell reports it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Live(Protocol):
    """What can be finished."""

    def finish(self, status: Status = "finished") -> None:
        """Ends it."""


_live: weakref.WeakSet[Live] = weakref.WeakSet()
_arrived = threading.Event()
"""SIGTERM came, and was made an exception of."""


def watch(run: Live) -> None:
    """Sees to it that the run ends with the process."""
    _live.add(run)
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminate)


def terminate(_number: int, _frame: FrameType | None) -> None:
    """Handles SIGTERM: the program ends as by `sys.exit`."""
    _arrived.set()
    raise Terminated


def give_back(handlers: Mapping[int, Any], ours: Callable[[int, FrameType | None], None]) -> None:
    """Puts the handlers back that stood before `ours`, where nobody put another in its place."""
    if threading.current_thread() is threading.main_thread():
        for number, before in handlers.items():
            if signal.getsignal(number) == ours:
                signal.signal(number, before)


def unwatch(run: Live) -> None:
    """The run has ended."""
    _live.discard(run)


def status_of(error: BaseException | None) -> Status:
    """How a run ends that this exception ended."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished"
    return "killed" if isinstance(error, (Terminated, KeyboardInterrupt)) else "failed"



def _forget_in_child() -> None:
    _live.clear()


def _finish_at_exit() -> None:
    # `last_value` is what the interpreter printed as it ended; SystemExit is not printed and leaves no trace but ours.
    error = Terminated() if _arrived.is_set() else getattr(sys, "last_value", None)
    for run in list(_live):
        with contextlib.suppress(OnyxError):
            run.finish(status_of(error))


atexit.register(_finish_at_exit)
os.register_at_fork(after_in_child=_forget_in_child)
