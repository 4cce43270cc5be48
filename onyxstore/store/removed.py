"""Runs in the trash: where each lies, and what it was.

A run is in the trash when its folder is, `trash/TIME/runs/RUN` with its `state`. Its refs went after it, so after a crash in between
there are refs of a run that is gone; `finish_removals` takes them away too. A name is not given to another run before that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.trash import Discarded
from onyxstore.errors import CorruptFile, OnyxError
from onyxstore.history import runs
from onyxstore.history.removed import REMOVED, Removed, read_removed
from onyxstore.store.doors import Doors

_STATE = re.compile(r"runs/([a-z0-9][a-z0-9._-]{0,99})/state")


@dataclass(frozen=True)
class RemovedRun:
    """A run in the trash: the batch that it lies in, its folder there, its state, and how it was set aside."""

    batch: Discarded
    folder: Path
    state: runs.RunState
    removed: Removed

    @property
    def name(self) -> str:
        """Its name, as it was spelt."""
        return self.state.name

    @property
    def reflog(self) -> Path:
        """Where the reflogs of its refs lie, once they are in the trash too."""
        return self.folder.parent.parent / "reflog" / "runs" / self.folder.name


def removed_folders(doors: Doors) -> Iterator[tuple[Discarded, Path]]:
    """The folder of each run in the trash, with its batch, oldest first."""
    for batch in doors.trash.batches():
        for path in batch.paths:
            if match := _STATE.fullmatch(path):
                yield batch, doors.trash.folder(batch) / "runs" / match[1]


def read_removed_run(batch: Discarded, folder: Path) -> RemovedRun:
    """The run in a folder of the trash; CorruptFile, FileNotFoundError when it was taken back or emptied meanwhile."""
    state = runs.read_state_in(folder)
    try:
        return RemovedRun(batch, folder, state, read_removed(folder))
    except FileNotFoundError:
        raise CorruptFile(str(folder / REMOVED), "it is missing, and so is what the run's refs held") from None


def removed_runs(doors: Doors) -> list[RemovedRun]:
    """The runs in the trash that can be read, oldest first."""
    found = []
    for batch, folder in removed_folders(doors):
        try:
            found.append(read_removed_run(batch, folder))
        except (OnyxError, FileNotFoundError):
            continue
    return found


def is_half_removed(doors: Doors, run: RemovedRun) -> bool:
    """Whether refs or reflogs of a run in the trash are still where they were: a crash, or somebody is at it."""
    layout = doors.layout
    left = any(files.list_folder(folder) for folder in (layout.run_refs(run.name), layout.run_reflog(run.name)))
    return left and not runs.run_exists(layout, run.name)
