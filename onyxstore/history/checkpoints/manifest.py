"""Checkpoints as objects: a tree object for each of the three trees, a manifest over them.

Both are canonical JSON and hold content only, no step, time or metric: the same weights saved by another run are the same objects.

A *tree object* holds the tagged tree and where its tensors' bytes are:

    {"onyx": "tree", "chunk_bytes": 4194304, "tree": tagged, "tensors": [
        {"path": ["model", "wte.weight"], "dtype": "float32", "shape": [65, 384], "pieces": [
            {"offset": [0, 0], "shape": [65, 384], "chunks": [address, …]}]}, …]}

`path` is the first place where the tensor stands. A tensor has one piece, which is the whole of it; its chunks are slices of
`chunk_bytes`, the last one shorter, none for an empty tensor.

A *manifest* names the trees (`rng` and `tracked` null where there is none), the bytes of each part (the first key of `state`), and
the file that the checkpoint was, if it was committed as one:

    {"onyx": "manifest", "state": address, "rng": address, "tracked": address, "sizes": {"model": 43610112, …},
     "file": null | {"name": "model.safetensors", "header": address, "kind": "safetensors"}}

Reading is strict: a field missing or too many, a wrong type, sizes that don't go together, or a spelling that isn't canonical are
each a ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.hashing import Address, Buffer, is_address
from onyxstore.history.checkpoints.chunking import CHUNK_BYTES, check_chunk_bytes, count_chunks
from onyxstore.history.checkpoints.tensors import count_bytes
from onyxstore.history.checkpoints.tree import Tagged
from onyxstore.history.checkpoints.walk import Path
from onyxstore.names import check_relative_path

_SPELT = re.compile(rb'"([0-9a-f]{64})"')

FILE_KINDS = frozenset({"safetensors"})
"""Files whose tree and header are enough to write them again byte for byte."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a tree object: the first place where it stands, what it is, and its chunks in order."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Address, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return count_bytes(self.dtype, self.shape)


@dataclass(frozen=True)
class TreeObject:
    """One tree as it is stored: tagged JSON, its tensors by index, and the bytes of a chunk of theirs that is not the last."""

    tree: Tagged
    tensors: tuple[StoredTensor, ...] = ()
    chunk_bytes: int = CHUNK_BYTES

    def addresses(self) -> set[Address]:
        """The chunks that it needs."""
        return {address for tensor in self.tensors for address in tensor.chunks}

    def sizes(self) -> dict[str, int]:
        """The bytes of each part, a part being the first key of a path; a tied tensor counts where it stands first."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            part = str(tensor.path[0]) if tensor.path else ""
            sizes[part] = sizes.get(part, 0) + tensor.size
        return sizes


@dataclass(frozen=True)
class CommittedFile:
    """The file that a checkpoint was: its path relative to the store's folder, its header's address, its kind."""

    name: str
    header: Address
    kind: str = "safetensors"


@dataclass(frozen=True)
class Manifest:
    """A checkpoint: the addresses of its tree objects, the bytes of each part, and the file that it was, if any."""

    state: Address
    rng: Address | None = None
    tracked: Address | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    file: CommittedFile | None = None

    def trees(self) -> list[Address]:
        """The tree objects that it needs."""
        return [address for address in (self.state, self.rng, self.tracked) if address is not None]


def encode_tree_object(tree: TreeObject) -> bytes:
    """The bytes of a tree object."""
    tensors = [_encode_tensor(tensor) for tensor in tree.tensors]
    return plain_bytes({"onyx": "tree", "chunk_bytes": tree.chunk_bytes, "tree": tree.tree, "tensors": tensors})


def decode_tree_object(data: Buffer) -> TreeObject:
    """The tree object of these bytes; ValueError when they are none."""
    fields = _fields(_read(data, "tree"), {"onyx", "chunk_bytes", "tree", "tensors"})
    chunk_bytes = check_chunk_bytes(fields["chunk_bytes"])
    return TreeObject(fields["tree"], tuple(_decode_tensor(tensor, chunk_bytes) for tensor in _list(fields["tensors"])), chunk_bytes)


def scan_addresses(data: Buffer) -> set[Address]:
    """Everything in the bytes of a tree object that is spelt like an address: its chunks, and texts of the state that look like one.

    For who looks through hundreds of trees: it takes a twentieth of what decoding takes.
    """
    return {Address(found.decode()) for found in set(_SPELT.findall(data))}


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest."""
    file = manifest.file
    committed = None if file is None else {"name": file.name, "header": file.header, "kind": file.kind}
    trees = {"state": manifest.state, "rng": manifest.rng, "tracked": manifest.tracked}
    return plain_bytes({"onyx": "manifest", **trees, "sizes": dict(manifest.sizes), "file": committed})


def decode_manifest(data: Buffer) -> Manifest:
    """The manifest of these bytes; ValueError when they are none."""
    fields = _fields(_read(data, "manifest"), {"onyx", "state", "rng", "tracked", "sizes", "file"})
    sizes = fields["sizes"]
    if type(sizes) is not dict or not all(_is_count(size) for size in sizes.values()):
        _refuse("sizes that are none")
    state, rng, tracked = _address(fields["state"]), _find_address(fields["rng"]), _find_address(fields["tracked"])
    return Manifest(state, rng, tracked, sizes, None if fields["file"] is None else _decode_file(fields["file"]))


def _encode_tensor(tensor: StoredTensor) -> dict[str, Any]:
    whole = {"offset": [0] * len(tensor.shape), "shape": list(tensor.shape), "chunks": list(tensor.chunks)}
    return {"path": list(tensor.path), "dtype": tensor.dtype, "shape": list(tensor.shape), "pieces": [whole]}


def _decode_tensor(value: object, chunk_bytes: int) -> StoredTensor:
    fields = _fields(value, {"path", "dtype", "shape", "pieces"})
    path, shape, pieces = _list(fields["path"]), _list(fields["shape"]), _list(fields["pieces"])
    if not all(type(key) in {str, int} for key in path) or type(fields["dtype"]) is not str:
        _refuse("a tensor whose path or dtype is none")
    if len(pieces) != 1:
        _refuse("a tensor that is not in one piece")
    piece = _fields(pieces[0], {"offset", "shape", "chunks"})
    if piece["shape"] != shape or piece["offset"] != [0] * len(shape):
        _refuse("a piece that is not the whole tensor")
    chunks = tuple(_address(chunk) for chunk in _list(piece["chunks"]))
    if len(chunks) != count_chunks(count_bytes(fields["dtype"], tuple(shape)), chunk_bytes):
        _refuse("a tensor whose chunks don't make up its size")
    return StoredTensor(tuple(path), fields["dtype"], tuple(shape), chunks)


def _decode_file(value: object) -> CommittedFile:
    fields = _fields(value, {"name", "header", "kind"})
    if type(fields["name"]) is not str or type(fields["kind"]) is not str or fields["kind"] not in FILE_KINDS:
        _refuse("a file of no known kind")
    return CommittedFile(check_relative_path("file", fields["name"]), _address(fields["header"]), fields["kind"])


def _read(data: Buffer, kind: str) -> Any:
    value = read_plain(data)
    if type(value) is not dict or value.get("onyx") != kind:
        _refuse(f"no {kind}")
    if plain_bytes(value) != bytes(data):
        _refuse(f"a {kind} in another spelling than the canonical one")
    return value


def _fields(value: object, names: set[str]) -> dict[str, Any]:
    if type(value) is not dict or value.keys() != names:
        _refuse(f"an object with other fields than {', '.join(sorted(names))}")
    return value


def _list(value: object) -> list[Any]:
    if type(value) is not list:
        _refuse("something else where a list belongs")
    return value


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _address(value: object) -> Address:
    if not is_address(value):
        _refuse("something else where an address belongs")
    return Address(str(value))


def _find_address(value: object) -> Address | None:
    return None if value is None else _address(value)


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
