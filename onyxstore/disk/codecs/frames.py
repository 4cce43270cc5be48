"""A chunk to the frames that a pack holds, and back."""

from __future__ import annotations

from collections.abc import Sequence

from onyxstore.disk.codecs.codec import PLANE_BLOCK, Choice, Codec
from onyxstore.disk.codecs.raw import decode_raw_frame, encode_raw_frame, is_raw_frame, raw_frame_size
from onyxstore.disk.codecs.stage import Stage
from onyxstore.disk.codecs.workspace import Workspace, borrow_workspace
from onyxstore.disk.codecs.zstd import compress_into, decompress_into
from onyxstore.hashing import Buffer

Frame = list[Buffer]
"""One frame, as the parts to write one after another."""


def encode_chunk(data: memoryview, choice: Choice, out: memoryview) -> list[Frame]:
    """A frame for each plane of a chunk. They are views of `data` and of `out`, which is as large and the frames' until written.

    ValueError when the codec cannot have a chunk of that size. Drops the interpreter lock.
    """
    flat = data.cast("B")
    sizes = choice.codec.plane_sizes(flat.nbytes)
    frames, offset = [], 0
    with borrow_workspace() as space:
        planes = choice.codec.split(flat, out, space)
        for plane, size, stage in zip(planes, sizes, choice.stages, strict=True):
            frames.append(encode_frame(plane, stage, out[offset : offset + size], space))
            offset += size
    return frames


def encode_frame(plane: memoryview, stage: Stage, out: memoryview, space: Workspace) -> Frame:
    """One plane, compressed as `stage` says into `out` (where it may lie itself), or raw when that makes it no smaller."""
    if stage is not Stage.RAW:
        made = space.memory("frame", plane.nbytes)
        length = compress_into(plane, stage, made, space)
        if length is not None:
            out[:length] = made[:length]
            return [out[:length]]
    return encode_raw_frame(plane)


def decode_chunk(codec: Codec, frames: Sequence[memoryview], out: memoryview) -> None:
    """Writes the chunk into `out`, which has its raw size; ValueError when the frames are not exactly such a chunk's.

    What was written into `out` before an error is worthless. Drops the interpreter lock.
    """
    flat = out.cast("B")
    sizes = codec.plane_sizes(flat.nbytes)
    with borrow_workspace() as space:
        planes = space.memory("planes", flat.nbytes)
        starts = range(0, flat.nbytes, sizes[0])
        blocks = [
            decode_frame(frame, planes[start : start + size], space)
            for frame, size, start in zip(frames, sizes, starts, strict=True)
        ]  # fmt: skip
        codec.join(blocks, flat, space)


def decode_frame(frame: memoryview, plane: memoryview, space: Workspace) -> list[memoryview]:
    """The blocks of the plane that a frame holds: of the frame itself if it is raw, else of `plane`, into which it is decompressed.

    ValueError when the frame holds anything but a plane of that size.
    """
    if is_raw_frame(frame):
        return decode_raw_frame(frame, plane.nbytes)
    if frame.nbytes > raw_frame_size(plane.nbytes):
        raise ValueError(f"a frame of {frame.nbytes} bytes is longer than its plane of {plane.nbytes}")
    decompress_into(frame, plane, space)
    return [plane[start : start + PLANE_BLOCK] for start in range(0, plane.nbytes, PLANE_BLOCK)]
