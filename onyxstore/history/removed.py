"""How a run was set aside: what it takes to bring it back.

    runs/RUN/removed    one checked line: {"call": id, "refs": {"best": ref or null, "latest": ref or null}, "time": ns}

It is written into the run's folder, then the folder goes to the trash as a whole, and only then its refs: what they held stands here.
In the folder of a run that is not in the trash it says nothing: a crash left it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onyxstore.disk.layout import Layout
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.disk.refs import BEST, LATEST, Ref, is_ref
from onyxstore.errors import CorruptFile
from onyxstore.hashing import Address

REMOVED = "removed"


@dataclass(frozen=True)
class Removed:
    """When (ns), by which call, and what the run's refs held, by LATEST and BEST; None where there was none."""

    time: int
    call: str
    refs: Mapping[str, Ref | None]

    def commit(self, which: str) -> Address | None:
        """The commit that one of the run's refs named."""
        ref = self.refs[which]
        return Address(ref["commit"]) if ref is not None else None


def write_removed(layout: Layout, run_folder: Path, removed: Removed) -> None:
    """Writes it into the run's folder; on disk when this returns."""
    replace_value(layout.tmp, run_folder / REMOVED, asdict(removed))


def read_removed(run_folder: Path) -> Removed:
    """What stands in a run's folder; FileNotFoundError, CorruptFile."""
    path = run_folder / REMOVED
    removed = _decode(read_value(path))
    if removed is None:
        raise CorruptFile(str(path), "it does not say how a run was set aside")
    return removed


def _decode(value: Any) -> Removed | None:
    try:
        removed = Removed(value["time"], value["call"], value["refs"])
        is_sound = set(value) == {"call", "refs", "time"} and set(removed.refs) == {BEST, LATEST}
        named = [ref for ref in removed.refs.values() if ref is not None]
    except (TypeError, KeyError, AttributeError):
        return None
    commits = all(is_ref(ref) and "commit" in ref for ref in named)
    return removed if is_sound and commits and type(removed.time) is int and type(removed.call) is str else None
