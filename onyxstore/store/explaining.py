"""Why a gc keeps each checkpoint or drops it, and what that costs.

The reasons are retention's own (`retaining.py`). A checkpoint's *unique* bytes are those of chunks that no other checkpoint needs, be it
kept or dropped: so much less there would be without it alone. Two that share what nobody else has are freed only together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onyxstore.disk.locks import is_locked
from onyxstore.errors import OnyxError
from onyxstore.hashing import Address
from onyxstore.history.checkpoints.manifest import scan_addresses
from onyxstore.history.runs import RunState
from onyxstore.store.doors import Doors
from onyxstore.store.marking import mark_names
from onyxstore.store.retaining import protected_manifests, run_retention
from onyxstore.store.trees import read_manifest
from onyxstore.store.usage import Tally


@dataclass(frozen=True)
class Verdict:
    """What becomes of a checkpoint: its run, the commit that saved it, whether it is kept, why, and the bytes stored for it."""

    run: str
    step: int | None
    commit: Address
    manifest: Address
    is_kept: bool
    reason: str
    stored: int
    unique: int


def explain(doors: Doors) -> tuple[Verdict, ...]:
    """A verdict on every checkpoint that a run still has, run by run, the newest first.

    None at all where it cannot be known what protects what; what is damaged counts no bytes.
    """
    sizes = doors.objects.stored_sizes()
    tally = Tally(sizes)
    for manifest in sorted(mark_names(doors).kept):
        tally.add(manifest, sizes.keys() & _scan(doors, manifest))
    try:
        protected = protected_manifests(doors)
        return tuple(verdict for state in doors.states() for verdict in _verdicts(doors, state, protected, tally))
    except OnyxError:  # the plan, which reads the same, says what it is
        return ()


def is_live(doors: Doors, state: RunState) -> bool:
    """Whether a process writes the run at this moment: then its own saver prunes it."""
    return state.status == "running" or is_locked(doors.layout.run(state.name) / "lock")


def _verdicts(doors: Doors, state: RunState, protected: Mapping[Address, str], tally: Tally) -> Iterator[Verdict]:
    found = run_retention(doors, state, protected)
    spares = is_live(doors, state)
    otherwise = "its run is live, and prunes by itself" if spares else "older than those that the run keeps"
    for manifest, commit in found.commits.items():
        step, is_kept = doors.commit(commit).step, spares or manifest in found.plan.kept
        reason = found.plan.kept.get(manifest, otherwise)
        yield Verdict(found.run, step, commit, manifest, is_kept, reason, tally.stored[manifest], tally.unique[manifest])


def _scan(doors: Doors, manifest: Address) -> set[Address]:
    """The chunks of a checkpoint, among other things."""
    try:
        return {each for tree in read_manifest(doors.objects, manifest).trees() for each in scan_addresses(doors.objects.get(tree))}
    except OnyxError:
        return set()
