"""From a neutral tree to live objects: what was handed in, tied where it was tied."""

from __future__ import annotations

import ctypes
from typing import Any

from onyxstore.frameworks.contract import get_framework
from onyxstore.history.checkpoints.tensors import Leaf, Special, View
from onyxstore.history.checkpoints.walk import Path, map_tree

_ALIGNMENT = 16
"""The widest element; a tensor at an odd address works, slowly, and not on every processor."""


def restore_tree(tree: object, *, copy: bool = False) -> Any:
    """The live objects of a neutral tree: tensors on the CPU, arrays, values of their frameworks; the same object where it was one.

    Tensors lie on the leaves' own bytes where those can be written, and are then the tree's: a tree is restored once, or with
    `copy`, after which nothing that is restored shares memory with the tree. BadInput when a framework is not installed, or too
    old for a value.
    """
    return _Restorer(copy=copy).restore(tree)


class _Restorer:
    """What was restored so far: a leaf's bytes once, and a node's object once."""

    def __init__(self, *, copy: bool) -> None:
        self.copy = copy
        self.buffers: dict[Leaf, memoryview] = {}
        self.objects: dict[Leaf | View, Any] = {}

    def restore(self, tree: object) -> Any:
        return map_tree(tree, self.change)

    def change(self, node: Any, _: Path) -> Any:
        if isinstance(node, Special):
            return get_framework(node.kind).restore_special(node.kind, self.restore(node.value))
        if not isinstance(node, Leaf | View):
            return node
        if node not in self.objects:
            self.objects[node] = self.dense(node)
        return self.objects[node]

    def dense(self, node: Leaf | View) -> Any:
        framework = get_framework(node.kind)
        if isinstance(node, Leaf):
            return framework.restore_leaf(node, self.buffer(node))
        return framework.restore_view(node, self.buffer(node.base))

    def buffer(self, leaf: Leaf) -> memoryview:
        if leaf not in self.buffers:
            data = memoryview(leaf.data).cast("B")
            if self.copy or data.readonly or (data.nbytes and _address(data) % _ALIGNMENT):
                data = memoryview(bytearray(data))
            self.buffers[leaf] = data
        return self.buffers[leaf]


def _address(data: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(data))
