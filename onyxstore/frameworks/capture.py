"""From live objects to a neutral tree: what is saved is what was there at the call.

The containers are copied, every tensor's elements are copied into host memory in one go, and the tree holds nothing of the
original any more: what training writes afterwards does not show. Only then may anything take its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from onyxstore.frameworks.contract import Dense, Memory, find_framework, get_framework
from onyxstore.frameworks.sharing import Sharing, find_sharing, memory_order
from onyxstore.history.checkpoints.tensors import Leaf, Special, View
from onyxstore.history.checkpoints.walk import Path, map_tree, no_encoding

ALIGNMENT = 64
"""A cache line, and the widest vector register: tensors begin at multiples of it."""

Take = Callable[[int, bool], Memory]
"""Gives memory of so many bytes; page-locked when the bool says so."""


def new_memory(size: int, pinned: bool = False) -> Memory:  # noqa: FBT001, FBT002, ARG001 (a Take)
    """Fresh memory: for states that are small, or saved once."""
    import numpy as np  # noqa: PLC0415 (60 ms, and `import onyxstore` loads none)

    array = np.empty(size + ALIGNMENT, np.uint8)
    start = -array.ctypes.data % ALIGNMENT
    return Memory(array[start : start + size])


def capture_tree(value: object, take: Take = new_memory) -> Any:
    """A neutral copy of `value`: containers and scalars, tensors and arrays of every framework in the table, and neutral nodes.

    `take` gives the memory for the elements; the tree is valid as long as that is. CannotEncode names what cannot be stored.
    """
    denses: list[Dense] = []

    def describe(found: Any, path: Path) -> Any:
        if isinstance(found, Leaf | View):
            return found
        node = found if isinstance(found, Special) else _describe(found, path)
        if isinstance(node, Special):
            return Special(node.kind, map_tree(node.value, describe, path))
        denses.append(node)
        return node

    described = map_tree(value, describe)
    sharing = find_sharing(denses)
    leaves = copy_all(sharing.copies, take)
    nodes = {id(dense): _node(dense, sharing, leaves) for dense in denses}

    def settle(node: Any, path: Path) -> Any:
        if isinstance(node, Special):
            return Special(node.kind, map_tree(node.value, settle, path))
        return nodes[id(node)] if isinstance(node, Dense) else node

    return map_tree(described, settle)


def _describe(found: Any, path: Path) -> Dense | Special:
    framework = find_framework(type(found))
    if framework is None:
        raise no_encoding(found, path, "; hand in its getstate()" if isinstance(found, Random) else "")
    return framework.describe(found, path)


def copy_all(denses: Sequence[Dense], take: Take) -> list[Leaf]:
    """The tensors' elements in memory that `take` gives, one request for each framework and kind of memory."""
    leaves: dict[int, Leaf] = {}
    groups: dict[tuple[str, bool], list[Dense]] = {}
    for dense in denses:
        groups.setdefault((dense.framework, dense.device.startswith("cuda")), []).append(dense)
    for (framework, pinned), group in groups.items():
        offsets, total = _places(group)
        memory = take(total, pinned)
        get_framework(framework).copy_all(group, memory, offsets)
        window = memoryview(memory.array).toreadonly()
        for dense, offset in zip(group, offsets, strict=True):
            leaves[id(dense)] = Leaf(dense.dtype, dense.shape, window[offset : offset + dense.size], dense.kind, memory_order(dense))
    return [leaves[id(dense)] for dense in denses]


def _places(denses: Sequence[Dense]) -> tuple[list[int], int]:
    """An aligned offset for each tensor, and the size of all."""
    offsets = []
    end = 0
    for dense in denses:
        offsets.append(end)
        end += -(-dense.size // ALIGNMENT) * ALIGNMENT
    return offsets, end


def _node(dense: Dense, sharing: Sharing, leaves: Sequence[Leaf]) -> Leaf | View:
    number, is_view = sharing.places[id(dense)]
    if not is_view:
        return leaves[number]
    offset = dense.address - sharing.copies[number].address
    return View(leaves[number], dense.dtype, dense.shape, dense.strides, offset, dense.kind)
