"""What was set aside, until its grace has passed.

`trash/NANOSECONDS/PATH` holds a file or folder that lay at `PATH` in the store; the number is when, by the clock of the machine
that holds the files. Setting aside is a rename, so it needs no room, and restoring is one too.

A run's folder has its lock in it, also here: who sets a run aside or takes it back holds that, and nobody empties it meanwhile.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.disk.locks import try_lock_there
from onyxstore.errors import NameTaken

_DAY = 86_400 * 10**9
_BATCH = re.compile(r"[1-9][0-9]{0,24}")
_RUN_FILE = re.compile(r"runs/[^/]+/(lock|state)")


@dataclass(frozen=True)
class Discarded:
    """A batch in the trash: when it was set aside (ns), and the paths in it, relative to the store."""

    time: int
    paths: tuple[str, ...]


class Trash:
    """The folder `trash/` of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def open_batch(self) -> Path:
        """A new folder to set things aside in; a caller opens it when it has something, since a full disk may have no room for one."""
        now = files.clock(self._layout.tmp)
        while files.exists(folder := self._layout.trash / str(now)):
            now += 1
        files.make_folder(folder)
        return folder

    def set_aside(self, batch: Path, path: Path) -> None:
        """Moves a file or folder of the store into a batch; nothing when it is gone already."""
        if not files.exists(path):
            return
        with contextlib.suppress(FileNotFoundError):
            files.rename(path, batch / path.relative_to(self._layout.root))

    def batches(self) -> Iterator[Discarded]:
        """What the trash holds, oldest first."""
        for name in sorted((name for name in files.list_folder(self._layout.trash) if _BATCH.fullmatch(name)), key=int):
            folder = self._layout.trash / name
            yield Discarded(int(name), tuple(str(path.relative_to(folder)) for path in files.walk_files(folder)))

    def restore(self, batch: Discarded) -> None:
        """Moves all of a batch back; NameTaken, and nothing moved, when something lies there again.

        An object or pack that lies there again has the same bytes; the one in the trash goes.
        """
        folder = self.folder(batch)
        files.refuse_link(folder)
        taken = {relative for relative in batch.paths if files.exists(self._layout.root / relative)}
        for relative in sorted(taken):
            if not relative.startswith(("objects/", "packs/")):
                raise NameTaken("file in the store", relative)
        for relative in batch.paths:
            if relative not in taken:
                files.rename(folder / relative, self._layout.root / relative)
        files.remove_folder(folder)

    def older(self, days: float) -> list[Discarded]:
        """What was set aside longer ago than that."""
        found = list(self.batches())
        # With a full disk nothing can be staged to read the clock by, and then nothing is spared either.
        limit = files.clock(self._layout.tmp) - days * _DAY if days > 0 and found else None
        return [batch for batch in found if limit is None or batch.time <= limit]

    def expired(self, older_than_days: float) -> int:
        """Bytes that were set aside longer ago than that."""
        return sum(self.size(batch) for batch in self.older(older_than_days))

    def empty(self, *, older_than_days: float = 0.0) -> int:
        """Removes for good what was set aside longer ago than that; the bytes that this freed."""
        return sum(self.discard(batch) for batch in self.older(older_than_days))

    def discard(self, batch: Discarded) -> int:
        """Removes a batch for good; the bytes that this freed: none while somebody sets a run aside there, or takes one back."""
        folder = self.folder(batch)
        files.refuse_link(folder)
        of_runs = [path for path in batch.paths if _RUN_FILE.fullmatch(path)]
        locks = [try_lock_there(folder / path) for path in of_runs if path.endswith("/lock")]
        try:
            if None in locks:
                return 0
            freed = self.size(batch)
            # First: what a crash leaves then is no run that could be taken back.
            for path in of_runs:
                if path.endswith("/state"):
                    files.remove(folder / path)
            files.remove_folder(folder)
        finally:
            for lock in locks:
                if lock is not None:
                    lock.release()
        return freed

    def folder(self, batch: Discarded) -> Path:
        """Where a batch lies."""
        return self._layout.trash / str(batch.time)

    def size(self, batch: Discarded) -> int:
        """Bytes of the files in a batch; of those that are gone meanwhile, none."""
        total = 0
        for path in batch.paths:
            with contextlib.suppress(FileNotFoundError):
                total += files.file_size(self.folder(batch) / path)
        return total
