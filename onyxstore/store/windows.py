"""The tensors of a checkpoint by place, and their bytes a window at a time.

What goes over all values of a tensor (a comparison, a summary) needs no more than a window of them in memory. A place is a tensor as it
stands in its tree: a stored tensor, which others may be tied to, or a view of one. The bytes of a view that is not packed (a transposed
one, say) are gathered from the whole of the tensor that it looks at; there is one window then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from onyxstore.disk.objects import ObjectStore
from onyxstore.errors import CorruptObject
from onyxstore.hashing import Address
from onyxstore.history.checkpoints.chunking import chunk_sizes
from onyxstore.history.checkpoints.manifest import StoredTensor, TreeObject
from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, View, count_bytes, gather, packed_strides, reach
from onyxstore.history.checkpoints.tree import Tagged
from onyxstore.history.checkpoints.tree_decoding import list_tensors
from onyxstore.history.checkpoints.walk import Path


@dataclass(frozen=True)
class Place:
    """A tensor of a tree: what it is, and where its bytes are. Two places with the same bytes, spelt the same way, are equal.

    `strides` is None where the elements follow one another from `offset` on.
    """

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Address, ...]
    chunk_bytes: int
    stored: int
    """Bytes of the stored tensor."""
    offset: int = 0
    strides: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes of all elements."""
        return count_bytes(self.dtype, self.shape)

    @property
    def window(self) -> int:
        """Elements in a window that is read without waste; all of them where they are not packed."""
        return self.chunk_bytes // WIDTHS[self.dtype] if self.strides is None else max(1, self.size // WIDTHS[self.dtype])


def list_places(tree: TreeObject) -> dict[Path, Place]:
    """Every tensor and view of a tree by its path; a tied one is at each of its paths. CorruptObject where a tag fits no tensor."""
    try:
        return {path: _place(tree.tensors[tag["index"]], tag, tree.chunk_bytes) for path, tag in list_tensors(tree.tree).items()}
    except (KeyError, IndexError, TypeError, ValueError):
        raise CorruptObject("a tree", "objects/", "it names a tensor that it does not have") from None


def fresh(size: int) -> memoryview:
    """Memory of its own for so many bytes."""
    return memoryview(bytearray(size))


class Reused(threading.local):
    """Memory that each thread has once, and overwrites: fresh pages cost a sixth of a comparison."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __call__(self, size: int) -> memoryview:
        """The first so many bytes of it; what they held is lost."""
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        return memoryview(self._buffer)[:size]


def read_window(objects: ObjectStore, place: Place, start: int, stop: int, make: Callable[[int], memoryview] = fresh) -> memoryview:
    """The bytes of the elements from `start` up to `stop`, row after row, verified; ObjectMissing, CorruptObject.

    `make` gives the memory for so many bytes.
    """
    width = WIDTHS[place.dtype]
    if place.strides is None:
        return _read_span(objects, place, place.offset + start * width, place.offset + stop * width, make)
    base = Leaf("uint8", (place.stored,), _read_span(objects, place, 0, place.stored, make), "storage")
    whole = gather(View(base, place.dtype, place.shape, place.strides, place.offset, "numpy.array"))
    return memoryview(whole.data).cast("B")[start * width : stop * width]


def windows(place: Place, step: int) -> Iterator[tuple[int, int]]:
    """Start and stop, in elements, of windows of `step` elements."""
    count = place.size // WIDTHS[place.dtype]
    return ((start, min(start + step, count)) for start in range(0, count, step))


def _place(stored: StoredTensor, tag: Tagged, chunk_bytes: int) -> Place:
    if tag["$"] == "tensor":
        return Place(stored.dtype, stored.shape, stored.chunks, chunk_bytes, stored.size)
    dtype, shape, strides = tag["dtype"], tuple(tag["shape"]), tuple(tag["strides"])
    lowest, highest = reach(shape, strides, WIDTHS[dtype])
    if tag["offset"] + lowest < 0 or tag["offset"] + highest > stored.size:
        raise IndexError
    kept = None if strides == packed_strides(shape, WIDTHS[dtype]) else strides
    return Place(dtype, shape, stored.chunks, chunk_bytes, stored.size, tag["offset"], kept)


def _read_span(objects: ObjectStore, place: Place, start: int, stop: int, make: Callable[[int], memoryview]) -> memoryview:
    """Bytes of the stored tensor; chunks that reach beyond are read whole, since only so they can be verified."""
    if start >= stop:
        return memoryview(b"")
    first, last = start // place.chunk_bytes, (stop - 1) // place.chunk_bytes
    sizes = chunk_sizes(place.stored, place.chunk_bytes)[first : last + 1]
    buffer = make(sum(sizes))
    offset = 0
    for address, size in zip(place.chunks[first : last + 1], sizes, strict=True):
        objects.read_chunk(address, buffer[offset : offset + size])
        offset += size
    skipped = first * place.chunk_bytes
    return buffer[start - skipped : stop - skipped]
