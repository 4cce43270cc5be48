"""How large a checkpoint is, by part: model, optimizer and so on, then rng and tracked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onyxstore.canonical import TAG
from onyxstore.disk.objects import ObjectStore
from onyxstore.history.checkpoints.manifest import StoredTensor, TreeObject
from onyxstore.history.checkpoints.tree import Tagged
from onyxstore.history.checkpoints.tree_decoding import split_parts

STATE = "state"


@dataclass(frozen=True)
class PartSize:
    """A part of a checkpoint: its tensors, their raw bytes, and the bytes that their chunks take in packs.

    A chunk is counted once in a part, and in each part that has it, whoever else shares it. `stored` is None when one is gone.
    """

    part: str
    tensors: int
    raw: int
    stored: int | None


def part_sizes(objects: ObjectStore, trees: Mapping[str, TreeObject]) -> list[PartSize]:
    """The parts of a checkpoint's trees: those of `state` each, parts without a tensor too; the other trees whole.

    Tensors on the first level, as in a flat dict of a file's tensors, are one part together: `state`.
    """
    parts: dict[str, list[StoredTensor]] = {}
    for name, tree in trees.items():
        first_level = split_parts(tree.tree) if name == STATE else {}
        parts |= {str(part): [] for part, tagged in first_level.items() if not _is_tensor(tagged)}
        for tensor in tree.tensors:
            parts.setdefault(str(tensor.path[0]) if name == STATE and len(tensor.path) > 1 else name, []).append(tensor)
    return [_measure(objects, part, tensors) for part, tensors in parts.items()]


def _is_tensor(tagged: Tagged) -> bool:
    return type(tagged) is dict and tagged.get(TAG) == "tensor"


def _measure(objects: ObjectStore, part: str, tensors: Sequence[StoredTensor]) -> PartSize:
    chunks = {chunk for tensor in tensors for chunk in tensor.chunks}
    stored = [size for chunk in chunks if (size := objects.find_stored_size(chunk)) is not None]
    return PartSize(part, len(tensors), sum(tensor.size for tensor in tensors), sum(stored) if len(stored) == len(chunks) else None)
