"""Copying the chunks that are still needed out of packs that hold others too.

Frames are copied as they are, after their chunks were read and matched their addresses: nothing is encoded anew, and damage is not
carried into a new pack.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from onyxstore.disk.codecs.frames import Frame
from onyxstore.disk.codecs.workspace import Memory, give_memory, take_memory
from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.packs.writer import WrittenPack, split_packs, write_pack
from onyxstore.disk.workers import run_jobs


def repack(sources: Iterable[tuple[Pack, Sequence[int]]], packs: Path, tmp: Path, threads: int) -> list[WrittenPack]:
    """Writes the given rows of each pack, a chunk that comes twice once, into new packs; on disk when this returns.

    The caller removes the old packs then. CorruptObject when a chunk is damaged: what was finished before it stays. ValueError when
    a new pack would hold what an old one holds, no more and no less: it would have its name too, and be removed with it.
    """
    places = {pack.table[row].address: (pack, row) for pack, rows in sources for row in rows}
    parts = [[places[chunk.address] for chunk in part] for part in split_packs(pack.table[row] for pack, row in places.values())]
    for part in parts:
        if len({pack for pack, _ in part}) == 1 and len(part) == len(part[0][0].table):
            raise ValueError(f"all {len(part)} chunks of pack {part[0][0].name} are no reason to write it anew")
    return [copy_rows(part, packs, tmp, threads) for part in parts]


def copy_rows(rows: Sequence[tuple[Pack, int]], packs: Path, tmp: Path, threads: int) -> WrittenPack:
    """One pack of these rows of other packs; CorruptObject when one is damaged."""
    with closing(_read_all(rows, threads)) as frames:
        return write_pack([pack.table[row] for pack, row in rows], frames, packs, tmp)


def _read_all(rows: Sequence[tuple[Pack, int]], threads: int) -> Generator[list[Frame], None, None]:
    """The frames of each row as they are stored, good until the next are drawn."""
    for frames, memory in run_jobs((partial(_read, pack, row) for pack, row in rows), threads):
        yield [[frame] for frame in frames]
        give_memory(memory)


def _read(pack: Pack, row: int) -> tuple[list[memoryview], Memory]:
    memory = take_memory()
    return pack.read_frames(row, memory), memory
