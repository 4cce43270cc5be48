"""The bytes of a pack, apart from any file.

A pack is a zstd-compressed safetensors file, `packs/NAME.safetensors.zst`: `zstd -dc` makes a file of it that any safetensors
reader opens, with the planes of all chunks as tensors and the recipe for them in its metadata. All numbers are little endian.

    offset  size  type         field
    0       h     zstd frame   the header: that of a safetensors file, below
    h       …     zstd frames  the planes of chunk 0, lowest first; of chunk 1; and so on
    e       4     u32          0x184D2A5E, a skippable frame, which zstd readers pass over
    e+4     4     u32          c, bytes of the index
    e+8     c     bytes        the index, below; the file ends with it

The *header* is u64 n, then n bytes of canonical JSON, padded with spaces to a multiple of eight. Plane P of chunk C is the tensor
"C.P", of dtype U8 and shape [its bytes], in the order of the frames. The one metadata key, `onyx`, is JSON text:
{"format": 1, "chunks": [{"address": 64 hexadecimal digits, "codec": name, "size": raw bytes}, …]}.

The *index* has a column for each property, N chunks and F frames long, all in the order of the file:

    offset  size  type     field
    0       32 N  bytes    addresses of the chunks; none twice
    …       4 N   u32      raw size of each chunk
    …       4 F   u32      stored size of each frame
    …       N     u8       codec number of each chunk; a codec says how many planes, so frames, a chunk of some size has
    c-48    4     u32      N, from 1 to 65,536
    c-44    4     u32      F
    c-40    4     u32      0; a later format may put deltas' bases here
    c-36    4     u32      1, the format of the index
    c-32    8     u64      h, bytes of the header's frame
    c-24    8     u64      c, bytes of this index
    c-16    4     u32      CRC-32 of all of the index before this field
    c-12    12    text     "onyx pack 1", newline

Offsets are not stored: they are sums of sizes, so they cannot contradict one another, and the file has exactly the length that
follows. NAME is the first 32 hexadecimal digits of the BLAKE3 of the index. Header and index say the same and each can be made
from the other and the frames, so that a pack outlives the loss of either.
"""

from __future__ import annotations

import operator
import re
import struct
import sys
from array import array
from binascii import crc32
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from blake3 import blake3

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.disk.codecs.codec import Codec
from onyxstore.disk.codecs.raw import raw_frame_size
from onyxstore.disk.codecs.table import CODECS, get_codec
from onyxstore.hashing import ADDRESS_BYTES, Address, Buffer, parse_address

FORMAT = 1
SUFFIX = ".safetensors.zst"
MAX_CHUNKS = 1 << 16
"""Chunks in a pack, so that the header of a pack of eight-plane chunks stays below what safetensors reads (50 of 100 MB)."""
MAX_HEADER_BYTES = 100_000_000
MAX_INDEX_BYTES = MAX_CHUNKS * (ADDRESS_BYTES + 4 + 1 + 4 * max(codec.word for codec in CODECS)) + 48

FOOTER = struct.Struct("<IIIIQQI12s")
TRAILER = struct.Struct("<II")
"""Magic and size of the skippable frame around the index."""

_SKIPPABLE = 0x184D2A5E
_MAGIC = b"onyx pack 1\n"
_AFTER_CRC = 16
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Chunk:
    """A chunk as a header names it."""

    address: Address
    codec: Codec
    size: int
    """Raw bytes."""


@dataclass(frozen=True)
class Row(Chunk):
    """A chunk with the place of its frames in the file."""

    offset: int
    frames: tuple[int, ...]
    """Stored bytes of each of its frames, which follow one another."""

    @property
    def stored(self) -> int:
        """Stored bytes of the chunk."""
        return sum(self.frames)


class Table:
    """What an index says: the chunks of one pack, in the order of the file. Never changed once made."""

    def __init__(self, header_length: int, addresses: bytes, codecs: bytes, sizes: Sequence[int], frames: Sequence[int]) -> None:
        self.header_length, self.sizes = header_length, sizes
        self._addresses, self._codecs, self._frames = addresses, codecs, frames
        self._offsets = array("Q", accumulate(frames, initial=header_length))
        self._first = array("I", accumulate((CODECS[codec].word for codec in codecs), initial=0))

    def __len__(self) -> int:
        """How many chunks the pack has."""
        return len(self._codecs)

    def __getitem__(self, number: int) -> Row:
        """Chunk `number`; IndexError when there is none."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        first, end = self._first[number], self._first[number + 1]
        codec, size = CODECS[self._codecs[number]], self.sizes[number]
        start = number * ADDRESS_BYTES
        address = Address(self._addresses[start : start + ADDRESS_BYTES].hex())
        return Row(address, codec, size, self._offsets[first], tuple(self._frames[first:end]))

    def __iter__(self) -> Iterator[Row]:
        """The chunks in the order of the file."""
        return map(self.__getitem__, range(len(self)))

    def stored(self, number: int) -> int:
        """Stored bytes of chunk `number`."""
        return self._offsets[self._first[number + 1]] - self._offsets[self._first[number]]

    @property
    def keys(self) -> list[bytes]:
        """The chunks' addresses as bytes."""
        return [self._addresses[start : start + ADDRESS_BYTES] for start in range(0, len(self._addresses), ADDRESS_BYTES)]

    @property
    def end(self) -> int:
        """Where the last frame ends, and the skippable frame begins."""
        return self._offsets[-1]

    def content(self) -> bytes:
        """The index, as `encode_index` writes it."""
        columns = self._addresses + _pack_column(self.sizes) + _pack_column(self._frames) + self._codecs
        length = len(columns) + FOOTER.size
        footer = FOOTER.pack(len(self), len(self._frames), 0, FORMAT, self.header_length, length, 0, _MAGIC)
        checked = columns + footer[:-_AFTER_CRC]
        return checked + crc32(checked).to_bytes(4, "little") + _MAGIC


def pack_name(content: bytes) -> str:
    """The name of the pack with that index."""
    return blake3(content).hexdigest()[:32]


def is_pack_name(text: str) -> bool:
    """Whether `text` could name a pack."""
    return _NAME.fullmatch(text) is not None


def make_table(header_length: int, chunks: Sequence[Chunk], frames: Sequence[int]) -> Table:
    """The table of chunks whose frames have the stored sizes `frames`, after a header of `header_length` bytes.

    ValueError when it is none that a reader would accept.
    """
    addresses = b"".join(bytes.fromhex(chunk.address) for chunk in chunks)
    codecs, sizes = bytes(chunk.codec.number for chunk in chunks), array("I", [chunk.size for chunk in chunks])
    _check_columns(addresses, codecs, sizes, frames)
    return Table(header_length, addresses, codecs, sizes, array("I", frames))


def encode_trailer(table: Table) -> tuple[str, bytes]:
    """The pack's name, and the skippable frame that ends it."""
    content = table.content()
    return pack_name(content), TRAILER.pack(_SKIPPABLE, len(content)) + content


def decode_trailer_size(footer: bytes) -> int:
    """The bytes of the whole skippable frame, from the last 48 bytes of a file; ValueError when they are no footer."""
    if len(footer) != FOOTER.size or not footer.endswith(_MAGIC):
        raise ValueError("it does not end in an index")
    length: int = FOOTER.unpack(footer)[5]
    if not FOOTER.size <= length <= MAX_INDEX_BYTES:
        raise ValueError(f"its index would have {length} bytes")
    return TRAILER.size + length


def decode_trailer(trailer: bytes, name: str, file_size: int) -> Table:
    """What the last frame of pack `name`, a file of `file_size` bytes, says; ValueError when anything in it is off."""
    content = trailer[TRAILER.size :]
    if trailer[: TRAILER.size] != TRAILER.pack(_SKIPPABLE, len(content)):
        raise ValueError("its index is in no skippable frame")
    table = decode_index(content)
    if pack_name(content) != name:
        raise ValueError(f"its index is that of {pack_name(content)}")
    if table.end + len(trailer) != file_size:
        raise ValueError(f"it has {file_size} bytes where its index speaks of {table.end + len(trailer)}")
    return table


def decode_index(content: bytes) -> Table:
    """What an index says; ValueError when anything in it is off."""
    if decode_trailer_size(content[-FOOTER.size :]) != TRAILER.size + len(content):
        raise ValueError("its index has another length")
    count, frame_count, bases, number, header_length, _, crc, _ = FOOTER.unpack(content[-FOOTER.size :])
    if crc32(memoryview(content)[:-_AFTER_CRC]) != crc:
        raise ValueError("its index fails its check")
    if (bases, number) != (0, FORMAT) or not 0 < header_length <= raw_frame_size(MAX_HEADER_BYTES):
        raise ValueError(f"its index has format {number}, {bases} bases and a header of {header_length} bytes")
    ends = list(accumulate((ADDRESS_BYTES * count, 4 * count, 4 * frame_count, count)))
    if ends[-1] + FOOTER.size != len(content):
        raise ValueError(f"its index is none of {count} chunks in {frame_count} frames")
    addresses, codecs = content[: ends[0]], content[ends[2] : ends[3]]
    sizes, frames = _read_column(content[ends[0] : ends[1]]), _read_column(content[ends[1] : ends[2]])
    _check_columns(addresses, codecs, sizes, frames)
    return Table(header_length, addresses, codecs, sizes, frames)


def encode_header(chunks: Iterable[Chunk]) -> bytes:
    """The header of a safetensors file with these chunks' planes; the same chunks give the same bytes."""
    tensors: dict[str, Any] = {}
    recipe: list[dict[str, Any]] = []
    offset = 0
    for number, chunk in enumerate(chunks):
        recipe.append({"address": chunk.address, "codec": chunk.codec.name, "size": chunk.size})
        for plane, size in enumerate(chunk.codec.plane_sizes(chunk.size)):
            tensors[f"{number}.{plane}"] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
            offset += size
    tensors["__metadata__"] = {"onyx": plain_bytes({"format": FORMAT, "chunks": recipe}).decode()}
    text = plain_bytes(tensors)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def decode_header(header: bytes) -> list[Chunk]:
    """The chunks that a pack's header names; ValueError when it is not exactly the header of those chunks."""
    text = header[8:]
    if not 8 < len(header) <= MAX_HEADER_BYTES or int.from_bytes(header[:8], "little") != len(text):
        raise ValueError("its header has another length")
    try:
        recipe = read_plain(read_plain(text)["__metadata__"]["onyx"].encode())
        chunks = [Chunk(parse_address(item["address"]), get_codec(item["codec"]), item["size"]) for item in recipe["chunks"]]
        counted = 0 < len(chunks) <= MAX_CHUNKS and all(type(chunk.size) is int for chunk in chunks)
        whole = counted and encode_header(chunks) == header
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError("its header is not that of a pack")
    return chunks


def _check_columns(addresses: bytes, codecs: bytes, sizes: Sequence[int], frames: Sequence[int]) -> None:
    """ValueError unless every codec is known and can have a chunk of its size, no frame is too long, and no address stands twice."""
    count = len(codecs)
    if not 0 < count <= MAX_CHUNKS:
        raise ValueError(f"its index has {count} chunks")
    if any(codec >= len(CODECS) for codec in set(codecs)):
        raise ValueError("its index names an unknown codec")
    longest = [length for chunk in zip(codecs, sizes, strict=True) for length in _longest_frames(*chunk)]
    if len(longest) != len(frames) or not all(map(operator.le, frames, longest)) or 0 in frames:
        raise ValueError("its index has frames of impossible sizes")
    if len({addresses[start : start + ADDRESS_BYTES] for start in range(0, len(addresses), ADDRESS_BYTES)}) != count:
        raise ValueError("its index has an address twice")


@lru_cache(maxsize=4096)
def _longest_frames(codec: int, size: int) -> tuple[int, ...]:
    """The most that each frame of a chunk may take; ValueError when there is no such chunk. Most chunks have the same few sizes."""
    return tuple(raw_frame_size(plane) for plane in CODECS[codec].plane_sizes(size))


def _read_column(column: Buffer) -> array[int]:
    values = array("I", bytes(column))
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _pack_column(values: Iterable[int]) -> bytes:
    column = array("I", values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()
