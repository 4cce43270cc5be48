"""One column of numbers, arranged so that a general compressor does well on it.

Nothing is compressed here: the object that holds a segment is. A column is turned into *words*, signed ints:

    reading      words                                              for
    int          the values                                         ints of up to 64 bits, bools as 0 and 1
    big          the values                                         ints, when one needs more than 64 bits
    decimal-E    W, where the value is W / 10^E                     floats that are such a quotient exactly; E is 0 to 9
    float32      b ^ (b >> 31 & 0x7fffffff), where the value is     floats that a float32 holds
                 the float32 with the bits b
    float64      b ^ (b >> 63 & 0x7fffffffffffffff), likewise       all other floats

(Shifts to the right keep the sign. A float's words ascend as the floats do.) Then words are differenced 0, 1 or 2 times, each time
from a start that is kept apart, w[i] = start + d[0] + … + d[i], modulo 2^32 for float32, 2^64 for the others, never for big; then
zigzagged, z = w << 1 ^ w >> 63, which brings the sign to the lowest bit; and written as byte planes, the lowest byte of all words
first, in as few planes as the largest needs. Of all readings that are exact, with each number of differences, the one is taken
whose planes have the lowest order-0 entropy, which predicts what zstd makes of them; a start counts as 20 bytes.

Measured with zstd -3 on a real training of 13,000 steps, bytes a value: loss and gradient norm 3.0, cosine learning rate 0.2, accuracy 0.5,
times 2.6; all in all 2.5 a point of 5 to a record. As byte planes of float64 the loss takes 3.5, the learning rate 2.2; a float64
learning rate takes 2.8 (5.6 without differences), a loss rounded to 4 decimals 1.6 (7.0 as float64).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onyxstore.history.metrics.records import INT_BITS, is_int64

Array = NDArray[Any]

BIG_PLANES = (INT_BITS + 1 + 7) // 8
"""The planes of the largest int, with its sign."""
_DECIMALS = {f"decimal-{digits}": 10.0**digits for digits in range(10)}
_READINGS = frozenset({"int", "big", "float32", "float64", *_DECIMALS})
_MOST_DIFFERENCES = 2
_START_BITS = 160
"""A start's digits in the header."""
_SAMPLE = 64
"""Values that a decimal reading is tried on before all are."""
_EXACT = 2.0**53


@dataclass(frozen=True)
class Planes:
    """A coded column: how its words are read, where its differences start, and its byte planes, uint8 [width, length]."""

    reading: str
    starts: tuple[int, ...]
    data: NDArray[np.uint8]


def encode_column(values: Array) -> Planes:
    """A column of float64, int64, bool or (for big ints) object, at least one value long; the same planes for the same values."""
    if values.dtype == object:
        return _encode_big(values.tolist())
    candidates = [
        _split(reading, words, times) for reading, words in _readings(values) for times in range(min(_MOST_DIFFERENCES + 1, len(words)))
    ]
    return min(candidates, key=_cost)


def check_planes(planes: Planes) -> None:
    """ValueError unless `decode_column` can decode it, whatever its bytes are."""
    most = BIG_PLANES if planes.reading == "big" else 4 if planes.reading == "float32" else 8
    if planes.reading not in _READINGS or not 1 <= len(planes.data) <= most:
        raise ValueError(f"no column is read as {planes.reading[:20]!r} with {len(planes.data)} planes")
    if len(planes.starts) > (0 if planes.reading == "big" else _MOST_DIFFERENCES) or not all(map(is_int64, planes.starts)):
        raise ValueError("a column is differenced twice at most, from ints of 64 bits")


def decode_column(planes: Planes) -> Array:
    """The values of a column that passed `check_planes`: float64, int64 or object (ints); bools come back as int64."""
    if planes.reading == "big":
        return _decode_big(planes.data)
    raw = np.zeros(planes.data.shape[1], np.uint64)
    for number, plane in enumerate(planes.data):
        raw |= plane.astype(np.uint64) << np.uint64(8 * number)
    words = (raw >> np.uint64(1)).view(np.int64) ^ -(raw & np.uint64(1)).view(np.int64)
    for start in reversed(planes.starts):
        words = np.cumsum(words) + np.int64(start)
    return _values(planes.reading, words)


# ------------------------------------------------------------------------------------------------------ values to words


def _readings(values: Array) -> Iterator[tuple[str, Array]]:
    """Each way in which `values` can be read exactly, with their words; narrow words are int32."""
    if values.dtype != np.float64:
        yield "int", values.astype(np.int64)
        return
    values = np.where(np.isnan(values), np.nan, values)
    bits = values.view(np.int64)
    decimal = _find_decimal(values, bits)
    if decimal:
        yield decimal
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if np.array_equal(narrow.astype(np.float64).view(np.int64), bits):
        yield "float32", _ascending(narrow.view(np.int32))
    else:
        yield "float64", _ascending(bits)


def _find_decimal(values: Array, bits: Array) -> tuple[str, Array] | None:
    for reading, scale in _DECIMALS.items():
        for end in (_SAMPLE, len(values)):
            with np.errstate(over="ignore", invalid="ignore"):
                words = np.rint(values[:end] * scale)
                exact = bool((np.abs(words) < _EXACT).all())
            if not exact or not np.array_equal((words.astype(np.int64) / scale).view(np.int64), bits[:end]):
                break
        else:
            return reading, words.astype(np.int64)
    return None


def _values(reading: str, words: Array) -> Array:
    if reading == "int":
        return words
    if reading == "float32":
        with np.errstate(invalid="ignore"):  # a signalling NaN, which no writer writes
            return _ascending(words.astype(np.int32)).view(np.float32).astype(np.float64)
    if reading == "float64":
        return _ascending(words).view(np.float64)
    return words / _DECIMALS[reading]


def _ascending(bits: Array) -> Array:
    """A float's bits as an int that ascends with it, and back."""
    ascending: Array = bits ^ ((bits >> (bits.itemsize * 8 - 1)) & np.iinfo(bits.dtype).max)
    return ascending


# ------------------------------------------------------------------------------------------------------ words to planes


def _split(reading: str, words: Array, times: int) -> Planes:
    starts: list[int] = []
    for turn in range(times):
        # All rounds but the last start one step before the first word, going back by the first difference: then the next
        # round's differences start with a zero instead of a jump.
        start = (words[:1] if turn == times - 1 else words[:1] - (words[1:2] - words[:1]))[0]
        starts.append(int(start))
        words = np.diff(words, prepend=start)
    zigzag = ((words << 1) ^ (words >> (words.itemsize * 8 - 1))).view(f"u{words.itemsize}")
    width = max(1, (int(zigzag.max()).bit_length() + 7) // 8)
    bytes_of_words = zigzag.astype(f"<u{words.itemsize}").view(np.uint8).reshape(len(words), words.itemsize)
    return Planes(reading, tuple(starts), np.ascontiguousarray(bytes_of_words[:, :width].T))


def _cost(planes: Planes) -> int:
    """What it will take, in 1/1024 bits: whole numbers, so that every machine picks the same."""
    counts = np.concatenate([np.bincount(plane, minlength=256) for plane in planes.data])
    counts = counts[counts > 0]
    information = np.log2(planes.data.shape[1]) - np.log2(counts)
    return int((counts * np.rint(1024 * information).astype(np.int64)).sum()) + 1024 * _START_BITS * len(planes.starts)


def _encode_big(values: Sequence[int]) -> Planes:
    zigzag = [value << 1 if value >= 0 else ~(value << 1) for value in values]
    width = max(1, (max(zigzag).bit_length() + 7) // 8)
    joined = b"".join(word.to_bytes(width, "little") for word in zigzag)
    return Planes("big", (), np.ascontiguousarray(np.frombuffer(joined, np.uint8).reshape(len(values), width).T))


def _decode_big(planes: NDArray[np.uint8]) -> Array:
    words = (int.from_bytes(word, "little") for word in np.ascontiguousarray(planes.T).tolist())
    values = np.empty(planes.shape[1], object)
    values[:] = [word >> 1 if word & 1 == 0 else ~(word >> 1) for word in words]
    return values
