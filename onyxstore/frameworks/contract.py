"""What a framework's module does, and what it says of a tensor.

A new framework is a module with these functions and a line in `onyxstore.frameworks.FRAMEWORKS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

from onyxstore.errors import BadInput
from onyxstore.frameworks import FRAMEWORKS
from onyxstore.history.checkpoints.tensors import Leaf, Special, View
from onyxstore.history.checkpoints.walk import Path


@dataclass(eq=False)
class Dense:
    """A live tensor as it lies in memory: `strides` and `size` count bytes, `address` is that of its first element on `device`.

    `packed` says that the elements lie in C order without gaps.

    `source` is what the framework copies from. A Dense cannot be hashed, so that a tensor is never taken for a key.
    """

    framework: str
    source: Any
    device: str
    address: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    size: int
    packed: bool
    kind: str

    __hash__ = None  # type: ignore[assignment]


@dataclass(eq=False)
class Memory:
    """Host memory that a state is copied into: a numpy array of bytes, at an address that is a multiple of 64.

    `targets` is the framework's own: memory that is used again for the same tensors needs no new ones.
    """

    array: Any
    targets: dict[Any, Any] = field(default_factory=dict)


class Framework(Protocol):
    """The functions of a framework's module."""

    def describe(self, value: Any, path: Path) -> Dense | Special:
        """A live object as a Dense, or as a Special whose value may hold live objects; CannotEncode for any other."""

    def span(self, dense: Dense, start: int, end: int, pad: int) -> Dense:
        """A row of uint8: `pad` zeros, then the memory from one address to another, on the device and in the storage of `dense`."""

    def copy_all(self, denses: Sequence[Dense], memory: Memory, offsets: Sequence[int]) -> None:
        """Copy each tensor's elements to its offset, in C order; all of it has happened when this returns."""

    def restore_leaf(self, leaf: Leaf, buffer: memoryview) -> Any:
        """The live tensor of `leaf`, whose bytes are in `buffer`: on them where the layout allows."""

    def restore_view(self, view: View, buffer: memoryview) -> Any:
        """The live tensor that looks at `buffer`, the bytes of the view's base."""

    def restore_special(self, kind: str, value: Any) -> Any:
        """The live value of a Special; what is in `value` is live already. BadInput for one that this release lacks."""


def find_framework(kind: type) -> Framework | None:
    """The framework that a type belongs to or derives from."""
    if kind not in _ROOTS:
        roots = (base.__module__.partition(".")[0] for base in kind.__mro__)
        _ROOTS[kind] = next((root for root in roots if root in FRAMEWORKS), None)
    root = _ROOTS[kind]
    return None if root is None else _load(root)


def get_framework(kind: str) -> Framework:
    """The framework of a node by its kind (`torch.tensor`); BadInput when it is not installed."""
    root = kind.partition(".")[0]
    if root not in FRAMEWORKS:
        raise BadInput(f"no framework is called '{root}'")
    try:
        return _load(root)
    except ModuleNotFoundError as error:
        if error.name != root:
            raise
        raise BadInput(f"the state holds objects of {root}, which is not installed; 'pip install onyxstore[{root}]' brings it") from None


_ROOTS: dict[type, str | None] = {}
"""Of every type that was met; a state has hundreds of objects of two or three types."""


def _load(root: str) -> Framework:
    return cast("Framework", import_module(FRAMEWORKS[root]))
