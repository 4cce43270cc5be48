"""A checkpoint as one reads it: whole, by part, or a tensor at a time.

Nothing is handed out that was not verified against its address. A part is read without the others: a model without its optimizer,
a tensor without its model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from onyxstore.errors import CheckpointPruned, NotHere, ObjectMissing, UnknownName
from onyxstore.frameworks.loading import LoadReport, load_into
from onyxstore.frameworks.numpy_state import read_array
from onyxstore.frameworks.restore import restore_tree
from onyxstore.frameworks.rng import restore_rng
from onyxstore.hashing import Address, short
from onyxstore.history.checkpoints.manifest import Manifest, StoredTensor, TreeObject
from onyxstore.history.checkpoints.summary import Summary, summarize
from onyxstore.history.checkpoints.tensors import Leaf, gather
from onyxstore.history.checkpoints.tree import Tagged
from onyxstore.history.checkpoints.tree_decoding import decode_tree, list_tensors, split_parts
from onyxstore.history.checkpoints.walk import Path, print_path
from onyxstore.history.commits import CheckpointEntry
from onyxstore.history.metrics.records import Value
from onyxstore.names import near
from onyxstore.store.doors import Doors
from onyxstore.store.part_sizes import PartSize, part_sizes
from onyxstore.store.retaining import is_pruned
from onyxstore.store.trees import manifest_chunks, read_indexed, read_manifest, read_tree, read_tree_object
from onyxstore.store.windows import Place, fresh, list_places, read_window, windows

T = TypeVar("T")


class Checkpoint:
    """A saved training state."""

    def __init__(self, doors: Doors, entry: CheckpointEntry, commit: Address) -> None:
        self._doors = doors
        self._entry = entry
        self._commit = commit

    def __repr__(self) -> str:
        return f"<Checkpoint of {short(self._commit)} at step {self.step}>"

    @property
    def step(self) -> int | None:
        """The step at which it was saved."""
        return self._entry.step

    @property
    def epoch(self) -> float | int | None:
        """The epoch in which it was saved."""
        return self._entry.epoch

    @property
    def metrics(self) -> Mapping[str, Value]:
        """The metrics that were handed in with it."""
        return self._entry.metrics

    @property
    def address(self) -> Address:
        """The address of its manifest; the same state saved by another run has the same."""
        return self._entry.manifest

    @cached_property
    def manifest(self) -> Manifest:
        """What it consists of, by address."""
        return read_manifest(self._doors.objects, self._entry.manifest)

    @cached_property
    def state_tree(self) -> TreeObject:
        """The tree `state` as it is stored."""
        return read_tree_object(self._doors.objects, self.manifest.state)

    @property
    def parts(self) -> list[PartSize]:
        """Its parts with their tensors, raw and stored bytes; those of `rng` and `tracked` too."""
        return part_sizes(self._doors.objects, {"state": self.state_tree, **self.other_trees()})

    @property
    def is_pruned(self) -> bool:
        """Whether retention dropped it: the run that saved it, or one on the way from there to a fork, no longer keeps it."""
        return is_pruned(self._doors, self._commit)

    @property
    def tensors(self) -> Tensors:
        """Its tensors one at a time."""
        return Tensors(self, self.state_tree)

    @property
    def rng(self) -> Any:
        """The RNG states that were saved along: a tree by generator."""
        return restore_tree(self._read(self.manifest.rng))

    @property
    def tracked(self) -> Mapping[str, Any]:
        """The states of tracked objects, by the name they were tracked under."""
        tracked: Mapping[str, Any] = restore_tree(self.read_tracked())
        return tracked

    def read_tracked(self) -> dict[str, Any]:
        """The states of tracked objects as a neutral tree, verified."""
        return self._read(self.manifest.tracked) or {}

    def load(self) -> Any:
        """The tree `state`, exactly as it was handed in; CheckpointPruned, CorruptObject."""
        return restore_tree(self.read_neutral(self.state_tree, self.state_tree.tree))

    def load_into(
        self, *, model: Any = None, optimizer: Any = None, scheduler: Any = None, scaler: Any = None, rng: bool | None = None
    ) -> LoadReport:
        """Loads parts into live objects, and says what was missing, unexpected, reshaped or not restored.

        RNG states are restored too when an optimizer is given (training goes on), not for a model alone; `rng` says it outright.
        Everything is read and checked first: what cannot be loaded (LoadMismatch, CorruptObject) changes nothing.
        """
        wanted = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        parts = split_parts(self.state_tree.tree)
        chosen = {name: parts[name] for name, live in wanted.items() if live is not None and name in parts}
        if model is not None and "model" not in parts:
            chosen["model"] = self.state_tree.tree
            parts = {"model": self.state_tree.tree}
        loaded = {name: self.read_neutral(self.state_tree, tagged) for name, tagged in chosen.items()}
        random = self._read(self.manifest.rng) if (optimizer is not None if rng is None else rng) else None
        report = load_into(loaded, model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler)
        generators = restore_rng(random) if random is not None else ()
        left = [str(name) for name in parts if name not in loaded] + [f"rng.{name}" for name in generators]
        return replace(report, not_restored=tuple(left))

    def read_neutral(self, tree: TreeObject, tagged: Tagged) -> Any:
        """A part of a tree with its tensors as bytes, verified; for callers without torch."""
        return self._guarded(lambda: read_tree(self._doors.objects, tree, tagged))

    def read_leaves(self, tree: TreeObject, paths: Iterable[Path]) -> dict[Path, Leaf]:
        """Tensors of a tree by their paths, each with elements of its own, verified; all are read at once."""
        tags = list_tensors(tree.tree)
        wanted = {path: tags[path] for path in paths}
        leaves = self._guarded(lambda: read_indexed(self._doors.objects, tree, [tag["index"] for tag in wanted.values()]))
        return {path: gather(decode_tree(tag, leaves)) for path, tag in wanted.items()}

    def read_window(self, place: Place, start: int, stop: int, make: Callable[[int], memoryview] = fresh) -> memoryview:
        """The bytes of some elements of a tensor, verified, in memory that `make` gives; CheckpointPruned, CorruptObject."""
        return self._guarded(lambda: read_window(self._doors.objects, place, start, stop, make))

    def read_stored(self, tree: TreeObject, index: int) -> Leaf:
        """One tensor of a tree by its index, as it is stored."""
        return self._guarded(lambda: read_indexed(self._doors.objects, tree, [index])[index])

    def other_trees(self) -> dict[str, TreeObject]:
        """The trees `rng` and `tracked` as they are stored, those that there are."""
        named = {"rng": self.manifest.rng, "tracked": self.manifest.tracked}
        return {name: read_tree_object(self._doors.objects, address) for name, address in named.items() if address is not None}

    @property
    def commit(self) -> Address:
        """The commit that this view was asked of."""
        return self._commit

    def check_stored(self) -> None:
        """Nothing when every chunk is there, which says nothing of damage; else CheckpointPruned or ObjectMissing."""
        objects = self._doors.objects
        lost = next((chunk for chunk in sorted(manifest_chunks(objects, self.address)) if not objects.has_chunk(chunk)), None)
        if lost is not None:
            raise _missing(self, lost)

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except ObjectMissing as error:
            raise _missing(self, error.address) from None

    def _read(self, address: Address | None) -> Any:
        if address is None:
            return None
        tree = read_tree_object(self._doors.objects, address)
        return self.read_neutral(tree, tree.tree)


class Tensors:
    """The tensors of a checkpoint by their path (`model.wte.weight`), or by their name inside the model (`wte.weight`)."""

    def __init__(self, checkpoint: Checkpoint, tree: TreeObject) -> None:
        self._checkpoint = checkpoint
        self._tree = tree
        self._tags = list_tensors(tree.tree)

    def __iter__(self) -> Iterator[str]:
        return (print_path(path) for path in self._tags)

    def __len__(self) -> int:
        return len(self._tags)

    def __contains__(self, name: object) -> bool:
        return any(name in _names(path) for path in self._tags)

    def __getitem__(self, name: str) -> Any:
        """One tensor as it was handed in, without reading the others; UnknownName with near matches, or with all of several paths."""
        return restore_tree(self._read(name))

    def numpy(self, name: str) -> Any:
        """One tensor as a numpy array, without torch; bfloat16 as float32, which holds every one of its values."""
        return read_array(gather(self._read(name)))

    def read(self, name: str) -> bytes:
        """One tensor's raw little-endian bytes, row after row."""
        return bytes(gather(self._read(name)).data)

    def stored(self, name: str) -> StoredTensor:
        """What the store holds of it: dtype, shape, chunks."""
        index: int = self._tags[self.path(name)]["index"]
        return self._tree.tensors[index]

    def summary(self, name: str) -> Summary:
        """Range, mean, deviation and the first values of one tensor, and how many are no numbers, without all of it in memory."""
        return summarize(self.place(name).dtype, self.blocks(name))

    def blocks(self, name: str) -> Iterator[memoryview]:
        """What `read` gives, a few MiB at a time."""
        place = self.place(name)
        return (self._checkpoint.read_window(place, start, stop) for start, stop in windows(place, place.window))

    def place(self, name: str) -> Place:
        """Where one tensor's bytes are: dtype, shape, chunks, also of a view."""
        return list_places(self._tree)[self.path(name)]

    def _read(self, name: str) -> Leaf:
        node: Leaf = self._checkpoint.read_neutral(self._tree, self._tags[self.path(name)])
        return node

    def path(self, name: str) -> Path:
        """The path of the one tensor that a name means; UnknownName."""
        found = [path for path in self._tags if name in _names(path)]
        exact: list[Path] = [path for path in found if print_path(path) == name]
        if len(exact) == 1 or len(found) == 1:
            return (exact or found)[0]
        near_ones = tuple(map(print_path, found)) or near(name, self)
        raise UnknownName("tensor" if not found else "single tensor", name, repr(self._checkpoint), near_ones)


def _names(path: Path) -> tuple[str, ...]:
    return (print_path(path), print_path(path[1:])) if len(path) > 1 and path[0] == "model" else (print_path(path),)


def _missing(checkpoint: Checkpoint, address: str) -> NotHere:
    """Why a chunk of a checkpoint is not there."""
    commit = short(checkpoint.commit)
    return CheckpointPruned(commit) if checkpoint.is_pruned else ObjectMissing(address, f", which the checkpoint of {commit} needs")
