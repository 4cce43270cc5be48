"""Reading one pack."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.codecs.frames import decode_chunk, decode_frame
from onyxstore.disk.codecs.workspace import Memory, borrow_workspace, give_memory, take_memory
from onyxstore.disk.packs.format import FOOTER, SUFFIX, Row, Table, decode_trailer, decode_trailer_size, encode_header, is_pack_name
from onyxstore.disk.workers import run_jobs
from onyxstore.errors import CorruptFile, CorruptObject, Damage, DiskError
from onyxstore.hashing import address_of


class Pack:
    """An open pack. It holds the file: a pack that is removed meanwhile can still be read to the end.

    Any number of threads may read. The descriptor is closed with `close`, or when nobody refers to the pack any more.
    """

    def __init__(self, path: Path, fd: int, table: Table) -> None:
        self.path, self.table, self._fd = path, table, fd
        self._closing = weakref.finalize(self, files.close, fd)

    @classmethod
    def open(cls, path: Path) -> Pack:
        """Opens a pack and reads its index; CorruptFile unless name, size, check and every bound in it hold."""
        return cls.open_by(path, lambda fd: _read_table(fd, path.name))

    @classmethod
    def open_by(cls, path: Path, read_table: Callable[[int], Table]) -> Pack:
        """Opens a pack with the table that `read_table` makes of its descriptor; CorruptFile where that raises ValueError."""
        fd = files.open_read(path)
        try:
            return cls(path, fd, read_table(fd))
        except ValueError as error:
            files.close(fd)
            raise CorruptFile(str(path), str(error)) from None
        except DiskError:
            files.close(fd)
            raise

    @property
    def name(self) -> str:
        """The file's name without the suffix."""
        return self.path.name.removesuffix(SUFFIX)

    def read_into(self, row: int, out: memoryview, *, verify: bool = True) -> None:
        """Writes the chunk of a row of the table into `out`, which has its raw size.

        CorruptObject unless its address is that of the bytes. With `verify=False` the address is not computed: for a caller that
        hashes the whole anyway.
        """
        chunk, memory = self.table[row], take_memory()
        self._decode(chunk, self._read_stored(chunk, memory), out)
        give_memory(memory)
        if verify:
            self._check_address(chunk, out)

    def read_frames(self, row: int, memory: Memory) -> list[memoryview]:
        """The frames of a chunk as they are stored, in `memory`; CorruptObject unless they decode to its address."""
        chunk, spare = self.table[row], take_memory()
        frames, out = self._read_stored(chunk, memory), spare.view(chunk.size)
        self._decode(chunk, frames, out)
        self._check_address(chunk, out)
        give_memory(spare)
        return frames

    def verify(self, threads: int = 1) -> Iterator[Damage]:
        """Reads every byte: what is wrong with the header first, then chunk after chunk. Opening it has verified the index."""
        yield from self._header_damage()
        jobs = (partial(self._chunk_damage, row) for row in range(len(self.table)))
        yield from (damage for damage in run_jobs(jobs, threads) if damage is not None)

    def close(self) -> None:
        """Gives the descriptor back; nobody may be reading."""
        self._closing()

    def _header_damage(self) -> Iterator[Damage]:
        expected = encode_header(self.table)
        stored = memoryview(files.read_at(self._fd, 0, self.table.header_length))
        try:
            with borrow_workspace() as space:
                header = b"".join(decode_frame(stored, memoryview(bytearray(len(expected))), space))
        except ValueError as error:
            yield CorruptFile(str(self.path), f"its header cannot be read: {error}")
            return
        if header != expected:
            yield CorruptFile(str(self.path), "its header and its index differ")

    def _chunk_damage(self, row: int) -> Damage | None:
        memory = take_memory()
        try:
            self.read_frames(row, memory)
        except CorruptObject as error:
            return error
        except DiskError as error:
            return CorruptObject(self.table[row].address, str(self.path), f"it cannot be read: {error.reason}")
        give_memory(memory)
        return None

    def _read_stored(self, chunk: Row, memory: Memory) -> list[memoryview]:
        stored = memory.view(chunk.stored)
        if files.read_into(self._fd, chunk.offset, stored) != chunk.stored:
            raise CorruptObject(chunk.address, str(self.path), "the file ends within it")
        frames, offset = [], 0
        for size in chunk.frames:
            frames.append(stored[offset : offset + size])
            offset += size
        return frames

    def _decode(self, chunk: Row, frames: list[memoryview], out: memoryview) -> None:
        if out.nbytes != chunk.size:
            raise ValueError(f"a chunk of {chunk.size} bytes does not go into {out.nbytes}")
        try:
            decode_chunk(chunk.codec, frames, out)
        except ValueError as error:
            raise CorruptObject(chunk.address, str(self.path), str(error)) from None

    def _check_address(self, chunk: Row, out: memoryview) -> None:
        if address_of(out.cast("B")) != chunk.address:
            raise CorruptObject(chunk.address, str(self.path), "its bytes have another address")


def _read_table(fd: int, file_name: str) -> Table:
    name, size = file_name.removesuffix(SUFFIX), files.size_of(fd)
    if not is_pack_name(name) or not file_name.endswith(SUFFIX):
        raise ValueError("no pack has such a name")
    trailer_size = decode_trailer_size(files.read_at(fd, max(size - FOOTER.size, 0), FOOTER.size))
    if trailer_size > size:
        raise ValueError("it is shorter than its index")
    return decode_trailer(files.read_at(fd, size - trailer_size, trailer_size), name, size)
