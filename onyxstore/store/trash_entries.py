"""What lies in the trash: runs, and objects that a gc set aside, with their bytes and the days that they stay."""

from __future__ import annotations

from dataclasses import dataclass

from onyxstore.disk import files
from onyxstore.disk.trash import Discarded
from onyxstore.errors import UnknownName
from onyxstore.names import fold, near
from onyxstore.store.doors import Doors
from onyxstore.store.marking import mark, reach, stored_bytes
from onyxstore.store.removed import removed_runs
from onyxstore.store.removing import RefChange, RestorationPlan

_DAY = 86_400 * 10**9


@dataclass(frozen=True)
class TrashEntry:
    """Something in the trash: a run, or objects that a gc set aside; since when (seconds), its bytes, the days that it stays.

    `name` is what `restore` takes. The bytes of a run are those that nothing else needs.
    """

    name: str
    run: str | None
    time: float
    bytes: int
    days_left: float


@dataclass
class ObjectsRestorationPlan:
    """What taking back what a gc set aside would do; `execute` does it."""

    batch: Discarded
    _doors: Doors

    def execute(self) -> tuple[RefChange, ...]:
        """Puts the objects back where they were; no ref moves by it, and the next gc sets them aside again."""
        self._doors.trash.restore(self.batch)
        return ()

    @property
    def name(self) -> str:
        """What comes back."""
        return f"what a gc set aside at {self.batch.time}"

    def __str__(self) -> str:
        return f"{len(self.batch.paths)} files of {self.batch.time} would come back"


def list_trash(doors: Doors) -> list[TrashEntry]:
    """What lies in the trash, the newest first."""
    if not any(True for _ in doors.trash.batches()):
        return []
    now = files.clock(doors.layout.tmp)
    removed = {run.batch.time: run for run in removed_runs(doors)}
    live = mark(doors, without={run.folder for run in removed.values()}).all if removed else set()
    entries = []
    for batch in doors.trash.batches():
        run = removed.get(batch.time)
        unique = stored_bytes(doors, reach(doors, [run.folder]) - live) if run is not None else 0
        left = doors.settings.trash_days - (now - batch.time) / _DAY
        name = run.name if run is not None else None
        if batch.paths:
            size = doors.trash.size(batch) + unique
            entries.append(TrashEntry(name or str(batch.time), name, batch.time / 1e9, size, max(0.0, left)))
    return entries[::-1]


def plan_restoration(doors: Doors, name: str) -> RestorationPlan | ObjectsRestorationPlan:
    """What taking back a run would do, the one that was removed last of those with the name; or what a gc set aside, by its time."""
    found = [run for run in removed_runs(doors) if name == str(run.batch.time) or fold(name) == run.folder.name]
    if found:
        return RestorationPlan(found[-1], doors)
    for batch in doors.trash.batches():
        if name == str(batch.time):
            return ObjectsRestorationPlan(batch, doors)
    raise UnknownName("run", name, "the trash", near(name, (run.name for run in removed_runs(doors))))
