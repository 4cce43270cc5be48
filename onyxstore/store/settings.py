"""The store's own settings: `.onyx/settings.yaml`, for people to edit.

Read afresh whenever a store is opened, and changed after `init` by hand, or one at a time (`change_setting`). An unknown key, or a
value of the wrong kind, is an error that names the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from onyxstore.disk import files
from onyxstore.errors import BadSetting
from onyxstore.history.best import Mode
from onyxstore.names import near

LARGEST = 1 << 20

TEMPLATE = b"""\
# The settings of this store. Every key is optional; these are the defaults.

# Checkpoints that a run keeps besides best, latest, tagged ones and those that a fork starts from; null keeps all.
max_checkpoints: 5

# The metric that `best` follows, and whether min or max of it is better. null: the first run that names one decides.
best_metric: null
best_mode: min

# Free what retention dropped as soon as it is worth it, without anyone running `onyx gc`.
auto_gc: true

# Days that removed and unreferenced things stay in the trash.
trash_days: 14

# Seconds after which logged metrics survive a power cut (they survive the process at once).
sync_interval: 1.0
"""


@dataclass(frozen=True)
class Settings:
    """The settings with their defaults; TEMPLATE says what each one means."""

    max_checkpoints: int | None = 5
    best_metric: str | None = None
    best_mode: Mode = "min"
    auto_gc: bool = True
    trash_days: float = 14
    sync_interval: float = 1.0
    file: Path | None = field(default=None, compare=False, repr=False)
    """Where they were read from."""

    def by_name(self) -> dict[str, Any]:
        """Every setting by its name."""
        return {name: getattr(self, name) for name in SETTINGS}


SETTINGS = tuple(each.name for each in fields(Settings) if each.name != "file")


def read_settings(path: Path) -> Settings:
    """The settings of a file; the defaults where it is missing; BadSetting or BadConfig when it says something else."""
    try:
        data = files.read_bounded(path, LARGEST)
    except FileNotFoundError:
        return Settings(file=path)
    return decode_settings(data, path)


def decode_settings(data: bytes, path: Path) -> Settings:
    """The settings that a file of these bytes says; BadSetting, BadConfig."""
    if data == TEMPLATE:  # as it mostly is; reading YAML costs the command a third of its start-up
        return Settings(file=path)
    from onyxstore.yaml12 import read_yaml  # noqa: PLC0415 - see above

    value = read_yaml(data, str(path)).value
    if value is None:
        return Settings(file=path)
    if type(value) is not dict:
        raise BadSetting("the settings", str(path), "should be a mapping of names to values")
    for name in value:
        if name not in SETTINGS:
            meant = near(str(name), SETTINGS)
            raise BadSetting(str(name), str(path), f"is no setting, did you mean '{meant[0]}'?" if meant else "is no setting")
        holds, expected = check_setting(name, value[name])
        if not holds:
            raise BadSetting(name, str(path), f"should be {expected}, not {value[name]!r}")
    return Settings(**value, file=path)


def check_setting(name: str, value: Any) -> tuple[bool, str]:
    """Whether a setting can have the value, and which it can have, in words."""
    number = type(value) in {int, float}
    rules = {
        "max_checkpoints": (value is None or (type(value) is int and value >= 1), "a whole number from 1, or null"),
        "best_metric": (value is None or (type(value) is str and value != ""), "a metric's name, or null"),
        "best_mode": (type(value) is str and value in {"min", "max"}, "min or max"),
        "auto_gc": (type(value) is bool, "true or false"),
        "trash_days": (number and 0 <= value <= 100_000, "a number of days, 0 or more"),
        "sync_interval": (number and 0.01 <= value <= 3600, "a number of seconds from 0.01 to 3600"),
    }
    return rules[name]
