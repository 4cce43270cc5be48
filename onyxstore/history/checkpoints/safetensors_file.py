"""Plain `.safetensors` files: read strictly, written by hand, rebuilt byte for byte.

    offset  size  type   field
    0       8     u64    n, the header's length, little-endian
    8       n     JSON   {"name": {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …, "__metadata__": {text: text}}
    8+n           bytes  the tensors' data, little-endian, row after row, without gaps or overlap

(https://huggingface.co/docs/safetensors). The safetensors library is not used for either direction. It maps files, and a file cut
short meanwhile ends the process; it lets a name stand twice and unknown fields pass; it writes two metadata keys in an order that
changes from run to run. What is written here is otherwise, byte for byte, what the library writes.

Nothing is opened here: a reader hands in the header's bytes, a writer gets buffers to write one after another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from onyxstore.canonical import read_plain
from onyxstore.errors import BadFile, CannotEncode
from onyxstore.hashing import Buffer
from onyxstore.history.checkpoints.tensors import Leaf, count_bytes

LENGTH_BYTES = 8
HEADER_LIMIT = 16 << 20
"""The longest header that is read; some 130,000 tensors. The library reads 100 MB, of which Python would make a gigabyte."""

METADATA = "__metadata__"

_NAMES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "complex64": "C64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "bfloat16": "BF16", "float16": "F16", "uint16": "U16", "int16": "I16", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int8": "I8", "uint8": "U8", "float4_e2m1fn_x2": "F4", "bool": "BOOL",
}  # fmt: skip
"""The format's dtypes in the order in which the library writes tensors, widest first; those of one dtype by name."""

_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_RANKS = {dtype: rank for rank, dtype in enumerate(_NAMES)}


@dataclass(frozen=True)
class FileTensor:
    """One tensor of a file; its dtype by torch's name, its offset counted from the first byte of data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True)
class FileHeader:
    """A file's header as it stands there (without its length, with its padding), and what it says; tensors by offset."""

    raw: bytes
    tensors: tuple[FileTensor, ...]
    metadata: Mapping[str, str]

    @property
    def data_offset(self) -> int:
        """Where in the file the data begins."""
        return LENGTH_BYTES + len(self.raw)


def has_word_for(dtype: str) -> bool:
    """Whether the format can hold a dtype, given by torch's name; complex128 is one that it cannot."""
    return dtype in _NAMES


def header_length(first: Buffer, file_size: int, file: str) -> int:
    """The header's length from a file's first 8 bytes; BadFile when it is beyond the file or the limit."""
    length = int.from_bytes(bytes(first), "little")
    if len(first) != LENGTH_BYTES or length > file_size - LENGTH_BYTES:
        _refuse(file, "it is shorter than its header")
    if length > HEADER_LIMIT:
        _refuse(file, f"its header has {length} bytes; {HEADER_LIMIT} is the most")
    return length


def decode_header(raw: Buffer, file: str, file_size: int | None = None) -> FileHeader:
    """What a header says, checked against itself and, if given, the size of the whole file; BadFile says what is wrong."""
    text = bytes(raw)
    # Spaces after the closing brace are the format's padding; anything else around the object makes a polyglot of the file.
    if not text.startswith(b"{") or not text.rstrip(b" ").endswith(b"}"):
        _refuse(file, "its header is no JSON object")
    try:
        fields = read_plain(text)
    except ValueError as error:
        _refuse(file, f"its header cannot be read: {error}")
    metadata = _decode_metadata(fields.pop(METADATA, {}), file)
    tensors = sorted((_decode_tensor(name, value, file) for name, value in fields.items()), key=lambda each: (each.offset, each.size))
    end = 0
    for tensor in tensors:
        if tensor.offset != end:
            _refuse(file, f"the data of {tensor.name[:80]!r} leaves a gap or overlaps")
        end += tensor.size
    header = FileHeader(text, tuple(tensors), metadata)
    if file_size is not None and header.data_offset + end != file_size:
        _refuse(file, f"it has {file_size} bytes where its header speaks of {header.data_offset + end}")
    return header


def encode_file(tensors: Iterable[tuple[str, Leaf]], metadata: Mapping[str, str] | None = None) -> Iterator[Buffer]:
    """A file of these tensors, in buffers to be written one after another: the same bytes for the same tensors.

    CannotEncode for a dtype that the format lacks or a name that it cannot have, before the first buffer.
    """
    ordered = sorted(tensors, key=lambda each: (_rank(*each), each[0]))
    fields: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name, leaf in ordered:
        if name == METADATA or name in fields:
            raise CannotEncode(name, "a .safetensors file cannot hold two tensors of that name, or one called __metadata__")
        size = count_bytes(leaf.dtype, leaf.shape)
        fields[name] = {"dtype": _NAMES[leaf.dtype], "shape": _file_shape(leaf), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    padded = text + b" " * (-len(text) % LENGTH_BYTES)
    return iter([len(padded).to_bytes(LENGTH_BYTES, "little") + padded, *(leaf.data for _, leaf in ordered)])


def rebuild_file(header: FileHeader, read: Callable[[str], Iterable[Buffer]]) -> Iterator[Buffer]:
    """The file that had this header, byte for byte: `read` gives the bytes of the tensor of a name, in any pieces."""
    yield len(header.raw).to_bytes(LENGTH_BYTES, "little") + header.raw
    for tensor in header.tensors:
        yield from read(tensor.name)


def _decode_metadata(value: object, file: str) -> dict[str, str]:
    if type(value) is not dict or not all(type(text) is str for text in value.values()):
        _refuse(file, "its metadata is no map of texts")
    return value


def _decode_tensor(name: str, value: object, file: str) -> FileTensor:
    if type(value) is not dict or value.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(file, f"{name[:80]!r} has other fields than a tensor's")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if type(dtype) is not str or dtype not in _DTYPES:
        _refuse(file, f"{name[:80]!r} has a dtype that is not known: {str(dtype)[:20]!r}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        _refuse(file, f"{name[:80]!r} has a shape or offsets that are none")
    if dtype == "F4":
        if not shape or shape[-1] % 2:
            _refuse(file, f"{name[:80]!r} has half a byte too many")
        shape = [*shape[:-1], shape[-1] // 2]
    try:
        size = count_bytes(_DTYPES[dtype], tuple(shape))
    except ValueError as error:
        _refuse(file, f"{name[:80]!r} has {error}")
    if offsets[1] - offsets[0] != size:
        _refuse(file, f"{name[:80]!r} has data of another size than its shape")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        _refuse(file, "a name in it has half a surrogate pair")
    return FileTensor(name, _DTYPES[dtype], tuple(shape), offsets[0], size)


def _rank(name: str, leaf: Leaf) -> int:
    if leaf.dtype not in _NAMES or (leaf.dtype == "float4_e2m1fn_x2" and not leaf.shape):
        raise CannotEncode(name, f"a .safetensors file has no word for {leaf.dtype}")
    return _RANKS[leaf.dtype]


def _file_shape(leaf: Leaf) -> list[int]:
    """The shape as the file counts it: in F4's elements of half a byte, of which torch's dtype holds two."""
    return [*leaf.shape[:-1], leaf.shape[-1] * 2] if leaf.dtype == "float4_e2m1fn_x2" else list(leaf.shape)


def _are_sizes(value: object) -> bool:
    return type(value) is list and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _refuse(file: str, why: str) -> NoReturn:
    raise BadFile(file, "safetensors file", why)
