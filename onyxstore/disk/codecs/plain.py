"""The codec that changes nothing: bytes as they are, one plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onyxstore.disk.codecs.codec import PLANE_BLOCK, Codec
from onyxstore.disk.codecs.workspace import Workspace


@dataclass(frozen=True)
class Plain(Codec):
    """For words of one byte, small chunks, and what nothing can be gained on: its raw frame is written from the tensor itself."""

    def split(self, data: memoryview, out: memoryview, space: Workspace) -> list[memoryview]:  # noqa: ARG002 - needs neither
        """The chunk itself, where it lies."""
        return [data]

    def join(self, planes: Sequence[Sequence[memoryview]], out: memoryview, space: Workspace) -> None:  # noqa: ARG002 - needs none
        """The plane, block by block."""
        for number, block in enumerate(planes[0]):
            out[number * PLANE_BLOCK : number * PLANE_BLOCK + block.nbytes] = block
