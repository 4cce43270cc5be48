"""How much the library says while a tracker is on: the level of the logger `onyxstore`.

Several may be on at once, and end in any order: the one that began last decides, and after the last one the level is what it was.
"""

from __future__ import annotations

import logging
import threading

from onyxstore.errors import BadInput
from onyxstore.names import near

_log = logging.getLogger("onyxstore")
_guard = threading.Lock()
_on: list[LogLevel] = []
_before: list[int] = []


class LogLevel:
    """A level that holds from `set` to `give_back`. BadInput for a word that is none."""

    def __init__(self, name: str) -> None:
        levels = logging.getLevelNamesMapping()
        if str(name).upper() not in levels:
            meant = near(str(name), levels)
            raise BadInput(f"log_level is no level of logging: {name!r}" + (f"; did you mean '{meant[0]}'?" if meant else ""))
        self._level = levels[name.upper()]

    def set(self) -> None:
        """Makes it the logger's level."""
        with _guard:
            if not _on:
                _before[:] = [_log.level]
            _on.append(self)
            _log.setLevel(self._level)

    def give_back(self) -> None:
        """Takes it back, once."""
        with _guard:
            if self in _on:
                _on.remove(self)
                _log.setLevel(_on[-1]._level if _on else _before[0])  # noqa: SLF001 - of its own kind
