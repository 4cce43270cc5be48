"""The object store: immutable bytes by the hash of their content, loose or in packs.

Small objects are loose, one to a file; the chunks of tensors are in packs. Both are found by address, both are verified when they
are read. What is there already is not written again: that is all the deduplication there is, and it works across checkpoints and
runs, since an address depends on the content alone.

What knows packs and codecs is imported when chunks are asked for: most questions about a store are answered by small objects, and
these modules are a fifth of what the command loads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.disk.loose import LooseObjects
from onyxstore.errors import CorruptObject, ObjectMissing
from onyxstore.hashing import Address, Buffer

if TYPE_CHECKING:
    from onyxstore.disk.packs.index import PackIndex
    from onyxstore.disk.packs.reader import Pack
    from onyxstore.disk.packs.writer import NewChunk


@dataclass(frozen=True)
class NewTensor:
    """A tensor to be stored: its dtype by torch's name, all of its bytes, and its chunks, windows onto them with their addresses."""

    dtype: str
    data: memoryview
    chunks: Sequence[tuple[Address, memoryview]]


class ObjectStore:
    """The objects and packs of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.loose = LooseObjects(layout)

    @cached_property
    def _index(self) -> PackIndex:
        from onyxstore.disk.packs.index import PackIndex

        return PackIndex(self._layout.packs)

    def put(self, data: Buffer) -> Address:
        """Stores a small object; on disk when this returns."""
        return self.loose.put(data)

    def put_file(self, path: Path) -> tuple[Address, int]:
        """Stores a file from outside the store, streamed; its address and its size."""
        return self.loose.put_file(path)

    def get(self, address: Address) -> bytes:
        """A small object's bytes; ObjectMissing, CorruptObject."""
        return self.loose.get(address)

    def has(self, address: Address) -> bool:
        """Whether a small object is there."""
        return self.loose.has(address)

    def put_tensors(self, tensors: Sequence[NewTensor]) -> int:
        """Writes one pack of the chunks that the store lacks; on disk when this returns. The bytes that the store grew by."""
        from onyxstore.disk.packs.writer import write_packs
        from onyxstore.disk.workers import default_threads

        wanted = dict.fromkeys(address for tensor in tensors for address, _ in tensor.chunks)
        lacking = self._index.lacking(wanted)
        new = list(_encodings(tensors, lacking))
        return sum(pack.size for pack in write_packs(new, self._layout.packs, self._layout.tmp, default_threads())) if new else 0

    def read_chunk(self, address: Address, out: memoryview) -> None:
        """Decodes a chunk into `out`, which has its size, and verifies it; ObjectMissing, CorruptObject."""
        found = self._index.find(address)
        if found is None:
            raise ObjectMissing(address)
        pack, row = found
        size = pack.table[row].size
        if size != out.nbytes:
            raise CorruptObject(address, str(pack.path), f"it has {size} bytes where its tree says {out.nbytes}")
        pack.read_into(row, out)

    def chunk_size(self, address: Address) -> int:
        """A chunk's raw bytes; ObjectMissing."""
        found = self._index.find(address)
        if found is None:
            raise ObjectMissing(address)
        return found[0].table[found[1]].size

    def has_chunk(self, address: Address) -> bool:
        """Whether a pack has the chunk; reading it may still find damage."""
        return self._index.find(address) is not None

    def find_stored_size(self, address: Address) -> int | None:
        """The bytes that a chunk takes in its pack; None when no pack has it."""
        found = self._index.find(address)
        return found[0].table.stored(found[1]) if found is not None else None

    def stored_sizes(self) -> dict[Address, int]:
        """Every chunk with the bytes that it takes in its pack: for who asks of many."""
        return self._index.stored_sizes()

    def packs(self) -> Iterator[Pack]:
        """Every pack that can be opened, by name."""
        return self._index.packs()

    def pack(self, name: str) -> Pack:
        """A pack by its name."""
        return self._index.pack(name)

    def packed_size(self) -> int:
        """Bytes of all packs; none is opened for it."""
        total = 0
        for path in files.walk_files(self._layout.packs):
            with contextlib.suppress(FileNotFoundError):  # a sweep in another process took it
                total += files.file_size(path)
        return total

    def damaged_packs(self) -> Mapping[str, str]:
        """Packs that cannot be opened, with the reason."""
        return self._index.damaged

    def refresh(self) -> None:
        """Looks again at which packs there are."""
        self._index.refresh()


def _encodings(tensors: Sequence[NewTensor], lacking: set[Address]) -> Iterator[NewChunk]:
    """Each lacking chunk once, with the codec that was chosen for its tensor."""
    from onyxstore.disk.codecs.choose import choose_codec, fit_choice
    from onyxstore.disk.packs.writer import NewChunk

    for tensor in tensors:
        wanted = [(address, window) for address, window in tensor.chunks if address in lacking]
        if wanted:
            choice = choose_codec(tensor.dtype, tensor.data)
            for address, window in wanted:
                if address in lacking:
                    lacking.discard(address)
                    yield NewChunk(address, window, fit_choice(choice, window.nbytes))
