"""Whether the next checkpoint fits the disk, said before it is saved.

A warning and no refusal: what a save takes is known only when it is encoded, and a full disk costs nothing but that save.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger("onyxstore")

SHARE = 0.9
"""Of the tensors' bytes: float32 weights and Adam's moments compress to some 0.83, and a file has its edges."""

QUIET = 60.0
"""Seconds from one warning to the next."""


class Room:
    """The room for a run's checkpoints in the folder of its store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: float | None = None

    def check(self, parts: Mapping[str, Any]) -> None:
        """Warns when `parts` will not fit; once a minute at most. What the store has already takes no room, which nobody knows yet."""
        needed = int(SHARE * sum(count_bytes(part) for part in parts.values()))
        free = shutil.disk_usage(self._folder).free
        now = time.monotonic()
        if needed > free and (self._said is None or now - self._said >= QUIET):
            self._said = now
            words = "the next checkpoint takes some %s MB, and %s MB are free for the store in %s; 'onyx gc' may free some"
            _log.warning(words, f"{needed / 1e6:,.0f}", f"{free / 1e6:,.0f}", self._folder)


def count_bytes(part: Any) -> int:
    """The bytes of the tensors in live objects or plain state. No state dict is made for it: that may copy, or talk to other ranks."""
    return sum(_bytes_in(part))


def _bytes_in(part: Any) -> Iterator[int]:
    if callable(getattr(part, "named_modules", None)):
        yield from (_size(tensor) for tensors in (part.parameters(), part.buffers()) for tensor in tensors)
    elif hasattr(part, "param_groups"):
        yield from _bytes_in(part.state)
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _bytes_in(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _bytes_in(value)
    else:
        yield _size(part)


def _size(tensor: Any) -> int:
    """Its bytes; nothing for what is no tensor, or none yet (a lazy module's)."""
    if type(tensor).__name__ in {"UninitializedParameter", "UninitializedBuffer"}:
        return 0
    size = getattr(tensor, "nbytes", 0)
    return size if type(size) is int else 0
