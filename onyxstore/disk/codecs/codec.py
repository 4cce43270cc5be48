"""The contract of a codec: raw bytes into planes that compress, and back.

A codec is a transform without choices. It cuts a chunk into a fixed number of *planes*, byte strings whose sizes follow from the
chunk's size alone, so that a pack's header can be written before anything is encoded. How small a plane then gets is the business
of its *stage* (`stage.py`), the writer's free choice for each plane, which is written nowhere: a frame says for itself whether it
holds compressed or raw blocks.

The codecs are a closed list (`table.py`), because an archive must be readable by everyone. A new one is a file here, a line in the
table and a new number of the store's format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.workspace import Workspace

MAX_CHUNK_BYTES = 64 << 20
"""Raw bytes of a chunk that a reader accepts: it allocates no more for one. Writers cut at 4 MiB; the rest is room for others."""

PLANE_BLOCK = 128 << 10
"""Bytes of a plane that are handed to `join` at a time: the size of a raw zstd block, so that raw planes are used where they lie."""


@dataclass(frozen=True)
class Codec(ABC):
    """One transform: its number in pack indexes, its name in pack headers, and the bytes of a word, which is also its planes."""

    number: int
    name: str
    word: int

    def plane_sizes(self, size: int) -> tuple[int, ...]:
        """The bytes of each plane of a chunk of `size` bytes; ValueError when the codec cannot have such a chunk."""
        if not 0 < size <= MAX_CHUNK_BYTES or size % self.word:
            raise ValueError(f"{self.name} has no chunk of {size} bytes")
        return (size // self.word,) * self.word

    @abstractmethod
    def split(self, data: memoryview, out: memoryview, space: Workspace) -> list[memoryview]:
        """The planes of a chunk, which stays unchanged: one after another in `out`, which is as large, or where they lie in `data`."""

    @abstractmethod
    def join(self, planes: Sequence[Sequence[memoryview]], out: memoryview, space: Workspace) -> None:
        """Writes the chunk into `out`, which has its size; each plane comes as its blocks of PLANE_BLOCK bytes, the last shorter."""


@dataclass(frozen=True)
class Choice:
    """What a writer does with the chunks of one tensor: the codec, and a stage for each of its planes."""

    codec: Codec
    stages: tuple[Stage, ...]
