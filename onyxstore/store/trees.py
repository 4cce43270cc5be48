"""State trees into the store and out of it.

Writing: every chunk of every tensor is hashed on threads, the store is asked which it lacks, those go into one pack, and then the
tree objects and the manifest are put, which name nothing that is not there yet. Reading: memory is allocated from the sizes that
the tree object states, which its own check has held against its chunks, and chunks are decoded straight into it on threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from onyxstore.disk.objects import NewTensor, ObjectStore
from onyxstore.disk.workers import default_threads, run_jobs
from onyxstore.errors import CorruptObject
from onyxstore.hashing import Address, address_of
from onyxstore.history.checkpoints.chunking import split_chunks
from onyxstore.history.checkpoints.manifest import (
    CommittedFile,
    Manifest,
    StoredTensor,
    TreeObject,
    decode_manifest,
    decode_tree_object,
    encode_manifest,
    encode_tree_object,
)
from onyxstore.history.checkpoints.tensors import Leaf
from onyxstore.history.checkpoints.tree import encode_tree
from onyxstore.history.checkpoints.tree_decoding import decode_tree, tensor_indices

T = TypeVar("T")


@dataclass(frozen=True)
class Trees:
    """The three neutral trees of a checkpoint, and the file that it was if it was one, with that file's header."""

    state: Any
    rng: Any = None
    tracked: Any = None
    file: CommittedFile | None = None
    header: bytes = b""


@dataclass(frozen=True)
class WrittenTrees:
    """A stored checkpoint: its manifest, its raw bytes, and the bytes that the store grew by."""

    manifest: Address
    raw: int
    stored: int


def write_trees(objects: ObjectStore, trees: Trees) -> WrittenTrees:
    """Stores a checkpoint; on disk when this returns. The store must be pinned. CannotEncode names what has no encoding."""
    parts = {"state": trees.state, "rng": trees.rng, "tracked": trees.tracked}
    encoded = {name: encode_tree(tree) for name, tree in parts.items() if tree is not None}
    leaves = [leaf for _, found in encoded.values() for _, leaf in found]
    hashed = _hash_leaves(leaves)
    stored = objects.put_tensors(hashed)
    chunks = iter(tuple(address for address, _ in tensor.chunks) for tensor in hashed)
    made = {}
    for name, (tagged, found) in encoded.items():
        tensors = [StoredTensor(path, leaf.dtype, leaf.shape, next(chunks)) for path, leaf in found]
        made[name] = TreeObject(tagged, tuple(tensors))
    placed = {name: objects.put(encode_tree_object(tree)) for name, tree in made.items()}
    if trees.file is not None:
        objects.put(trees.header)
    manifest = Manifest(**placed, sizes=made["state"].sizes(), file=trees.file)
    return WrittenTrees(
        objects.put(encode_manifest(manifest)), sum(tensor.size for tree in made.values() for tensor in tree.tensors), stored
    )


def read_manifest(objects: ObjectStore, address: Address) -> Manifest:
    """The manifest at an address; ObjectMissing, CorruptObject."""
    return _decode(objects, address, decode_manifest)


def read_tree_object(objects: ObjectStore, address: Address) -> TreeObject:
    """The tree object at an address; ObjectMissing, CorruptObject."""
    return _decode(objects, address, decode_tree_object)


def read_tree(objects: ObjectStore, tree: TreeObject, tagged: Any) -> Any:
    """The neutral tree of `tagged`, which is the whole of `tree` or a part of it: only the tensors of that part are read."""
    return decode_tree(tagged, read_indexed(objects, tree, tensor_indices(tagged)))


def read_indexed(objects: ObjectStore, tree: TreeObject, indices: Iterable[int]) -> dict[int, Leaf]:
    """Tensors of a tree by their indices; ValueError for an index that it does not have."""
    wanted = sorted(set(indices))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < len(tree.tensors):
        message = "a tree names a tensor that it does not have"
        raise ValueError(message)
    return dict(zip(wanted, read_tensors(objects, [tree.tensors[index] for index in wanted], tree.chunk_bytes), strict=True))


def read_tensors(objects: ObjectStore, tensors: list[StoredTensor], chunk_bytes: int) -> list[Leaf]:
    """The tensors' bytes, each in memory of its own, verified; `chunk_bytes` is what their tree object says."""
    buffers = [np.empty(tensor.size, np.uint8) for tensor in tensors]

    def jobs() -> Iterator[Callable[[], None]]:
        for tensor, buffer in zip(tensors, buffers, strict=True):
            for address, window in zip(tensor.chunks, split_chunks(buffer.data, chunk_bytes), strict=True):
                yield lambda address=address, window=window: objects.read_chunk(address, window)  # type: ignore[misc]

    for _ in run_jobs(jobs(), default_threads()):
        pass
    return [Leaf(tensor.dtype, tensor.shape, buffer.data, "torch.tensor") for tensor, buffer in zip(tensors, buffers, strict=True)]


def manifest_objects(objects: ObjectStore, manifest: Address) -> set[Address]:
    """The manifest and every loose object that it names."""
    found = read_manifest(objects, manifest)
    return {manifest, *found.trees(), *([found.file.header] if found.file else [])}


def manifest_chunks(objects: ObjectStore, manifest: Address) -> set[Address]:
    """Every chunk that the manifest's trees need."""
    trees = [read_tree_object(objects, address) for address in read_manifest(objects, manifest).trees()]
    return {address for tree in trees for address in tree.addresses()}


def _hash_leaves(leaves: list[Leaf]) -> list[NewTensor]:
    """Each tensor with its chunks and their addresses, hashed on threads."""
    windows = [list(split_chunks(leaf.data)) for leaf in leaves]
    jobs = ((lambda window=window: address_of(window)) for each in windows for window in each)
    addresses = run_jobs(jobs, default_threads())
    return [
        NewTensor(leaf.dtype, memoryview(leaf.data).cast("B"), [(next(addresses), window) for window in each])
        for leaf, each in zip(leaves, windows, strict=True)
    ]


def _decode(objects: ObjectStore, address: Address, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(objects.get(address))
    except ValueError as error:
        raise CorruptObject(address, "objects/", str(error)) from None
