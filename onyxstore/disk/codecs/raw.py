"""Raw frames: a plane inside a zstd frame, not compressed and not copied.

Three of the four planes of a float32 tensor are noise. Such a plane becomes a zstd frame of raw blocks, made by hand so that
`writev` can write the plane from where it lies. `zstd -dc` reads it as any other frame (RFC 8878, sections 3.1.1 and 3.1.1.2.2):

    offset  size  type   field
    0       4     u32    0xFD2FB528, zstd's magic
    4       1     u8     0xE0: one segment, eight bytes of content size, no checksum, no dictionary
    5       8     u64    n, bytes of the plane
    13      3     u24    header of a block: its size << 3 | 1 if it is the last; block type 0 (raw) in bits 1 and 2
    16      b     bytes  the block: 131,072 bytes of the plane, the rest in the last one; header and block repeat
    …

There is one raw frame for a plane and no other: its length and every header in it follow from n. It has no checksum because the
chunk's address vouches for its bytes. The descriptor tells the two kinds of frame apart: a compressed one always has a checksum.
"""

from __future__ import annotations

from collections.abc import Iterator

from onyxstore.disk.codecs.codec import PLANE_BLOCK
from onyxstore.hashing import Buffer

RAW_START = bytes.fromhex("28b52ffd e0")
"""Magic and descriptor, which only raw frames have."""

_FRAME_HEADER = 13
_BLOCK_HEADER = 3


def raw_frame_size(size: int) -> int:
    """The bytes of the raw frame of a plane of `size` bytes; no frame in a pack is larger."""
    return _FRAME_HEADER + size + _BLOCK_HEADER * -(-size // PLANE_BLOCK)


def encode_raw_frame(plane: Buffer) -> list[Buffer]:
    """The frame as the parts to write one after another: headers, and slices of `plane` itself."""
    view = memoryview(plane).cast("B")
    parts: list[Buffer] = [RAW_START + view.nbytes.to_bytes(8, "little")]
    for start, header in _block_headers(view.nbytes):
        parts += [header, view[start : start + PLANE_BLOCK]]
    parts[0:2] = [bytes(parts[0]) + bytes(parts[1])]
    return parts


def is_raw_frame(frame: memoryview) -> bool:
    """Whether a frame says that it is a raw one."""
    return frame[: len(RAW_START)] == RAW_START


def decode_raw_frame(frame: memoryview, size: int) -> list[memoryview]:
    """The blocks of a plane of `size` bytes, as views of `frame`; ValueError when the frame is not exactly that plane's."""
    if frame.nbytes != raw_frame_size(size) or frame[:_FRAME_HEADER] != RAW_START + size.to_bytes(8, "little"):
        raise ValueError(f"{frame.nbytes} bytes are no raw frame of {size}")
    blocks, offset = [], _FRAME_HEADER
    for start, header in _block_headers(size):
        body = offset + _BLOCK_HEADER
        if frame[offset:body] != header:
            raise ValueError(f"the raw block at byte {start} of a plane has another header")
        offset = min(body + PLANE_BLOCK, frame.nbytes)
        blocks.append(frame[body:offset])
    return blocks


def _block_headers(size: int) -> Iterator[tuple[int, bytes]]:
    """Where in the plane each block begins, and the block's header."""
    for start in range(0, size, PLANE_BLOCK):
        block = min(PLANE_BLOCK, size - start)
        last = start + block == size
        yield start, (block << 3 | last).to_bytes(_BLOCK_HEADER, "little")
