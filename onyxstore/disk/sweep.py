"""Freeing space: gc's storage half, which knows addresses and no commits.

What is live is handed in. A pack with no live chunk goes; one whose dead share is worth it is rewritten, its live chunks' frames
copied as they are; one with a little dead weight stays. What was given up on purpose (`dropped`: by retention, or a removed run that
has had its grace) is removed at once; anything else that nothing refers to is set aside in the trash, since a crash or a mistake may
have left it.

A plan speaks of the moment in which the store's lock was held; executing it is safe only under the same hold.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.disk.objects import ObjectStore
from onyxstore.disk.packs.format import SUFFIX
from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.packs.repack import repack
from onyxstore.disk.trash import Trash
from onyxstore.disk.workers import default_threads
from onyxstore.errors import CorruptObject, DiskFull
from onyxstore.hashing import Address

REWRITE_SHARE = 0.2
"""Dead share of a pack from which on it is rewritten: below it, more than four bytes are copied to free one."""

LEFT_BEHIND = 3600 * 10**9
"""Nanoseconds after which a file in `tmp/` was left by a crash: refs and states stay there for milliseconds."""


@dataclass(frozen=True)
class PackSweep:
    """What happens to a pack: `keep` are its live chunks (empty: it goes whole), `freed` the bytes that this frees."""

    name: str
    keep: frozenset[Address]
    freed: int
    to_trash: bool


@dataclass(frozen=True)
class SweepPlan:
    """Objects and packs that go, with the bytes that each frees: `loose` objects to the trash, `gone` ones at once."""

    loose: tuple[tuple[Address, int], ...] = ()
    packs: tuple[PackSweep, ...] = ()
    staged: tuple[Path, ...] = ()
    gone: tuple[tuple[Address, int], ...] = ()

    @property
    def freed(self) -> int:
        """Bytes that leave `objects/` and `packs/`, those that go to the trash included."""
        return sum(size for _, size in (*self.loose, *self.gone)) + sum(pack.freed for pack in self.packs)

    @property
    def to_trash(self) -> int:
        """Bytes of `freed` that are set aside first."""
        return sum(size for _, size in self.loose) + sum(pack.freed for pack in self.packs if pack.to_trash)


def plan_sweep(
    objects: ObjectStore, layout: Layout, live: AbstractSet[Address], live_chunks: AbstractSet[Address], dropped: AbstractSet[Address]
) -> SweepPlan:
    """What can go, given what is live; whatever cannot be read stays."""
    dead = [(address, _size(layout.object(address))) for address in objects.loose.addresses() if address not in live]
    loose = tuple(each for each in dead if each[0] not in dropped)
    gone = tuple(each for each in dead if each[0] in dropped)
    packs = tuple(sweep for pack in objects.packs() if (sweep := _plan_pack(pack, live_chunks, dropped)) is not None)
    # Under the store's lock nobody is staging a commit; what lies in tmp/ was left by a crash, but for metric and state files
    # that are being replaced at this moment, which are young.
    left = list(files.walk_files(layout.tmp))
    now = files.clock(layout.tmp) if left else 0
    staged = tuple(path for path in left if now - _modified(path, now) > LEFT_BEHIND)
    return SweepPlan(loose, packs, staged, gone)


def execute_sweep(plan: SweepPlan, objects: ObjectStore, layout: Layout, trash: Trash) -> SweepPlan:
    """Carries the plan out, and says how much of it: live chunks are on disk in their new pack before the old one goes.

    What needs no room comes first, so that a full disk has some for the rest. A pack that still cannot be rewritten, or in which a
    live chunk is damaged, stays as it is.
    """
    for path in plan.staged:
        files.remove(path)
    batch: Path | None = None
    done = []
    for sweep in sorted(plan.packs, key=lambda each: (bool(each.keep), each.to_trash)):
        if sweep.keep and not _copy_live(objects, sweep, layout):
            continue
        path = layout.packs / f"{sweep.name}{SUFFIX}"
        if sweep.to_trash:
            batch = batch or trash.open_batch()
            trash.set_aside(batch, path)
        else:
            files.remove(path)
        done.append(sweep)
    for address, _ in plan.loose:
        batch = batch or trash.open_batch()
        trash.set_aside(batch, layout.object(address))
    for address, _ in plan.gone:
        files.remove(layout.object(address))
    for folder in {layout.object(address).parent for address, _ in plan.gone}:
        files.sync_folder(folder)
    files.sync_folder(layout.packs)
    objects.refresh()
    return replace(plan, packs=tuple(done))


def _copy_live(objects: ObjectStore, sweep: PackSweep, layout: Layout) -> bool:
    """Writes the live chunks of a pack into another; False when that cannot be done."""
    pack = objects.pack(sweep.name)
    rows = [number for number, row in enumerate(pack.table) if row.address in sweep.keep]
    for is_last in (False, True):
        try:
            repack([(pack, rows)], layout.packs, layout.tmp, default_threads())
        except CorruptObject:
            return False
        except DiskFull:
            if is_last:
                return False
            # Packs that were removed are still open here, and take their room until the index lets go of them.
            objects.refresh()
        else:
            break
    return True


def _plan_pack(pack: Pack, live: AbstractSet[Address], dropped: AbstractSet[Address]) -> PackSweep | None:
    sizes = {row.address: row.stored for row in pack.table}
    keep = frozenset(address for address in sizes if address in live)
    dead = {address: size for address, size in sizes.items() if address not in keep}
    freed = sum(dead.values())
    if not dead or (keep and freed < REWRITE_SHARE * sum(sizes.values())):
        return None
    return PackSweep(pack.name, keep, freed if keep else _size(pack.path), to_trash=not dropped >= dead.keys())


def _size(path: Path) -> int:
    """Bytes of a file; none when somebody else's sweep took it while this plan, without the lock, was only looked at."""
    try:
        return files.file_size(path)
    except FileNotFoundError:
        return 0


def _modified(path: Path, now: int) -> int:
    """When a file was written last; now, when it has just got its place."""
    try:
        return files.modified(path)
    except FileNotFoundError:
        return now
