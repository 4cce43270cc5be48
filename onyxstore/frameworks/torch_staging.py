"""Warm memory that states are copied into, used again and again.

A save blocks training for one copy. 130 MB take 8 ms into memory that was written before, and from 18 to 300 ms into fresh
memory, which the system has to find and zero first. So a run keeps the memory of its last save for the next one. A *slot* holds
the copy of one save; there are two, since at most two saves are in flight, and the second gets memory only when it is needed.
Memory that went mostly unused for some saves is given back.

CUDA tensors go to page-locked memory, where the device copies by itself. Nothing here needs torch.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from onyxstore.frameworks.capture import ALIGNMENT, capture_tree, new_memory
from onyxstore.frameworks.contract import Memory

SLOTS = 2
SLACK = 64 << 10
"""Room behind the state for what is captured after it: the generators' states are 10 kB."""

PATIENCE = 8
"""Saves after which memory that was too large, or a slot that was idle, is given back."""


class StagingPool:
    """The slots of one run. `take` and `give_back` may be called from different threads."""

    def __init__(self) -> None:
        """With no memory yet."""
        self._slots = [Slot() for _ in range(SLOTS)]
        self._free = list(self._slots)
        self._changed = threading.Condition()

    def take(self) -> Slot:
        """A slot for one save, the warmest that is free; waits while all are in flight."""
        with self._changed:
            while not self._free:
                self._changed.wait()
            slot = min(self._free, key=self._slots.index)
            self._free.remove(slot)
            for idle in self._free:
                idle.pass_over()
            return slot

    def give_back(self, slot: Slot) -> None:
        """Ends a save: the trees captured in the slot are void from now on. Once for each `take`."""
        slot.clear()
        with self._changed:
            self._free.append(slot)
            self._changed.notify()


class Slot:
    """The memory of one save, of both kinds, filled from the front."""

    def __init__(self) -> None:
        """Empty and cold."""
        self._stretches = {False: _Stretch(pinned=False), True: _Stretch(pinned=True)}
        self._idle = 0

    def capture(self, value: object) -> Any:
        """A neutral copy of `value` in this slot; CannotEncode names what cannot be stored."""
        return capture_tree(value, self._take)

    def clear(self) -> None:
        """Forget what was captured; the memory stays, unless most of it went unused for long."""
        self._idle = 0
        for stretch in self._stretches.values():
            stretch.clear()

    def pass_over(self) -> None:
        """Another slot was taken instead: give the memory back when that goes on."""
        self._idle += 1
        if self._idle >= PATIENCE:
            self._stretches = {pinned: _Stretch(pinned=pinned) for pinned in self._stretches}

    def _take(self, size: int, pinned: bool) -> Memory:  # noqa: FBT001 (a Take)
        return self._stretches[pinned].take(size)


class _Stretch:
    """Memory of one kind: one block that is kept, and whatever did not fit into it this time."""

    def __init__(self, *, pinned: bool) -> None:
        self.pinned = pinned
        self.block: Memory | None = None
        self.used = 0
        self.needs: deque[int] = deque(maxlen=PATIENCE)
        self.parts: dict[tuple[int, int], Memory] = {}

    def take(self, size: int) -> Memory:
        start = self.used
        self.used += -(-size // ALIGNMENT) * ALIGNMENT
        if start == 0 and (self.block is None or self.used > len(self.block.array)):
            self.block, self.parts = self.allocate(size + size // 64 + SLACK), {}
        if self.block is None or start + size > len(self.block.array):
            return self.allocate(size)
        place = start, size
        if place not in self.parts:
            self.parts[place] = Memory(self.block.array[start : start + size])
        return self.parts[place]

    def allocate(self, size: int) -> Memory:
        if not self.pinned:
            return new_memory(size)
        from onyxstore.frameworks.torch_state import pinned_memory  # noqa: PLC0415 (only CUDA tensors need it, and torch)

        return Memory(pinned_memory(size))

    def clear(self) -> None:
        self.needs.append(self.used)
        size = 0 if self.block is None else len(self.block.array)
        too_small = self.used > size
        too_large = len(self.needs) == PATIENCE and max(self.needs) * 2 < size
        if too_small or too_large:
            self.block, self.parts = None, {}
        if too_small:
            self.block = self.allocate(self.used + self.used // 64)
            self.block.array.fill(0)  # here, in the background, the system zeroes it once; the next save finds it warm
        self.used = 0
