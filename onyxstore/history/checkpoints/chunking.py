"""A tensor's bytes in chunks.

A chunk is a slice of at most 4 MiB, cut at multiples of that: a boundary moves only when the tensor's size does, and a chunk is a
whole number of elements of every dtype. Larger chunks would make a small change cost more, smaller ones more addresses; decoding
is fastest in blocks of 1 to 4 MiB. Each tree object says how its tensors were cut, and is read that way.
"""

from __future__ import annotations

from collections.abc import Iterator

from onyxstore.hashing import Buffer

CHUNK_BYTES = 4 << 20
"""Where tensors are cut when they are written."""

MIN_CHUNK_BYTES = 1 << 10
MAX_CHUNK_BYTES = 64 << 20
"""Between these a tree object may say that it was cut. A pack has no larger chunk."""

CHUNK_UNIT = 16
"""Chunks are cut at multiples of the widest element (complex128), so that no element is cut through."""


def check_chunk_bytes(value: object) -> int:
    """`value`, where tensors can be cut; ValueError for anything else."""
    if type(value) is not int or not MIN_CHUNK_BYTES <= value <= MAX_CHUNK_BYTES or value % CHUNK_UNIT:
        message = f"chunks that are not of {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES} bytes, a multiple of {CHUNK_UNIT}"
        raise ValueError(message)
    return value


def split_chunks(data: Buffer, chunk_bytes: int = CHUNK_BYTES) -> Iterator[memoryview]:
    """The chunks of a tensor's bytes in order, as windows onto `data`; none for an empty tensor."""
    view = memoryview(data).cast("B")
    for offset in range(0, view.nbytes, chunk_bytes):
        yield view[offset : offset + chunk_bytes]


def chunk_sizes(size: int, chunk_bytes: int = CHUNK_BYTES) -> list[int]:
    """The size of each chunk of a tensor of `size` bytes: what a reader checks before it allocates."""
    whole, rest = divmod(size, chunk_bytes)
    return [chunk_bytes] * whole + [rest] * bool(rest)


def count_chunks(size: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """How many chunks a tensor of `size` bytes has."""
    return -(-size // chunk_bytes)
