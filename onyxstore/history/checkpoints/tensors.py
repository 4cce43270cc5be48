"""What a state tree holds besides Python's own values.

What training code hands in becomes a *neutral* tree: its containers, numbers and strings as they are, and in the place of every
object of a framework one of three nodes, so that nothing below this line needs torch:

    Leaf      the bytes of one tensor. The same Leaf at two places is one tensor at two places: that is how ties are kept
    View      a window onto a Leaf's bytes, for tensors that overlap without being the same
    Special   a small value of a framework (torch.Size, a dtype, a numpy scalar) or a tensor made of several (sparse)

A tensor's bytes are little-endian, row after row, without gaps; only then do equal weights have equal addresses. How the live
tensor lay in memory (`order`: channels-last, Fortran) is kept beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from onyxstore.hashing import Buffer

WIDTHS = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "uint64": 8, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex32": 4, "complex64": 8, "complex128": 16,
    "float8_e4m3fn": 1, "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1,
}  # fmt: skip
"""Bytes an element, by torch's name for the dtype; numpy's names are the same where it has the type."""

TENSOR_KINDS = frozenset({"torch.tensor", "torch.tensor.grad", "torch.parameter", "torch.parameter.frozen", "numpy.array"})
"""What a tensor was: `.grad` says requires_grad, `.frozen` a parameter without it."""

KINDS = TENSOR_KINDS | {"bytes", "bytearray", "storage"}
"""And: long byte strings, and memory that only views show."""

MAX_DIMENSIONS = 64
"""numpy's own limit; torch has the same."""

_LARGEST = 2**63


@dataclass(frozen=True, eq=False, slots=True)
class Leaf:
    """One tensor: its dtype by torch's name, its shape, its bytes, what it was, and the dimensions' order in memory.

    `order` names the dimensions from the slowest to the fastest, None where that is their own order. Two leaves are never
    equal, only identical. ValueError when the fields contradict one another.
    """

    dtype: str
    shape: tuple[int, ...]
    data: Buffer
    kind: str
    order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Check the fields against one another."""
        expected = count_bytes(self.dtype, self.shape)
        if memoryview(self.data).nbytes != expected:
            _refuse(f"{memoryview(self.data).nbytes} bytes for a tensor of {expected}")
        if self.kind not in KINDS:
            _refuse(f"unknown kind of tensor {self.kind[:40]!r}")
        if self.order is not None and sorted(self.order) != list(range(len(self.shape))):
            _refuse("an order of dimensions that is none")


@dataclass(frozen=True, slots=True)
class View:
    """A tensor that shares the bytes of `base`: strides and offset are counted in bytes. ValueError when it leaves them.

    Views of one base are equal when they see it in the same way, and are one object when they are restored.
    """

    base: Leaf
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    kind: str

    def __post_init__(self) -> None:
        """Check that every element lies inside the base."""
        count_bytes(self.dtype, self.shape)
        if self.kind not in TENSOR_KINDS or self.base.order is not None or len(self.strides) != len(self.shape):
            _refuse("a view that fits no tensor")
        lowest, highest = reach(self.shape, self.strides, WIDTHS[self.dtype])
        if self.offset + lowest < 0 or self.offset + highest > memoryview(self.base.data).nbytes:
            _refuse("a view that leaves its tensor")
        if self.kind != "numpy.array" and any(step < 0 or step % WIDTHS[self.dtype] for step in (*self.strides, self.offset)):
            _refuse("a view that torch cannot have")


@dataclass(frozen=True)
class Special:
    """A value of a framework that is no dense tensor; `kind` is one of `SPECIALS`. ValueError when the value does not fit it."""

    kind: str
    value: Any

    def __post_init__(self) -> None:
        """Check the value's form."""
        if self.kind not in SPECIALS or not SPECIALS[self.kind](self.value):
            _refuse(f"a {self.kind[:40]} that is none")


def count_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """The size of a tensor's data; ValueError for an unknown dtype or a shape that no tensor can have."""
    if dtype not in WIDTHS:
        _refuse(f"unknown dtype {dtype[:40]!r}")
    if len(shape) > MAX_DIMENSIONS or not _are_sizes(shape):
        _refuse("a shape that no tensor has")
    # The sizes without the zeros too: [0, 2**62, 2**62] has no elements and still overflows everything that reads it.
    if prod(size for size in shape if size) * WIDTHS[dtype] >= _LARGEST:
        _refuse("a shape beyond 2**63 bytes")
    return prod(shape) * WIDTHS[dtype]


def packed_strides(shape: tuple[int, ...], width: int) -> tuple[int, ...]:
    """The strides in bytes of a tensor without gaps, the last dimension fastest."""
    strides = []
    step = width
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def reach(shape: tuple[int, ...], strides: tuple[int, ...], width: int) -> tuple[int, int]:
    """Where the bytes of a strided tensor begin and end, counted from its first element; (0, 0) when it has none."""
    if 0 in shape:
        return 0, 0
    steps = [(size - 1) * step for size, step in zip(shape, strides, strict=True)]
    return sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + width


def gather(node: Leaf | View) -> Leaf:
    """`node` as a tensor of its own: a Leaf as it is, a View as a Leaf with a copy of its elements."""
    if isinstance(node, Leaf):
        return node
    import numpy as np  # noqa: PLC0415 (60 ms that only views need)

    cells = np.ndarray(node.shape, f"V{WIDTHS[node.dtype]}", memoryview(node.base.data).cast("B"), node.offset, node.strides)
    return Leaf(node.dtype, node.shape, cells.tobytes(), node.kind)


# ------------------------------------------------------------------------------------------------------ special values

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DEVICE = re.compile(r"[a-z]{1,20}(:[0-9]{1,4})?")
_NUMPY_DTYPE = re.compile(r"\|b1|[<|][iu][1248]|<f[248]|<c(8|16)|[|<][SUV][0-9]{1,9}|<[Mm]8(\[[0-9]{0,9}[A-Za-zμ]{1,7}\])?")
_SPARSE_PARTS = {
    "coo": ("indices", "values"),
    "csr": ("compressed", "plain", "values"),
    "csc": ("compressed", "plain", "values"),
    "bsr": ("compressed", "plain", "values"),
    "bsc": ("compressed", "plain", "values"),
}
_TORCH_KINDS = TENSOR_KINDS - {"numpy.array"}


def is_numpy_dtype(value: object) -> bool:
    """Whether `value` describes a numpy dtype: its `str`, or (name, dtype, shape) for each field of a structured one."""
    if type(value) is str:
        return _NUMPY_DTYPE.fullmatch(value) is not None
    return type(value) is tuple and 0 < len(value) < 1000 and all(_is_field(field) for field in value)


def _is_field(field: object) -> bool:
    if type(field) is not tuple or len(field) != 3:
        return False
    name, dtype, shape = field
    return type(name) is str and name != "" and is_numpy_dtype(dtype) and _are_sizes(shape)


def _are_sizes(value: object) -> bool:
    return type(value) is tuple and all(type(size) is int and 0 <= size < _LARGEST for size in value)


def _is_numpy_scalar(value: object) -> bool:
    return type(value) is tuple and len(value) == 2 and is_numpy_dtype(value[0]) and type(value[1]) is bytes


def _is_numpy_typed(value: object) -> bool:
    return type(value) is dict and value.keys() == {"dtype", "cells"} and is_numpy_dtype(value["dtype"])


def _is_sparse(value: object) -> bool:
    """The parts are tensors: live ones while a state is captured, nodes afterwards, so only their names are looked at."""
    if type(value) is not dict or value.get("layout") not in _SPARSE_PARTS:
        return False
    parts = _SPARSE_PARTS[value["layout"]]
    if value.keys() != {"layout", "shape", "kind", "coalesced", *parts}:
        return False
    return _are_sizes(value["shape"]) and value["kind"] in _TORCH_KINDS and type(value["coalesced"]) is bool


SPECIALS: dict[str, Callable[[Any], bool]] = {
    "torch.Size": _are_sizes,
    "torch.dtype": lambda value: type(value) is str and _WORD.fullmatch(value) is not None,
    "torch.device": lambda value: type(value) is str and _DEVICE.fullmatch(value) is not None,
    "torch.sparse": _is_sparse,
    "numpy.dtype": is_numpy_dtype,
    "numpy.scalar": _is_numpy_scalar,
    "numpy.typed": _is_numpy_typed,
}
"""The closed list, each with the test of its value. `numpy.typed` is an array whose dtype torch has no name for: its cells are a
uint8 tensor with one more dimension."""


def _refuse(why: str) -> None:
    raise ValueError(why)
