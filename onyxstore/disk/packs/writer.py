"""Writing packs: chunks in, published files out.

Chunks are encoded on threads while one writes; what waits between them is bounded by the number of threads, not by the save. A
pack is written in `tmp/` and gets its name when all of it is on disk, so nobody sees a part of one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from onyxstore.disk import files
from onyxstore.disk.codecs.choose import fit_choice
from onyxstore.disk.codecs.codec import Choice
from onyxstore.disk.codecs.frames import Frame, encode_chunk
from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.table import PLAIN
from onyxstore.disk.codecs.workspace import Memory, give_memory, take_memory
from onyxstore.disk.packs.format import MAX_CHUNKS, SUFFIX, Chunk, Table, encode_header, encode_trailer, make_table
from onyxstore.disk.workers import run_jobs
from onyxstore.hashing import Address

PACK_BYTES = 4 << 30
"""Raw bytes of a pack at most: what a repack rewrites at a time, and what FAT32 and old tools can hold."""

C = TypeVar("C", bound="NewChunk | Chunk")


@dataclass(frozen=True)
class NewChunk:
    """A chunk to store: its raw bytes, which must not change before it is written, and how to encode them."""

    address: Address
    data: memoryview
    choice: Choice

    @property
    def size(self) -> int:
        """Raw bytes."""
        return self.data.nbytes


@dataclass(frozen=True)
class WrittenPack:
    """A pack that is on disk under its name."""

    name: str
    size: int
    """Bytes of the file."""
    table: Table
    """Its chunks, with the stored bytes of each."""


def write_packs(chunks: Sequence[NewChunk], packs: Path, tmp: Path, threads: int) -> list[WrittenPack]:
    """Stores chunks, none of them twice, in as many packs as they need; on disk when this returns.

    ValueError for a chunk that no pack can hold (empty, larger than 64 MiB, twice); DiskError. Packs that were finished before an
    error stay: a sweep removes what nobody refers to.
    """
    fitted = [NewChunk(chunk.address, chunk.data.cast("B"), fit_choice(chunk.choice, chunk.size)) for chunk in chunks]
    return [_write_new(part, packs, tmp, threads) for part in split_packs(fitted)]


def split_packs(chunks: Iterable[C], limit: int = PACK_BYTES) -> Iterator[list[C]]:
    """The chunks in their order, cut into packs of at most `limit` raw bytes and MAX_CHUNKS chunks."""
    part: list[C] = []
    total = 0
    for chunk in chunks:
        if part and (total + chunk.size > limit or len(part) == MAX_CHUNKS):
            yield part
            part, total = [], 0
        part.append(chunk)
        total += chunk.size
    if part:
        yield part


def write_pack(chunks: Sequence[Chunk], encoded: Iterable[Sequence[Frame]], packs: Path, tmp: Path) -> WrittenPack:
    """One pack of chunks whose frames come in the same order, each written before the next is drawn; on disk when this returns.

    A pack that has the name already has the same index, and is replaced: it may be the damaged one that this is the rescue of.
    """
    header = memoryview(encode_header(chunks))
    sizes: list[int] = []
    with files.stage(tmp) as staged:
        for frame in encode_chunk(header, Choice(PLAIN, (Stage.LEVEL_3,)), memoryview(bytearray(header.nbytes))):
            staged.write_all(frame)
        header_length = staged.offset
        for frames in encoded:
            sizes += [sum(memoryview(part).nbytes for part in frame) for frame in frames]
            staged.write_all([part for frame in frames for part in frame])
        table = make_table(header_length, chunks, sizes)
        name, trailer = encode_trailer(table)
        staged.write(trailer)
        size = staged.offset
        staged.replace(packs / (name + SUFFIX))
    return WrittenPack(name, size, table)


def _write_new(part: Sequence[NewChunk], packs: Path, tmp: Path, threads: int) -> WrittenPack:
    chunks = [Chunk(new.address, new.choice.codec, new.size) for new in part]
    # Closed by hand, since an error's traceback would keep it, with its threads and chunks, for as long as somebody keeps the error.
    with closing(_encode_all(part, threads)) as encoded:
        return write_pack(chunks, encoded, packs, tmp)


def _encode_all(part: Sequence[NewChunk], threads: int) -> Generator[list[Frame], None, None]:
    """The frames of each chunk, good until the next are drawn."""
    for frames, memory in run_jobs((partial(_encode, new) for new in part), threads):
        yield frames
        give_memory(memory)


def _encode(new: NewChunk) -> tuple[list[Frame], Memory]:
    memory = take_memory()
    return encode_chunk(new.data, new.choice, memory.view(new.size)), memory
