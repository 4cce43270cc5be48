"""Bytes that must be nowhere any more: purge's storage half, which knows addresses and no commits.

A sweep leaves a pack that is mostly live, and gives the trash what may be missed. Here neither is wanted: what is named goes from loose
objects, packs, the trash and what crashes left. All of it under the store's lock, so that nobody is writing objects meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Set as AbstractSet
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.disk.objects import ObjectStore
from onyxstore.disk.packs.format import SUFFIX
from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.sweep import PackSweep, SweepPlan
from onyxstore.disk.trash import Trash
from onyxstore.errors import CorruptFile
from onyxstore.hashing import Address

_ZSTD = b"\x28\xb5\x2f\xfd"
"""How every object and pack begins, and no file of lines."""


def plan_purge(objects: ObjectStore, layout: Layout, purged: AbstractSet[Address]) -> SweepPlan:
    """What has to be done so that neither an object's file nor a pack, however little of it they are, holds what is purged."""
    gone = tuple((address, files.file_size(layout.object(address))) for address in sorted(purged) if objects.has(address))
    packs = []
    for pack in objects.packs():
        held = {row.address: row.stored for row in pack.table}
        keep = frozenset(held.keys() - purged)
        if len(keep) < len(held):
            freed = sum(size for address, size in held.items() if address in purged)
            packs.append(PackSweep(pack.name, keep, freed if keep else files.file_size(pack.path), to_trash=False))
    return SweepPlan(packs=tuple(packs), gone=gone)


def purge_trash(trash: Trash, purged: AbstractSet[Address]) -> int:
    """Removes from the trash the objects that are purged, and every pack that holds one, or cannot be read; the bytes that this freed."""
    freed = 0
    for batch in trash.batches():
        for relative in batch.paths:
            path = trash.folder(batch) / relative
            kind, _, name = relative.partition("/")
            goes = kind == "objects" and name.replace("/", "") in purged
            if goes or (kind == "packs" and name.endswith(SUFFIX) and _holds_any(path, purged)):
                with contextlib.suppress(FileNotFoundError):
                    freed += files.file_size(path)
                files.remove(path)
                files.sync_folder(path.parent)
    return freed


def purge_staged(layout: Layout) -> None:
    """Removes what crashes left of objects and packs in `tmp/`: nobody writes any now. Other files there are being replaced this moment."""
    for path in files.walk_files(layout.tmp):
        with contextlib.suppress(FileNotFoundError):
            fd = files.open_read(path)
            try:
                begins = files.read_at(fd, 0, len(_ZSTD))
            finally:
                files.close(fd)
            if begins == _ZSTD:
                files.remove(path)
    files.sync_folder(layout.tmp)


def _holds_any(path: Path, purged: AbstractSet[Address]) -> bool:
    try:
        pack = Pack.open(path)
    except FileNotFoundError:
        return False
    except CorruptFile:
        return True
    held = {row.address for row in pack.table}
    pack.close()
    return not purged.isdisjoint(held)
