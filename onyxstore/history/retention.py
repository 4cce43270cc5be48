"""Which checkpoints a run keeps.

The newest `max_checkpoints` manifests of a run stay, and besides them whatever is protected: `best`, `latest`, what a tag names,
what a fork starts from. It counts manifests, not commits, since commits without a new checkpoint carry their parent's. What is
dropped is *pruned*: its commits, configs, metrics and manifest stay, marked in `runs/RUN/pruned`; its chunks may go.

    runs/RUN/pruned     checked lines, append-only: {"manifest": address, "time": ns, "pruned": true | false, "stored": bytes}

The last line about a manifest counts: one that was pruned and is saved again is marked with false. Marks that come before a damaged
line don't count, since that line may have taken them back: what is in doubt is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from onyxstore.canonical import read_canonical
from onyxstore.disk.linefile import append_values, read_log
from onyxstore.hashing import Address, parse_address


@dataclass(frozen=True)
class RetentionPlan:
    """Manifests by what happens to them: kept ones with the reason, and those to prune, oldest first."""

    kept: Mapping[Address, str]
    pruned: tuple[Address, ...]


def plan_retention(manifests: Sequence[Address], max_checkpoints: int | None, protected: Mapping[Address, str]) -> RetentionPlan:
    """What a run keeps of `manifests` (newest first, repeats allowed); `protected` maps those that always stay to the reason."""
    distinct = list(dict.fromkeys(manifests))
    newest = len(distinct) if max_checkpoints is None else max_checkpoints
    kept = dict.fromkeys(distinct[:newest], f"among the newest {newest}")
    kept.update((manifest, protected[manifest]) for manifest in distinct if manifest in protected)
    return RetentionPlan(kept, tuple(manifest for manifest in reversed(distinct) if manifest not in kept))


@dataclass(frozen=True)
class PruneMark:
    """A line of `pruned`: `stored` are the bytes that saving the checkpoint had added to the store."""

    manifest: Address
    time: int
    pruned: bool
    stored: int


def read_marks(run_folder: Path) -> list[PruneMark]:
    """Every mark of a run, oldest first."""
    return [mark for payload in read_log(run_folder / "pruned").payloads if (mark := _decode(payload)) is not None]


def read_pruned(run_folder: Path) -> set[Address]:
    """The run's manifests that are marked as pruned: the last mark of each counts, if it comes after all damage."""
    lines = read_log(run_folder / "pruned")
    # What looks torn may be a whole line that lost its newline; the next append cuts it, and then the marks count again.
    doubtful = len(lines.payloads) if lines.torn else lines.doubtful
    marks = (_decode(payload) for payload in lines.payloads[doubtful:])
    last = {mark.manifest: mark.pruned for mark in marks if mark is not None}
    return {manifest for manifest, pruned in last.items() if pruned}


def append_marks(run_folder: Path, marks: Iterable[PruneMark]) -> None:
    """Adds marks; on disk when this returns."""
    append_values(run_folder / "pruned", [asdict(mark) for mark in marks])


def _decode(payload: bytes) -> PruneMark | None:
    try:
        value = read_canonical(payload)
        mark = PruneMark(parse_address(value["manifest"]), value["time"], value["pruned"], value["stored"])
    except (TypeError, KeyError, ValueError):
        return None
    return mark if type(mark.time) is type(mark.stored) is int and type(mark.pruned) is bool else None
