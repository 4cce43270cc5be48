"""Compressed frames: what is demanded of them on the way out and on the way back.

The defaults of the zstandard package are not for archives. What is written here has a checksum and declares its size; what is read
must be exactly one frame that declares the size expected (checked before memory is allocated for it), with a checksum, without a
dictionary and without anything behind it (RFC 8878).
"""

from __future__ import annotations

import zstandard

from onyxstore.disk.codecs.stage import LARGEST_WINDOW, Stage
from onyxstore.disk.codecs.workspace import Workspace
from onyxstore.hashing import Buffer

FRAME_START = 18
"""Bytes in which a frame declares its size, at the most."""

_MAGIC = bytes.fromhex("28b52ffd")
_CHECKSUM, _BLOCK_HEADER = 4, 3
_RLE, _RESERVED = 1, 3


def compress_into(plane: Buffer, stage: Stage, out: memoryview, space: Workspace) -> int | None:
    """Writes a frame of `plane` into `out`; its length, or None when it would fill `out` or more. Drops the interpreter lock."""
    size = memoryview(plane).nbytes
    length: int = space.compressor(stage).stream_reader(plane, size=size).readinto(out)
    return length if length < out.nbytes else None


def decompress_into(frame: memoryview, out: memoryview, space: Workspace) -> None:
    """Writes what one whole frame holds into `out`; ValueError unless it holds exactly as much. Drops the interpreter lock."""
    _check_frame(frame, out.nbytes)
    reader = space.decompressor.stream_reader(frame)
    try:
        # The second read has nothing to give, but sees to it that the frame was decoded to its end and its checksum compared.
        whole = reader.readinto(out) == out.nbytes and not reader.read(1)
    except zstandard.ZstdError as error:
        raise ValueError(f"a frame cannot be decoded ({error})") from None
    if not whole:
        raise ValueError("a frame holds less or more than it declares")


def content_size(frame: Buffer) -> int:
    """The bytes that the frame at the start of `frame` declares; ValueError when there is no frame or it declares none."""
    return _parameters(frame).content_size


def measure_frame(data: Buffer) -> int:
    """The length of the frame at the start of `data`, by its own headers; ValueError when it is none or does not end in `data`."""
    view = memoryview(data)
    checksum = _CHECKSUM if _parameters(view[:FRAME_START]).has_checksum else 0
    offset, last = zstandard.frame_header_size(view[:FRAME_START]), False
    while not last:
        header = int.from_bytes(view[offset : offset + _BLOCK_HEADER], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if offset + _BLOCK_HEADER > view.nbytes or kind == _RESERVED:
            raise ValueError("a frame has no last block")
        offset += _BLOCK_HEADER + (1 if kind == _RLE else size)
    if offset + checksum > view.nbytes:
        raise ValueError("a frame is cut off")
    return offset + checksum


def _check_frame(frame: memoryview, size: int) -> None:
    declared = _parameters(frame[:FRAME_START])
    if declared.content_size != size:
        raise ValueError(f"a frame declares {declared.content_size} bytes where {size} belong")
    if declared.dict_id or not declared.has_checksum or declared.window_size > LARGEST_WINDOW:
        raise ValueError("a frame wants a dictionary, a larger window, or has no checksum")
    if measure_frame(frame) != frame.nbytes:
        raise ValueError("a frame has something behind it")


def _parameters(frame: Buffer) -> zstandard.FrameParameters:
    try:
        declared = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as error:
        raise ValueError(f"no frame ({error})") from None
    if declared.content_size == zstandard.CONTENTSIZE_UNKNOWN or bytes(frame[:4]) != _MAGIC:
        raise ValueError("no frame that declares its size")
    return declared
