"""A prefix of a metric log, as a commit names it: the log's id, a position, and the hash of the records before it.

The hash is BLAKE3-256 over the records' binary form, one after another, so it is the same whether they stand in the tail or in
segments. Of a log that lost records it goes over those that are left. The binary form is little-endian:

    size  type   field
    1     u8     kind: 1 points, 2 rewind, 3 artifact, 4 summary
    8     i64    time, ns since 1970 UTC
    1+8   u8 …   step: 0 none, 1 then i64          (summaries have neither this
    1+8   u8 …   epoch: 0 none, 1 then i64, 2 then f64         nor this)
                 points and summaries:
    4     u32      number of values, which follow in the order of their names' UTF-8 bytes
    4+n   text       name: u32 length, UTF-8
    1+n   value      1 then f64 (NaN as 0x7ff8000000000000) | 2 then u32 length and that many bytes of two's complement, the
                     fewest that hold the int | 3 then u8 0 or 1
                 artifacts:
    4+n   text     name
    32    bytes    address
    8     u64      size
    4+n   text     kind
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from blake3 import blake3

from onyxstore.hashing import Address
from onyxstore.history.metrics.records import Artifact, Epoch, Points, Record, Rewind, Value

_POINTS, _REWIND, _ARTIFACT, _SUMMARY = 1, 2, 3, 4
_MARKS = 16
"""Positions kept to start from: a commit's position lies behind the newest seal by a few commits at most."""

_start = struct.Struct("<Bq").pack
_tagged_int = struct.Struct("<Bq").pack
_tagged_float = struct.Struct("<Bd").pack
_length = struct.Struct("<I").pack
_size = struct.Struct("<Q").pack
_nan = bytes.fromhex("01000000000000f87f")


@dataclass(frozen=True)
class LogPrefix:
    """The first `position` records of the log `id`, and the hash of their binary form in hexadecimal."""

    id: str
    position: int
    hash: Address


def encode_binary(record: Record) -> bytes:
    """The canonical binary form: two records have the same one exactly when they are the same, kinds and bits included."""
    if isinstance(record, Points):
        return b"".join((_head(_POINTS, record), *_values(record.values)))
    if isinstance(record, Rewind):
        return _head(_REWIND, record)
    if isinstance(record, Artifact):
        content = (_text(record.name), bytes.fromhex(record.address), _size(record.size), _text(record.kind))
        return b"".join((_head(_ARTIFACT, record), *content))
    return b"".join((_start(_SUMMARY, record.time), *_values(record.values)))


class RunningHash:
    """The hash of ever longer prefixes of one log, each continued from the nearest shorter one.

    Not thread-safe. Hashing is put off until a position is asked for or a tail is sealed: it is no part of logging.
    """

    def __init__(self) -> None:
        self._marks = {0: blake3()}

    def at(self, position: int, records: Callable[[int, int], Iterable[Record]]) -> Address:
        """The hash of the first `position` records; `records(start, end)` is asked for those that are missing for it."""
        start = max(mark for mark in self._marks if mark <= position)
        if start < position:
            hasher = self._marks[start].copy()
            for record in records(start, position):
                hasher.update(encode_binary(record))
            self._marks[position] = hasher
            if len(self._marks) > _MARKS:
                del self._marks[next(itertools.islice(self._marks, 1, None))]  # the oldest but 0
        return Address(self._marks[position].hexdigest())


def _head(kind: int, record: Points | Rewind | Artifact) -> bytes:
    return _start(kind, record.time) + (b"\0" if record.step is None else _tagged_int(1, record.step)) + _epoch(record.epoch)


def _epoch(epoch: Epoch) -> bytes:
    if epoch is None:
        return b"\0"
    return _tagged_float(2, epoch) if type(epoch) is float else _tagged_int(1, int(epoch))


def _values(values: Mapping[str, Value]) -> list[bytes]:
    parts = [_length(len(values))]
    for name, head in _names_in_order(tuple(values)):
        value = values[name]
        parts += (head, (_tagged_float(1, value) if value == value else _nan) if type(value) is float else _whole(value))  # noqa: PLR0124
    return parts


@functools.lru_cache(maxsize=1024)
def _names_in_order(names: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Names with their binary form: a run logs the same few combinations over and over."""
    return [(name, _text(name)) for name in sorted(names, key=str.encode)]


def _whole(value: Value) -> bytes:
    if type(value) is bool:
        return bytes((3, value))
    number = int(value)
    digits = number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "little", signed=True)
    return b"\2" + _length(len(digits)) + digits


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _length(len(encoded)) + encoded
