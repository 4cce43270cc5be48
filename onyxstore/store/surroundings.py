"""What surrounds a commit: its configs, the code state, the environment. Captured first, then put while the store is pinned."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onyxstore.history.code_state import CodeState, capture_code_state, encode_code_state
from onyxstore.history.commits import ConfigEntry
from onyxstore.history.config_snapshots import ConfigSnapshot, snapshot_file, snapshot_value
from onyxstore.history.environment import capture_environment
from onyxstore.history.runs import Attempt
from onyxstore.store.doors import Doors

_log = logging.getLogger("onyxstore")


@dataclass(frozen=True)
class Surroundings:
    """As of one moment: the config snapshots, the code state (None without a git repository), the environment."""

    configs: Sequence[ConfigSnapshot]
    code: CodeState | None
    environment: Mapping[str, Any]
    time: int


def capture_surroundings(doors: Doors, configs: Mapping[str, Any]) -> Surroundings:
    """Everything as it is now; nothing is written. What was masked, or read unlike YAML 1.1, is said. BadConfig, CannotEncode."""
    snapshots = capture_configs(doors, configs)
    folder = doors.layout.folder
    return Surroundings(snapshots, capture_code_state(folder), capture_environment(sys.argv, folder), time.time_ns())


def capture_configs(doors: Doors, configs: Mapping[str, Any]) -> list[ConfigSnapshot]:
    """Snapshots of configs as they are now, with the same words said; nothing is written. BadConfig, CannotEncode."""
    return [_snapshot(doors, name, config) for name, config in configs.items()]


def put_configs(doors: Doors, snapshots: Sequence[ConfigSnapshot]) -> dict[str, ConfigEntry]:
    """Stores config snapshots; the store must be pinned."""
    return {
        snapshot.name: ConfigEntry(snapshot.path, doors.objects.put(snapshot.data), doors.put_value(snapshot.value))
        for snapshot in snapshots
    }


def put_attempt(doors: Doors, surroundings: Surroundings) -> Attempt:
    """An attempt that begins with these surroundings, stored; the store must be pinned."""
    code = doors.put_value(encode_code_state(surroundings.code)) if surroundings.code is not None else None
    return Attempt(started=surroundings.time, code=code, environment=doors.put_value(surroundings.environment))


def _snapshot(doors: Doors, name: str, config: Any) -> ConfigSnapshot:
    """A path (text or Path) by its bytes, anything else by its value."""
    is_file = isinstance(config, (str, Path))
    snapshot = snapshot_file(name, Path(config), doors.layout.folder) if is_file else snapshot_value(name, config)
    for note in snapshot.notes:
        _log.warning("%s", note)
    if snapshot.masked:
        _log.warning("config '%s': masked before it is stored: %s", snapshot.name, ", ".join(snapshot.masked))
    return snapshot
