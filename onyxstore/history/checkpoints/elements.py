"""A tensor's bytes as numbers, whatever its dtype.

What is computed of tensors is computed in float64, which holds every value of every narrower float and of ints of up to 53 bits;
`differences` is exact for wider ints too, before it rounds once. numpy has no bfloat16, float8 or float4: they are widened by their
own definitions (OCP's formats; the `fnuz` ones have no infinities and no negative zero). A complex number is a pair of numbers, so
that sums of squares over all numbers are those of its modulus.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onyxstore.hashing import Buffer
from onyxstore.history.checkpoints.tensors import WIDTHS

Numbers = NDArray[np.float64]

FLOAT4 = "float4_e2m1fn_x2"
"""Two values in a byte, the lower four bits first."""

_NATIVE = {
    "bool": "u1", "uint8": "u1", "int8": "i1", "uint16": "<u2", "int16": "<i2", "uint32": "<u4", "int32": "<i4", "uint64": "<u8",
    "int64": "<i8", "float16": "<f2", "float32": "<f4", "float64": "<f8", "complex32": "<f2", "complex64": "<f4", "complex128": "<f8",
}  # fmt: skip
"""Dtypes that numpy reads; complex ones by their parts."""

_HALF = np.uint64(32)
_LOWER = np.uint64(0xFFFF_FFFF)


def is_complex(dtype: str) -> bool:
    """Whether an element is a pair of numbers."""
    return dtype.startswith("complex")


def is_integer(dtype: str) -> bool:
    """Whether the elements are whole numbers, as numpy reads them: ints and bools."""
    return dtype in _NATIVE and _NATIVE[dtype].strip("<")[0] in "ui"


def count_values(dtype: str, size: int) -> int:
    """The values in `size` bytes: a complex number is one, and a byte of float4 holds two."""
    return 2 * size if dtype == FLOAT4 else size // WIDTHS[dtype]


def read_native(dtype: str, data: Buffer) -> NDArray[Any]:
    """The numbers as numpy has them, without a copy; KeyError for a dtype that it lacks."""
    return np.frombuffer(data, _NATIVE[dtype])


def read_words(dtype: str, data: Buffer) -> NDArray[Any]:
    """The bits of each value as one unsigned number, those of complex128 as two in a row: for telling whether values are the same."""
    if dtype == FLOAT4:
        pairs = np.frombuffer(data, np.uint8)
        return np.stack([pairs & 15, pairs >> 4], -1).reshape(-1)
    width = WIDTHS[dtype]
    return np.frombuffer(data, f"<u{width}") if width <= 8 else np.frombuffer(data, "<u8").reshape(-1, width // 8)


def widen(dtype: str, data: Buffer) -> Numbers:
    """The numbers as float64, in an array of its own; 64-bit ints are rounded to 53 bits."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        if dtype == "bfloat16":
            return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
        if dtype in _NATIVE:
            return read_native(dtype, data).astype(np.float64)
    return _table(dtype)[np.frombuffer(data, np.uint8)].reshape(-1)


def differences(dtype: str, new: Buffer, old: Buffer) -> Numbers:
    """New minus old, number by number; of 64-bit ints by halves, since two that differ may be one float64."""
    if dtype not in {"int64", "uint64"}:
        return widen(dtype, new) - widen(dtype, old)
    after, before = read_native(dtype, new), read_native(dtype, old)
    upper = (after >> _half(after)).astype(np.float64) - (before >> _half(before)).astype(np.float64)
    lower = (after.view("<u8") & _LOWER).astype(np.float64) - (before.view("<u8") & _LOWER).astype(np.float64)
    apart: Numbers = upper * 2.0**32 + lower
    return apart


def _half(array: NDArray[Any]) -> Any:
    return array.dtype.type(32)


@cache
def _table(dtype: str) -> NDArray[np.float64]:
    """What each byte of a narrow float stands for; two numbers where it holds two."""
    byte = np.arange(256)
    if dtype == FLOAT4:
        nibble = _floats(np.arange(16), exponent_bits=2, mantissa_bits=1, bias=1)
        return np.stack([nibble[byte & 15], nibble[byte >> 4]], -1)
    if dtype == "float8_e8m0fnu":
        return np.where(byte == 0xFF, np.nan, np.ldexp(1.0, byte - 127))
    if dtype == "float8_e5m2":  # float16 without its lower byte
        return (byte.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float64)
    if dtype == "float8_e4m3fn":
        return np.where(byte & 0x7F == 0x7F, np.nan, _floats(byte, exponent_bits=4, mantissa_bits=3, bias=7))
    bits, mantissa, bias = {"float8_e4m3fnuz": (4, 3, 8), "float8_e5m2fnuz": (5, 2, 16)}[dtype]
    return np.where(byte == 0x80, np.nan, _floats(byte, exponent_bits=bits, mantissa_bits=mantissa, bias=bias))


def _floats(bits: NDArray[Any], *, exponent_bits: int, mantissa_bits: int, bias: int) -> Numbers:
    """Sign, exponent and mantissa as every binary float has them, without infinities and NaN."""
    sign = np.where(bits >> (exponent_bits + mantissa_bits), -1.0, 1.0)
    exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1)
    mantissa = bits & ((1 << mantissa_bits) - 1)
    whole = np.where(exponent, (1 << mantissa_bits) + mantissa, mantissa)  # below the least exponent the leading one is missing
    made: Numbers = sign * np.ldexp(whole.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    return made
