"""Restoring a run from its newest whole checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onyxstore.errors import Damage, NotHere
from onyxstore.frameworks.loading import LoadReport
from onyxstore.hashing import Address
from onyxstore.history.commits import CommitRecord
from onyxstore.store.checkpoints import Checkpoint
from onyxstore.store.doors import Doors

_log = logging.getLogger("onyxstore")


@dataclass(frozen=True)
class Restored:
    """Where a run goes on from, and the states of the objects that it tracked, as a neutral tree."""

    step: int | None
    epoch: float | int | None
    tracked: dict[str, Any]


def restore_newest(doors: Doors, line: Iterable[tuple[Address, CommitRecord]], live: Mapping[str, Any]) -> Restored | None:
    """Loads the newest checkpoint of `line` (newest first) that is whole into `live`, RNG states with it; None when there is none.

    A damaged one is passed over, and that is said; LoadMismatch is raised, since an older checkpoint would not fit either.
    """
    tried = set()
    for address, record in line:
        entry = record.checkpoint
        if entry is None or entry.manifest in tried:
            continue
        tried.add(entry.manifest)
        checkpoint = Checkpoint(doors, entry, address)
        try:
            tracked = checkpoint.read_tracked()
            report = checkpoint.load_into(**live, rng=True)
        except (Damage, NotHere) as error:
            _log.warning("run '%s': its checkpoint at step %s cannot be read (%s); trying an older one", record.run, entry.step, error)
            continue
        if report != LoadReport():
            _log.warning("run '%s': restored but for %s", record.run, "; ".join(str(report).splitlines()))
        return Restored(entry.step, entry.epoch, tracked)
    return None
