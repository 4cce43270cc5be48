"""Small objects, one to a file.

`objects/ab/cdef…` is one zstd frame (level 3, content size declared, checksum on) of the object's raw bytes; the two parts of
the path are the address of those bytes. `zstd -dc` on the file gives the object. Nothing is ever overwritten: a name that is
taken holds the same bytes, or is damaged and then replaced.

Reading checks the declared size before it allocates, and the address before it hands out a byte.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import zstandard
from blake3 import blake3

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.errors import BadFile, CorruptFile, CorruptObject, ObjectMissing
from onyxstore.hashing import Address, Buffer, address_of, is_address

LEVEL = 3
LARGEST = 1 << 30
"""Bytes that an object may have to be read into memory; larger ones (artifacts) are only streamed."""

_STREAM = 1 << 20
_LARGEST_WINDOW = 1 << 27
_LONGEST_HEADER = 18
"""Bytes of a zstd frame's header at most."""
_LARGEST_STORED = LARGEST + LARGEST // 128 + 1024


class LooseObjects:
    """The folder `objects/` of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def put(self, data: Buffer) -> Address:
        """Stores an object; on disk when this returns. One that is there already and whole costs a read."""
        address = address_of(data)
        path = self._layout.object(address)
        if self._is_whole(address):
            files.sync_folder(path.parent)
            return address
        with files.stage(self._layout.tmp) as staged:
            staged.write(_compressor().compress(bytes(data)))
            if files.exists(path):
                staged.replace(path)
            else:
                staged.publish(path)
        return address

    def put_file(self, source: Path) -> tuple[Address, int]:
        """Stores a file of any size from outside the store, in bounded memory; its address and its size.

        BadFile when it is no regular file (a FIFO would hang), or shrinks while it is read.
        """
        if not source.is_file():
            raise BadFile(str(source), "file", "there is no regular file of that name")
        size = source.stat().st_size
        hasher = blake3()
        with source.open("rb") as opened, files.stage(self._layout.tmp) as staged:
            coder = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj(size=size)
            done = 0
            while done < size and (block := opened.read(min(_STREAM, size - done))):
                hasher.update(block)
                staged.write(coder.compress(block))
                done += len(block)
            if done != size:
                raise BadFile(str(source), "file", f"it had {size} bytes, then only {done}: something writes it")
            staged.write(coder.flush())
            address = Address(hasher.hexdigest())
            staged.replace(self._layout.object(address))
        return address, done

    def get(self, address: Address) -> bytes:
        """The object's raw bytes, verified; ObjectMissing or CorruptObject."""
        path = self._layout.object(address)
        try:
            stored = files.read_bounded(path, _LARGEST_STORED)
        except FileNotFoundError:
            raise ObjectMissing(address) from None
        except CorruptFile as error:
            raise CorruptObject(address, error.file, error.why) from None
        try:
            parameters = zstandard.get_frame_parameters(stored)
            if not 0 <= parameters.content_size <= LARGEST or parameters.dict_id:
                raise CorruptObject(address, str(path), "its frame declares no size that could be read")
            data = _decode(stored) if parameters.content_size else _decode_empty(stored)
        except zstandard.ZstdError as error:
            raise CorruptObject(address, str(path), f"its frame cannot be decoded ({error})") from None
        if address_of(data) != address:
            raise CorruptObject(address, str(path), "its bytes have another address")
        return data

    def stream(self, address: Address) -> Iterator[bytes]:
        """The object's raw bytes in blocks, whatever its size; CorruptObject comes after the last block when the address is not theirs.

        Where the frame's checksum is cut off, or another frame begins after it, the bytes are right all the same, and it is not said.
        """
        path = self._layout.object(address)
        try:
            fd = files.open_read(path)
        except FileNotFoundError:
            raise ObjectMissing(address) from None
        except CorruptFile as error:
            raise CorruptObject(address, error.file, error.why) from None
        hasher = blake3()
        try:
            # Bounded blocks even where a few stored bytes stand for gigabytes. A decoder of its own: streams may interleave.
            coder = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
            decoder = coder.stream_reader(_Stored(fd), read_size=_STREAM, read_across_frames=True)  # type: ignore[arg-type]
            while block := decoder.read(_STREAM):
                hasher.update(block)
                yield block
        except zstandard.ZstdError as error:
            raise CorruptObject(address, str(path), f"its frame cannot be decoded ({error})") from None
        finally:
            files.close(fd)
        if hasher.hexdigest() != address:
            raise CorruptObject(address, str(path), "its bytes have another address")

    def has(self, address: Address) -> bool:
        """Whether a file has the address's name; reading it may still find damage."""
        return files.exists(self._layout.object(address))

    def stored_size(self, address: Address) -> int:
        """Bytes of the object's file."""
        return files.file_size(self._layout.object(address))

    def raw_size(self, address: Address) -> int:
        """The bytes that the object says it has, without reading it; ObjectMissing, CorruptObject."""
        path = self._layout.object(address)
        try:
            fd = files.open_read(path)
        except FileNotFoundError:
            raise ObjectMissing(address) from None
        except CorruptFile as error:
            raise CorruptObject(address, error.file, error.why) from None
        try:
            size = zstandard.frame_content_size(files.read_at(fd, 0, _LONGEST_HEADER))
        except zstandard.ZstdError as error:
            raise CorruptObject(address, str(path), f"its frame cannot be decoded ({error})") from None
        finally:
            files.close(fd)
        if size < 0:
            raise CorruptObject(address, str(path), "its frame declares no size that could be read")
        return size

    def addresses(self) -> Iterator[Address]:
        """Every address that a file's path spells, in order."""
        for folder in files.list_folder(self._layout.objects):
            for name in files.list_folder(self._layout.objects / folder):
                if is_address(folder + name):
                    yield Address(folder + name)

    def _is_whole(self, address: Address) -> bool:
        try:
            self.get(address)
        except (ObjectMissing, CorruptObject):
            return False
        return True


class _Stored:
    """An open file as zstandard reads one."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._offset = 0

    def read(self, size: int) -> bytes:
        data = files.read_at(self._fd, self._offset, size)
        self._offset += len(data)
        return data


_coders = threading.local()


def _decode(stored: bytes) -> bytes:
    return _decompressor().decompress(stored, allow_extra_data=False)


def _decode_empty(stored: bytes) -> bytes:
    """A frame that declares no bytes is taken at its word by zstandard's one call, whatever follows; this way it is read."""
    decoder = _decompressor().decompressobj()
    data = decoder.decompress(stored)
    if not decoder.eof or decoder.unused_data:
        raise zstandard.ZstdError("it does not end where the file does")
    return data


def _compressor() -> zstandard.ZstdCompressor:
    """A compressor of this thread's own: they are not safe to share."""
    if not hasattr(_coders, "compressor"):
        _coders.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    made: zstandard.ZstdCompressor = _coders.compressor
    return made


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_coders, "decompressor"):
        _coders.decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    made: zstandard.ZstdDecompressor = _coders.decompressor
    return made
