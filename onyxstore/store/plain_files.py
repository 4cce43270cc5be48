"""Checkpoints as plain files that other tools read, and such files as checkpoints.

Out: `NAME.safetensors` holds the model under its own names. What it cannot hold is in `NAME.state.safetensors` (every other tensor,
named by its path) and `NAME.json`: the trees as tagged JSON (`docs/format.md`), with the file and name of each tensor by index.
A tensor of a dtype that the format lacks (complex128) lies there as its bytes, with dtype and shape beside its name in the JSON.

In: a `.safetensors` file becomes the flat dict of its tensors; its header is kept, so that it comes back byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from onyxstore.canonical import encode_value
from onyxstore.disk import files
from onyxstore.errors import BadFile, CorruptFile
from onyxstore.hashing import Buffer, address_of
from onyxstore.history.checkpoints.manifest import CommittedFile, TreeObject
from onyxstore.history.checkpoints.safetensors_file import (
    LENGTH_BYTES,
    FileHeader,
    decode_header,
    encode_file,
    has_word_for,
    header_length,
    rebuild_file,
)
from onyxstore.history.checkpoints.tensors import Leaf, gather
from onyxstore.history.checkpoints.tree_decoding import list_tensors
from onyxstore.history.checkpoints.walk import Path as TreePath
from onyxstore.history.checkpoints.walk import print_path
from onyxstore.names import check_relative_path
from onyxstore.store.checkpoints import Checkpoint
from onyxstore.store.doors import Doors
from onyxstore.store.trees import Trees

Blocks = Callable[[], Iterable[Buffer]]

MODEL = "model"


def read_safetensors(doors: Doors, path: Path) -> Trees:
    """The tensors of a file, checked, with the header that it had; BadFile, BadName when checkout could not write to its name."""
    name = check_relative_path("file", path_from(doors.layout.folder, path))
    fd = open_foreign(path, "safetensors file")
    try:
        header = read_header(fd, path)
        leaves = {}
        for tensor in header.tensors:
            data = np.frombuffer(files.read_at(fd, header.data_offset + tensor.offset, tensor.size), np.uint8)
            leaves[tensor.name] = Leaf(tensor.dtype, tensor.shape, data.data, "torch.tensor")
    finally:
        files.close(fd)
    return Trees(state=leaves, file=CommittedFile(name, address_of(header.raw)), header=header.raw)


def read_header(fd: int, path: Path) -> FileHeader:
    """What an open `.safetensors` file says that it holds; BadFile."""
    size = files.size_of(fd)
    length = header_length(files.read_at(fd, 0, LENGTH_BYTES), size, str(path))
    return decode_header(files.read_at(fd, LENGTH_BYTES, length), str(path), size)


def path_from(folder: Path, file: Path) -> str:
    """A file's path below the store's folder, its bare name when it lies elsewhere; folders on the way may be links."""
    here, top = file.parent.resolve(), folder.resolve()
    return (here / file.name).relative_to(top).as_posix() if here.is_relative_to(top) else file.name


def open_foreign(path: Path, kind: str) -> int:
    """A descriptor of a regular file that is not the store's; BadFile when it is none."""
    try:
        return files.open_read(path.absolute())
    except FileNotFoundError:
        raise BadFile(str(path), kind, "there is none") from None
    except CorruptFile as error:
        link = "it is a symbolic link; name the file that it leads to"
        raise BadFile(str(path), kind, link if path.is_symlink() else error.why) from None


def checkpoint_files(doors: Doors, checkpoint: Checkpoint, name: str, *, model_only: bool) -> Iterator[tuple[str, Blocks]]:
    """The files of a checkpoint: each one's path relative to the folder, and its content in blocks."""
    tree = checkpoint.state_tree
    committed = checkpoint.manifest.file
    if committed is not None:
        yield committed.name, lambda: _rebuilt(doors, checkpoint, committed)
        return
    model = _model_tensors(tree)
    yield f"{name}.safetensors", lambda: encode_file(_leaves(checkpoint, tree, model))
    if not model_only:
        yield from _state_files(checkpoint, name, tree, model)


def _rebuilt(doors: Doors, checkpoint: Checkpoint, committed: CommittedFile) -> Iterator[Buffer]:
    tree = checkpoint.state_tree
    tags = list_tensors(tree.tree)
    header = decode_header(doors.objects.get(committed.header), committed.name)
    yield from rebuild_file(header, lambda name: [gather(checkpoint.read_neutral(tree, tags[name,])).data])


def _model_tensors(tree: TreeObject) -> dict[str, TreePath]:
    """The tensors of the model by their own names; of a tree without a model all of them, by their paths."""
    tags = list_tensors(tree.tree)
    has_model = any(path and path[0] == MODEL for path in tags)
    paths = (path for path in tags if not has_model or path[0] == MODEL)
    dtypes = {path: tags[path].get("dtype", tree.tensors[tags[path]["index"]].dtype) for path in paths}
    return {print_path(path[1:] if has_model else path): path for path, dtype in dtypes.items() if has_word_for(dtype)}


def _leaves(checkpoint: Checkpoint, tree: TreeObject, tensors: dict[str, TreePath]) -> list[tuple[str, Leaf]]:
    found = checkpoint.read_leaves(tree, tensors.values())
    return [(name, found[path]) for name, path in tensors.items()]


def _state_files(checkpoint: Checkpoint, name: str, tree: TreeObject, model: dict[str, TreePath]) -> Iterator[tuple[str, Blocks]]:
    """Everything that `NAME.safetensors` does not hold."""
    tags = list_tensors(tree.tree)
    in_model = {tags[path]["index"]: own for own, path in model.items() if tags[path].get("$") == "tensor"}
    trees = {"state": tree, **checkpoint.other_trees()}
    places: dict[str, list[dict[str, Any]]] = {}
    rest: list[tuple[str, TreeObject, int]] = []
    for kind, each in trees.items():
        places[kind] = []
        for index, tensor in enumerate(each.tensors):
            if kind == "state" and index in in_model:
                places[kind].append({"file": f"{name}.safetensors", "name": in_model[index]})
                continue
            own = f"{kind}.{print_path(tensor.path)}"
            own = own if all(own != taken for taken, _, _ in rest) else f"{own}#{index}"
            rest.append((own, each, index))
            place = {"file": f"{name}.state.safetensors", "name": own}
            places[kind].append(place if has_word_for(tensor.dtype) else {**place, "dtype": tensor.dtype, "shape": list(tensor.shape)})
    about: dict[str, Any] = {
        "onyx": "checkout",
        "commit": checkpoint.commit,
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "metrics": encode_value(dict(checkpoint.metrics)),
        "trees": {kind: {"tree": each.tree, "tensors": places[kind]} for kind, each in trees.items()},
    }
    state = f"{name}.state.safetensors"
    yield state, lambda: encode_file([(own, _in_words(checkpoint.read_stored(each, index))) for own, each, index in rest])
    yield f"{name}.json", lambda: [json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"]


def _in_words(leaf: Leaf) -> Leaf:
    """The tensor as a file can hold it: itself, or its bytes."""
    return leaf if has_word_for(leaf.dtype) else Leaf("uint8", (memoryview(leaf.data).nbytes,), leaf.data, "torch.tensor")
