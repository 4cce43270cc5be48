"""The trash of a store: what lies in it, and how it comes back or goes for good.

As in `store.py` a method imports what it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onyxstore.store.doors import Doors

if TYPE_CHECKING:
    from onyxstore.store.purging import PurgePlan, PurgeReport
    from onyxstore.store.removing import RefChange, RemovalPlan, RestorationPlan
    from onyxstore.store.trash_entries import ObjectsRestorationPlan, TrashEntry


class TrashView:
    """Removed runs, and what a gc set aside."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def list(self) -> list[TrashEntry]:
        """What lies there, the newest first."""
        from onyxstore.store.trash_entries import list_trash

        return list_trash(self._doors)

    def plan_remove(self, *names: str) -> RemovalPlan:
        """What setting runs aside would do: the plan prints itself, and `execute` does it. UnknownName, BadName, RunIsLive."""
        from onyxstore.store.removing import plan_removal

        return plan_removal(self._doors, names)

    def remove(self, *names: str) -> tuple[RefChange, ...]:
        """Sets runs aside: they are gone from the store, and can be restored for `trash_days`. The refs that moved by it."""
        return self.plan_remove(*names).execute()

    def plan_restore(self, name: str) -> RestorationPlan | ObjectsRestorationPlan:
        """What taking back a run would do, the one that was removed last of those with the name; or what a gc set aside, by its time."""
        from onyxstore.store.trash_entries import plan_restoration

        return plan_restoration(self._doors, name)

    def restore(self, name: str) -> tuple[RefChange, ...]:
        """Brings a run back, all of it; the refs that moved by it. UnknownName, NameTaken."""
        return self.plan_restore(name).execute()

    def plan_purge(self, *names: str, trash: bool = False) -> PurgePlan:
        """What removing runs (here or in the trash) or objects (by their addresses) for good would do, or all of the trash."""
        from onyxstore.store.purging import plan_purge

        return plan_purge(self._doors, names, trash=trash)

    def purge(self, *names: str, trash: bool = False) -> PurgeReport:
        """Removes for good: nothing in the store holds what these runs alone needed, or the bytes of these objects, any more."""
        return self.plan_purge(*names, trash=trash).execute()
