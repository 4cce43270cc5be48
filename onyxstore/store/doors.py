"""One opened store, as the value that every verb takes: its paths, objects, refs, trash and settings.

Nothing is cached but what cannot change (commits by address), so each call of a verb sees the store as it is. What reads commits and
metric logs is imported by the first that asks for one, as in `store.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.disk.layout import Layout, check_format
from onyxstore.disk.objects import ObjectStore
from onyxstore.disk.refs import BEST, LATEST, Refs, run_ref
from onyxstore.disk.trash import Trash
from onyxstore.errors import CorruptObject, ObjectMissing
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.graph import line_of
from onyxstore.names import fold
from onyxstore.store.settings import Settings, read_settings

if TYPE_CHECKING:
    from onyxstore.history.commits import CommitRecord
    from onyxstore.history.metrics.log import Log


@dataclass(frozen=True)
class Doors:
    """What a verb needs to know of a store."""

    layout: Layout
    objects: ObjectStore
    refs: Refs
    trash: Trash
    settings: Settings
    _commits: dict[Address, CommitRecord] = field(default_factory=dict, repr=False, compare=False)

    def commit(self, address: Address) -> CommitRecord:
        """The commit at an address; ObjectMissing, or CorruptObject when it is none."""
        from onyxstore.history.commits import decode_commit

        if address not in self._commits:
            try:
                self._commits[address] = decode_commit(self.objects.get(address))
            except ValueError as error:
                raise CorruptObject(address, str(self.layout.object(address)), str(error)) from None
        return self._commits[address]

    def put_value(self, value: object) -> Address:
        """Stores a value as canonical JSON."""
        return self.objects.put(canonical_bytes(value))

    def value(self, address: Address) -> Any:
        """The value of a canonical JSON object; `<purged>` for one that was purged."""
        from onyxstore.history.purged import PURGED, read_purged_addresses

        try:
            return read_canonical(self.objects.get(address))
        except ObjectMissing:
            if address in read_purged_addresses(self.layout):
                return PURGED
            raise
        except ValueError as error:
            raise CorruptObject(address, str(self.layout.object(address)), str(error)) from None

    def latest_of(self, run: str) -> Address | None:
        """A run's newest commit."""
        return self.refs.commit(run_ref(fold(run), LATEST))

    def best_of(self, run: str) -> Address | None:
        """A run's best commit."""
        return self.refs.commit(run_ref(fold(run), BEST))

    def line(self, run: str) -> Iterator[tuple[Address, CommitRecord]]:
        """A run's commits, newest first."""
        newest = self.latest_of(run)
        return line_of(self.commit, newest) if newest else iter(())

    def log(self, run: str) -> Log:
        """A run's metric log as it is now."""
        from onyxstore.history.metrics.log import read_log

        return read_log(self.layout.run(run), self.objects.get)

    def state(self, run: str) -> runs.RunState:
        """A run's state as it is now; FileNotFoundError when there is no such run."""
        return runs.read_state(self.layout, run)

    def states(self) -> Iterator[runs.RunState]:
        """Every run's state that can be read, by name."""
        for name in runs.run_folders(self.layout):
            try:
                yield runs.read_state(self.layout, name)
            except FileNotFoundError:
                continue


def open_doors(root: Path) -> Doors:
    """Opens the store at `root` (the `.onyx` itself); StoreNotFound, FormatTooNew or CorruptFile."""
    layout = Layout(root.absolute())
    check_format(layout)
    return Doors(layout, ObjectStore(layout), Refs(layout), Trash(layout), read_settings(layout.settings))
