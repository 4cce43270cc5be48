"""numpy's arrays, scalars, dtypes and global generator as nodes, and back.

An array whose dtype torch has no name for (times, fixed-width text, records) is stored as its cells: bytes with one dimension
more, and the dtype's description. Bytes are little-endian whatever they were. Object arrays would be pickles, and `longdouble` is
another format on every processor: both are refused.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from onyxstore.errors import BadInput, CannotEncode
from onyxstore.frameworks.contract import Dense, Memory
from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, Special, View, is_numpy_dtype
from onyxstore.history.checkpoints.walk import Path, no_encoding, print_path

_SHARED_NAMES = frozenset(name for name in WIDTHS if hasattr(np, name) and name != "bool") | {"bool"}
_ADVICE = {
    "Generator": "; hand in its bit_generator.state",
    "RandomState": "; hand in its get_state()",
    "BitGenerator": "; hand in its state",
}
_PORTABLE = "biufcMmSUV"
"""Kinds of dtype whose cells are their bytes; objects and StringDType hold pointers."""

_BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})


def describe(value: Any, path: Path) -> Dense | Special:
    """An array, a scalar or a dtype; CannotEncode for all else of numpy's."""
    if type(value) is np.ndarray:
        return _describe_array(value, path)
    if isinstance(value, np.generic):
        # As an array, because empty text has a dtype of no width by itself, and of one letter there.
        cell = np.asarray(value)
        return Special("numpy.scalar", (_dtype_text(cell.dtype, path), cell.astype(cell.dtype.newbyteorder("<")).tobytes()))
    if isinstance(value, np.dtype):
        return Special("numpy.dtype", _dtype_text(value, path))
    advice = next((_ADVICE[base.__name__] for base in type(value).__mro__ if base.__name__ in _ADVICE), "")
    raise no_encoding(value, path, "; hand in np.asarray of it" if isinstance(value, np.ndarray) else advice)


def span(dense: Dense, start: int, end: int, pad: int) -> Dense:  # noqa: ARG001 (the host has one memory)
    """A row of bytes of the host's memory, whichever framework's tensors lie there; those keep it alive."""
    row = np.frombuffer(memoryview((ctypes.c_ubyte * (end - start)).from_address(start)).cast("B"), np.uint8)
    if pad:
        row = np.concatenate([np.zeros(pad, np.uint8), row])
    return Dense("numpy", row, "cpu", start - pad, "uint8", row.shape, row.strides, row.nbytes, True, "storage")  # noqa: FBT003 (packed)


def copy_all(denses: Sequence[Dense], memory: Memory, offsets: Sequence[int]) -> None:
    """Copies one after another; `describe` has made the bytes little-endian."""
    for dense, offset in zip(denses, offsets, strict=True):
        source: np.ndarray[Any, Any] = dense.source
        target = memory.array[offset : offset + source.nbytes].view(source.dtype)
        np.copyto(target.reshape(source.shape), source)


def restore_leaf(leaf: Leaf, buffer: memoryview) -> np.ndarray[Any, Any]:
    """An array on the buffer; a Fortran-ordered one in memory of its own."""
    array = np.frombuffer(buffer, _dtype_named(leaf.dtype)).reshape(leaf.shape)
    if leaf.order is None:
        return array
    inverse = np.argsort(leaf.order)
    return np.ascontiguousarray(array.transpose(leaf.order)).transpose(inverse)


def restore_view(view: View, buffer: memoryview) -> np.ndarray[Any, Any]:
    """An array that looks at the buffer."""
    return np.ndarray(view.shape, _dtype_named(view.dtype), buffer, view.offset, view.strides)


def restore_special(kind: str, value: Any) -> Any:
    """A scalar, a dtype, or an array of a dtype that torch has no name for."""
    if kind == "numpy.dtype":
        return _dtype_of(value)
    if kind == "numpy.scalar":
        dtype = _dtype_of(value[0])
        if len(value[1]) != dtype.itemsize:
            raise BadInput(f"a numpy scalar of {dtype} has {len(value[1])} bytes")
        return np.frombuffer(value[1], dtype)[0] if dtype.itemsize else np.zeros(1, dtype)[0]
    dtype, cells = _dtype_of(value["dtype"]), value["cells"]
    if not isinstance(cells, np.ndarray) or cells.dtype != np.uint8 or cells.shape[-1:] != (dtype.itemsize,):
        raise BadInput(f"the cells of a numpy array of {dtype} are none")
    return np.ndarray(cells.shape[:-1], dtype, np.ascontiguousarray(cells))


def read_array(leaf: Leaf) -> np.ndarray[Any, Any]:
    """The elements of any tensor as an array, whatever it was, without its framework.

    bfloat16, which numpy has not, as float32, exactly; BadInput for the other dtypes that numpy lacks.
    """
    if leaf.dtype == "bfloat16":
        halves = np.frombuffer(leaf.data, "<u2").reshape(leaf.shape)
        return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.frombuffer(leaf.data, _dtype_named(leaf.dtype)).reshape(leaf.shape)


def capture_rng() -> dict[str, Any]:
    """The state of the generator behind `np.random.rand` and its like."""
    return dict(np.random.get_state(legacy=False))  # noqa: NPY002 (it is the global one that is meant)


def restore_rng(state: Any) -> None:
    """Gives the global generator the state; BadInput when it is none."""
    try:
        name = state["bit_generator"]
        if name not in _BIT_GENERATORS:
            raise BadInput(f"numpy has no generator called {str(name)[:40]!r}")
        if np.random.get_state(legacy=False)["bit_generator"] != name:  # noqa: NPY002
            np.random.set_bit_generator(getattr(np.random, name)())  # type: ignore[attr-defined]  # numpy forgot to list it
        np.random.set_state(state)  # noqa: NPY002
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"numpy's generator does not take the stored state: {error}") from None


def _describe_array(array: np.ndarray[Any, Any], path: Path) -> Dense | Special:
    if array.dtype.name in _SHARED_NAMES and array.dtype.isbuiltin != 2:
        # Arrays of another byte order share memory with no array of ours: their bytes change on the way.
        source = array if array.dtype.newbyteorder("<") == array.dtype else array.astype(array.dtype.newbyteorder("<"))
        address = source.__array_interface__["data"][0]
        packed = source.flags.c_contiguous
        return Dense("numpy", source, "cpu", address, source.dtype.name, source.shape, source.strides, source.nbytes, packed, "numpy.array")
    text = _dtype_text(array.dtype, path)
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    size = array.dtype.itemsize
    cells = native.reshape(-1).view(np.uint8) if size and array.size else np.empty(0, np.uint8)
    return Special("numpy.typed", {"dtype": text, "cells": cells.reshape(*array.shape, size)})


def _dtype_text(dtype: np.dtype[Any], path: Path) -> Any:
    """A dtype as `tensors.is_numpy_dtype` knows it; CannotEncode for one whose bytes mean nothing elsewhere."""
    text: Any = None
    if dtype.names is not None:
        text = tuple(_field_text(name, dtype[name], path) for name in dtype.names)
    elif dtype.kind in _PORTABLE and dtype.isbuiltin != 2:
        text = dtype.newbyteorder("<").str
    if not is_numpy_dtype(text) or _dtype_of(text) != dtype.newbyteorder("<"):
        raise CannotEncode(print_path(path), f"numpy's {dtype} has no portable bytes")
    return text


def _field_text(name: str, dtype: np.dtype[Any], path: Path) -> tuple[str, Any, tuple[int, ...]]:
    base, shape = dtype.subdtype or (dtype, ())
    return name, _dtype_text(base, path), shape


def _dtype_of(text: Any) -> np.dtype[Any]:
    if isinstance(text, str):
        return np.dtype(text)
    return np.dtype([(name, _dtype_of(base), shape) for name, base, shape in text])


def _dtype_named(name: str) -> np.dtype[Any]:
    if name not in _SHARED_NAMES:
        raise BadInput(f"numpy has no {name}; torch reads it")
    return np.dtype(name).newbyteorder("<")
