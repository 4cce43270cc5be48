"""What differs between the tensors of two checkpoints.

Tensors are matched by their path; a checkpoint without a `model`, as a file of tensors is one, is taken for the model of one that has
it. Two with the same chunks are the same, which costs no reading. The others are read side by side, a window at a time, on threads; a
chunk that both have is read once. The states of random generators are left out unless they are asked for: that they differ says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from onyxstore.disk.workers import default_threads, run_jobs
from onyxstore.errors import UnknownName
from onyxstore.history.checkpoints.compare import Comparison, are_comparable, compare
from onyxstore.history.checkpoints.manifest import TreeObject
from onyxstore.history.checkpoints.tree_decoding import split_parts
from onyxstore.history.checkpoints.walk import Path, print_path
from onyxstore.names import near
from onyxstore.store.checkpoints import Checkpoint
from onyxstore.store.windows import Place, Reused, list_places, windows

MODEL = "model"

STATE = "state"
"""The part of tensors that stand on the first level."""

OTHERS = ("rng", "tracked")
"""Trees of their own, beside the state."""


@dataclass(frozen=True)
class TensorForm:
    """What a tensor is: its dtype by torch's name, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorChange:
    """A tensor that differs: its form on each side (None where it is not there), its figures where both have as many values."""

    path: str
    kind: Literal["added", "removed", "changed"]
    old: TensorForm | None
    new: TensorForm | None
    figures: Comparison | None = None

    @property
    def norm(self) -> float:
        """What changes are sorted by: the norm of the difference as a part of the old one's; without figures beyond all."""
        norm = self.figures.norm if self.figures else math.inf
        return math.inf if norm is None else norm


@dataclass(frozen=True)
class TensorDifference:
    """The tensors that differ, those that changed most first, and how many are the same."""

    changes: tuple[TensorChange, ...]
    same: int

    def __bool__(self) -> bool:
        """Whether any differs."""
        return bool(self.changes)


Side = tuple[Checkpoint, Place]

_before, _after = Reused(), Reused()


def tensor_difference(old: Checkpoint | None, new: Checkpoint | None, part: str | None = None) -> TensorDifference:
    """The differences of all tensors of the state, or of one part. CheckpointPruned, CorruptObject; UnknownName for a part of neither."""
    has_model = any(side is not None and MODEL in split_parts(side.state_tree.tree) for side in (old, new))
    before, after = (_places(side, has_model=has_model) if side is not None else {} for side in (old, new))
    known = {_part(path): None for path in (*before, *after)}
    if part is not None and part not in known:
        raise UnknownName("part", part, "this pair of checkpoints", near(part, known))
    chosen = [path for path in {**before, **after} if (_part(path) == part if part else _part(path) not in OTHERS)]
    same = [path for path in chosen if path in before and path in after and before[path][1] == after[path][1]]
    apart = [path for path in chosen if path not in set(same)]
    found = _compare_all({path: (before[path], after[path]) for path in apart if path in before and path in after})
    changes = [_change(path, before.get(path), after.get(path), found.get(path)) for path in apart]
    return TensorDifference(tuple(sorted(changes, key=lambda change: (-change.norm, change.kind, change.path))), len(same))


def _places(checkpoint: Checkpoint, *, has_model: bool) -> dict[Path, Side]:
    """The tensors of a checkpoint by a path that begins with their part."""
    trees: dict[Path, TreeObject] = {(name,): tree for name, tree in checkpoint.other_trees().items()}
    is_model = has_model and MODEL not in split_parts(checkpoint.state_tree.tree)
    trees[(MODEL,) if is_model else ()] = checkpoint.state_tree
    return {(*prefix, *path): (checkpoint, place) for prefix, tree in trees.items() for path, place in list_places(tree).items()}


def _part(path: Path) -> str:
    return str(path[0]) if len(path) > 1 else STATE


def _change(path: Path, old: Side | None, new: Side | None, figures: Comparison | None) -> TensorChange:
    kind: Literal["added", "removed", "changed"] = "added" if old is None else "removed" if new is None else "changed"
    return TensorChange(print_path(path), kind, _form(old), _form(new), figures)


def _form(side: Side | None) -> TensorForm | None:
    return None if side is None else TensorForm(side[1].dtype, side[1].shape)


def _compare_all(pairs: Mapping[Path, tuple[Side, Side]]) -> dict[Path, Comparison]:
    """The figures of every pair that has any; tensors that are tied on both sides are read once."""
    distinct = {(old[1], new[1]): (old, new) for old, new in pairs.values() if _are_comparable(old[1], new[1])}
    totals = dict.fromkeys(distinct, Comparison())

    def jobs() -> Iterator[Callable[[], tuple[tuple[Place, Place], Comparison]]]:
        for key, (old, new) in distinct.items():
            for start, stop in windows(old[1], max(old[1].window, new[1].window)):
                yield partial(lambda key, *rest: (key, _compare_window(*rest)), key, old, new, start, stop)

    for key, found in run_jobs(jobs(), default_threads()):
        totals[key] += found
    return {path: totals[old[1], new[1]] for path, (old, new) in pairs.items() if (old[1], new[1]) in totals}


def _are_comparable(old: Place, new: Place) -> bool:
    return old.shape == new.shape and are_comparable(old.dtype, new.dtype)


def _compare_window(old: Side, new: Side, start: int, stop: int) -> Comparison:
    before = old[0].read_window(old[1], start, stop, _before)
    after = before if _is_one_chunk(old[1], new[1], start) else new[0].read_window(new[1], start, stop, _after)
    return compare(old[1].dtype, before, new[1].dtype, after)


def _is_one_chunk(old: Place, new: Place, start: int) -> bool:
    """Whether the window that begins at `start` is a chunk that both have: tensors that are whole, and cut alike."""
    alike = all((place.offset, place.strides, place.size) == (0, None, place.stored) for place in (old, new))
    if not alike or (old.dtype, old.chunk_bytes) != (new.dtype, new.chunk_bytes):
        return False
    return old.chunks[start // old.window] == new.chunks[start // new.window]
