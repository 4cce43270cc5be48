"""Saving what is whole in a damaged pack.

A pack says twice what is in it. When its index is gone, the header names the chunks, and their frames are found by walking from
one to the next by zstd's own block headers; a frame whose headers are damaged ends the walk, and what lies behind it is lost with
the index. When the index is whole, damage costs only the chunks that it hit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.codecs.frames import decode_frame
from onyxstore.disk.codecs.raw import raw_frame_size
from onyxstore.disk.codecs.workspace import borrow_workspace
from onyxstore.disk.codecs.zstd import FRAME_START, content_size, measure_frame
from onyxstore.disk.packs.format import MAX_HEADER_BYTES, Chunk, Table, decode_header, make_table
from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.packs.repack import copy_rows
from onyxstore.disk.packs.writer import WrittenPack
from onyxstore.errors import CorruptFile, CorruptObject, Damage

_HEADER_SHARE = 32
"""Bytes of header for a byte of pack, more than any has: a frame of 14 bytes has 82 in the header. Bounds what a bomb may unpack."""


@dataclass(frozen=True)
class Rescue:
    """What came of it: the pack that holds all that was whole, if anything was, and what was not."""

    written: WrittenPack | None
    lost: tuple[Damage, ...]


def rescue_pack(path: Path, packs: Path, tmp: Path, threads: int = 1) -> Rescue:
    """Writes the whole chunks of a damaged pack into a new one; on disk when this returns.

    The new pack replaces the old one when nothing was lost: their names are equal then. Otherwise the caller sets the old one
    aside. CorruptFile when neither index nor header can be read.
    """
    try:
        pack = Pack.open(path)
    except CorruptFile:
        pack = rebuild_pack(path)
    lost = tuple(pack.verify(threads))
    damaged = {damage.address for damage in lost if isinstance(damage, CorruptObject)}
    whole = [(pack, row) for row, chunk in enumerate(pack.table) if chunk.address not in damaged]
    return Rescue(copy_rows(whole, packs, tmp, threads) if whole else None, lost)


def rebuild_pack(path: Path) -> Pack:
    """Opens a pack by its header and frames, whatever its index is like; CorruptFile when the header or the first frame is damaged.

    Its rows are those of the frames up to the first that cannot be measured. Reading one may still find damage.
    """
    return Pack.open_by(path, _walk)


def _walk(fd: int) -> Table:
    header_length, chunks = _read_header(fd)
    sizes = list(_frame_sizes(fd, header_length, chunks))
    whole, counted = 0, 0
    while whole < len(chunks) and counted + chunks[whole].codec.word <= len(sizes):
        counted += chunks[whole].codec.word
        whole += 1
    if not whole:
        raise ValueError("neither its index nor its first frame can be read")
    return make_table(header_length, chunks[:whole], sizes[:counted])


def _read_header(fd: int) -> tuple[int, list[Chunk]]:
    declared = content_size(files.read_at(fd, 0, FRAME_START))
    if declared > min(MAX_HEADER_BYTES, _HEADER_SHARE * files.size_of(fd)):
        raise ValueError(f"its header would have {declared} bytes")
    stored = memoryview(files.read_at(fd, 0, raw_frame_size(declared)))
    length = measure_frame(stored)
    with borrow_workspace() as space:
        return length, decode_header(b"".join(decode_frame(stored[:length], memoryview(bytearray(declared)), space)))


def _frame_sizes(fd: int, offset: int, chunks: Sequence[Chunk]) -> Iterator[int]:
    for chunk in chunks:
        for size in chunk.codec.plane_sizes(chunk.size):
            try:
                length = measure_frame(files.read_at(fd, offset, raw_frame_size(size)))
            except ValueError:
                return
            yield length
            offset += length
