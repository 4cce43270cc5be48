"""Working memory for coding, kept from one chunk to the next and from one save to the next.

Fresh memory is dear: encoding 82 MB on two threads had 7,000 page faults, which took a third of the processor time (3 to 6 µs
each, on a virtual machine). Allocators give large blocks back to the system as soon as they can, and threads come and go with each
save; so what was used is kept here and lent again, which leaves 300 faults. zstd's contexts are kept for the same reason. Neither
they nor the memory may be used by two threads at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import zstandard

from onyxstore.disk.codecs.stage import LARGEST_WINDOW, Stage, zstd_parameters


class Memory:
    """One block, as large as the largest use of it so far."""

    def __init__(self) -> None:
        self._block = bytearray()

    def view(self, size: int) -> memoryview:
        """`size` bytes of it, with whatever was in them."""
        if len(self._block) < size:
            self._block = bytearray(size)
        return memoryview(self._block)[:size]


class Workspace:
    """What one thread needs to code one chunk: blocks by their use, and zstd's contexts."""

    def __init__(self) -> None:
        self._blocks: dict[str, Memory] = {}
        self._compressors: dict[Stage, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)

    def memory(self, use: str, size: int) -> memoryview:
        """`size` bytes for a use; the next call for the same use takes them back."""
        return self._blocks.setdefault(use, Memory()).view(size)

    def compressor(self, stage: Stage) -> zstandard.ZstdCompressor:
        """The compressor of a stage."""
        if stage not in self._compressors:
            self._compressors[stage] = zstandard.ZstdCompressor(compression_params=zstd_parameters(stage))
        return self._compressors[stage]


_idle_workspaces: list[Workspace] = []
_idle_memories: list[Memory] = []
"""As many as were ever in use at once; both lists are only popped and appended to, which needs no lock."""


@contextmanager
def borrow_workspace() -> Iterator[Workspace]:
    """A workspace for as long as one chunk is coded."""
    try:
        space = _idle_workspaces.pop()
    except IndexError:
        space = Workspace()
    try:
        yield space
    finally:
        _idle_workspaces.append(space)


def take_memory() -> Memory:
    """A block to hold what outlives one job; whoever is done with it gives it back, or lets it go."""
    try:
        return _idle_memories.pop()
    except IndexError:
        return Memory()


def give_memory(memory: Memory) -> None:
    """Keeps a block for the next `take_memory`; no view of it may be in use."""
    _idle_memories.append(memory)
