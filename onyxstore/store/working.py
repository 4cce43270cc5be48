"""The working config files: those that lie where a commit's configs came from, and what became of them since.

`status` lists them, and a `diff` against them compares their values. A config that was handed in as a value has a file only once it was
checked out; without one it is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from onyxstore.history.config_snapshots import snapshot_file
from onyxstore.store.checkout import CheckoutPlan, FileState

WorkingState = Literal["same", "changed", "missing"]

_STATES: Mapping[FileState, WorkingState] = {"new": "missing", "same": "same", "changed": "changed", "lost": "changed", "purged": "same"}
"""What a checkout would find of a file, as what became of it."""


@dataclass(frozen=True)
class WorkingConfig:
    """A config of a commit: where its file lies, relative to the store's folder, and what became of it."""

    name: str
    path: str
    state: WorkingState


def working_configs(plan: CheckoutPlan, folder: Path) -> tuple[WorkingConfig, ...]:
    """The config files of a commit, as a checkout of its configs to the store's `folder` finds them."""
    found = [
        WorkingConfig(name, file.path.relative_to(folder).as_posix(), _STATES[file.state])
        for name, file in zip(plan.commit.config_entries, plan.files, strict=True)
    ]
    entries = plan.commit.config_entries
    return tuple(config for config in found if entries[config.name].path is not None or config.state != "missing")


def read_changed(configs: tuple[WorkingConfig, ...], folder: Path) -> dict[str, Any]:
    """The values of the files that changed, by config; BadConfig for one that cannot be read."""
    return {config.name: snapshot_file(config.name, folder / config.path, folder).value for config in configs if config.state == "changed"}
