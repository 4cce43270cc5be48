"""Where weights come from: the commits that hold the tensors of a file.

The file's tensors are cut and hashed as a save does it, and looked for among the addresses that tree objects name; no pack is opened.
Names play no part, so weights are found when they were renamed, taken apart or put together with others. Trees are only scanned, but for
those of the few commits that are shown. A view in a checkpoint, stored as a window onto another tensor, has no address and is not found.

What tells nothing does not decide: a tensor that is tiny, all one value, or as regular as positions and masks are, is the same in
models that have nothing to do with one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from onyxstore.disk import files
from onyxstore.disk.refs import HEAD
from onyxstore.disk.workers import default_threads, run_jobs
from onyxstore.errors import OnyxError
from onyxstore.hashing import Address, address_of, short
from onyxstore.history.checkpoints.chunking import CHUNK_BYTES
from onyxstore.history.checkpoints.elements import read_words
from onyxstore.history.checkpoints.manifest import TreeObject, scan_addresses
from onyxstore.history.checkpoints.safetensors_file import FileTensor
from onyxstore.history.checkpoints.walk import print_path
from onyxstore.history.commits import CommitRecord
from onyxstore.history.graph import ancestors
from onyxstore.store.doors import Doors
from onyxstore.store.plain_files import MODEL, open_foreign, read_header
from onyxstore.store.revisions import resolve
from onyxstore.store.trees import read_manifest, read_tree_object
from onyxstore.store.views import Commit

MOST_ORIGINS = 10
"""Commits that are named; the others hold no more."""

LEAST_BYTES = 256
"""A smaller tensor tells nothing: two scalars are the same often enough, and so are 16 biases."""

LEAST_STEPS = 16
"""Distinct differences between neighbours that a tensor must have to tell anything: zeros have one, positions one, a mask three."""

SAMPLE = 4096
"""Values that are looked at for that."""

MOST_NAMES = 3
"""Names, or groups of names, that a sentence lists."""

T = TypeVar("T")

Chunks = tuple[Address, ...]

_NOTHING = CommitRecord(run="", parents=(), message="", time=0)
"""In the place of a commit that cannot be read: its line ends there."""


@dataclass(frozen=True)
class Origin:
    """A commit that holds tensors of a file: what to type for it, which it holds (name in the file to path), and their bytes.

    `differ` are the file's tensors that it does not hold, `lacks` those of the model that the file does not have.
    """

    revision: str
    commit: Commit
    matched: Mapping[str, str]
    size: int
    differ: tuple[str, ...]
    lacks: tuple[str, ...]

    @property
    def where(self) -> str:
        """What `revision` does not say itself, when it is an address: ` of bert-base at step 4000`."""
        step = "" if self.commit.step is None else f" at step {self.commit.step}"
        return "" if "@" in self.revision else f" of {self.commit.run}{step}"

    @property
    def words(self) -> str:
        """How much of the file it holds, and what not: `197 of 199 tensors; head.* differ`."""
        names = [*self.matched, *self.differ]
        told = f"{len(self.matched)} of {len(names)} tensors"
        if self.differ:
            told += f"; {_listed(self.differ, names)} {'differs' if len(self.differ) == 1 else 'differ'}"
        renamed = sum(name not in {path, path.removeprefix(f"{MODEL}.")} for name, path in self.matched.items())
        told += f"; {renamed} renamed" if renamed else ""
        kept = [path.removeprefix(f"{MODEL}.") for path in self.matched.values()]
        told += f"; {_listed(self.lacks, [*kept, *self.lacks])} left out" if self.lacks else ""
        return f"{told}; pruned" if self.is_pruned else told

    @property
    def is_pruned(self) -> bool:
        """Whether retention dropped the checkpoint: it is known what it held, and no longer there."""
        return self.commit.checkpoint is not None and self.commit.checkpoint.is_pruned

    def __str__(self) -> str:
        return f"{self.revision}{self.where}, {self.words}"


@dataclass(frozen=True)
class Whence:
    """Where the tensors of a file come from, the commit that holds most of them first; false if none holds any that tells something.

    `telling` counts the tensors by which it was decided, `unreadable` says what is damaged and was not looked at.
    """

    file: str
    tensors: int
    telling: int
    origins: tuple[Origin, ...]
    unreadable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return bool(self.origins)

    def __str__(self) -> str:
        if self.origins:
            return "\n".join(map(str, self.origins))
        if not self.tensors:
            return f"{self.file}: it holds no tensors"
        if not self.telling:
            return f"{self.file}: its {self.tensors} tensors tell nothing, all are tiny or regular"
        return f"{self.file}: no commit holds any of its {self.tensors} tensors"


@dataclass(frozen=True)
class _Sought:
    """A tensor of the file: its name, its bytes, its chunks, and whether it tells anything."""

    name: str
    size: int
    chunks: Chunks
    tells: bool


def find_origins(doors: Doors, path: Path) -> Whence:
    """The commits that hold the tensors of a `.safetensors` file: most tensors, then most bytes, then the oldest; BadFile."""
    sought = _hash_file(path)
    telling = [tensor for tensor in sought if tensor.tells]
    unreadable: list[str] = []
    ranked: list[tuple[int, int, int, Address, Address]] = []
    for tree, (time, commit) in _oldest_commits(doors, unreadable).items():
        found = _try(lambda tree=tree: scan_addresses(doors.objects.get(tree)), unreadable) or set()  # type: ignore[misc]
        held = [tensor.size for tensor in telling if found.issuperset(tensor.chunks)]
        if held:
            ranked.append((-len(held), -sum(held), time, commit, tree))
    best = [_origin(doors, commit, tree, sought) for *_, commit, tree in sorted(ranked)[:MOST_ORIGINS]]
    return Whence(str(path), len(sought), len(telling), tuple(best), tuple(dict.fromkeys(unreadable)))


def _hash_file(path: Path) -> list[_Sought]:
    """The tensors of a file by their chunks, hashed on threads, a chunk of each in memory."""
    fd = open_foreign(path, "safetensors file")
    try:
        header = read_header(fd, path)
        cuts = [(tensor, range(0, tensor.size, CHUNK_BYTES)) for tensor in header.tensors]
        jobs = (partial(_hash_chunk, fd, header.data_offset, tensor, start) for tensor, starts in cuts for start in starts)
        hashed = run_jobs(jobs, default_threads())
        sought = []
        for tensor, starts in cuts:
            chunks = [next(hashed) for _ in starts]
            tells = bool(chunks) and chunks[0][1]
            sought.append(_Sought(tensor.name, tensor.size, tuple(address for address, _ in chunks), tells))
    finally:
        files.close(fd)
    return sought


def _hash_chunk(fd: int, data_offset: int, tensor: FileTensor, start: int) -> tuple[Address, bool]:
    """A chunk's address, and whether it tells something, if it is its tensor's first."""
    chunk = files.read_at(fd, data_offset + tensor.offset + start, min(CHUNK_BYTES, tensor.size - start))
    return address_of(chunk), not start and _tells(tensor.dtype, chunk)


def _tells(dtype: str, chunk: bytes) -> bool:
    words = read_words(dtype, chunk).reshape(-1)
    sample = words[:: max(1, len(words) // SAMPLE)]
    return len(chunk) >= LEAST_BYTES and len(np.unique(np.diff(sample))) >= LEAST_STEPS


def _oldest_commits(doors: Doors, unreadable: list[str]) -> dict[Address, tuple[int, Address]]:
    """Every tree of a state, with the time and address of the oldest commit that has it."""
    starts = [_try(partial(doors.refs.commit, name), unreadable) for name in (HEAD, *doors.refs.names())]
    commits = ancestors(lambda each: _try(partial(doors.commit, each), unreadable) or _NOTHING, filter(None, starts))
    oldest: dict[Address, tuple[int, Address]] = {}
    for address, record in commits.items():
        if record.checkpoint is not None:
            manifest = record.checkpoint.manifest
            oldest[manifest] = min(oldest.get(manifest, (record.time, address)), (record.time, address))
    trees: dict[Address, tuple[int, Address]] = {}
    for manifest, found in oldest.items():
        read = _try(partial(read_manifest, doors.objects, manifest), unreadable)
        if read is not None:
            trees[read.state] = min(trees.get(read.state, found), found)
    return trees


def _origin(doors: Doors, commit: Address, tree: Address, sought: Sequence[_Sought]) -> Origin:
    """What a commit holds of the file, tensor by tensor; of several with the same bytes the one of the same name."""
    stored = read_tree_object(doors.objects, tree)
    by_chunks: dict[Chunks, list[str]] = {}
    for tensor in stored.tensors:
        by_chunks.setdefault(tensor.chunks, []).append(print_path(tensor.path))
    matched = {tensor.name: _nearest(tensor.name, by_chunks[tensor.chunks]) for tensor in sought if tensor.chunks in by_chunks}
    names = {tensor.name for tensor in sought}
    held = set(matched.values())
    lacks = (name for path, name in _model_names(stored) if path not in held and not {path, name} & names)
    differ = tuple(tensor.name for tensor in sought if tensor.name not in matched)
    size = sum(tensor.size for tensor in sought if tensor.name in matched)
    return Origin(_revision(doors, commit), Commit(doors, commit), matched, size, differ, tuple(lacks))


def _nearest(name: str, paths: Sequence[str]) -> str:
    """The path that spells the name, with or without the model before it; else the first."""
    return next((path for path in paths if name in {path, path.removeprefix(f"{MODEL}.")}), paths[0])


def _model_names(tree: TreeObject) -> Iterator[tuple[str, str]]:
    """Path and own name of each tensor of the model; of a tree without one of all tensors."""
    in_model = [tensor for tensor in tree.tensors if tensor.path[:1] == (MODEL,)]
    for tensor in in_model or tree.tensors:
        yield print_path(tensor.path), print_path(tensor.path[1:] if in_model else tensor.path)


def _revision(doors: Doors, commit: Address) -> str:
    """What one types for a commit, or for a later one of its run that has the same checkpoint: `RUN@step:N`, else its address."""
    record = doors.commit(commit)
    if record.step is not None:
        spelt = f"{record.run}@step:{record.step}"
        found = _try(partial(resolve, doors, spelt), [])
        if found is not None and doors.commit(found).checkpoint == record.checkpoint:
            return spelt
    return short(commit)


def _try(read: Callable[[], T], unreadable: list[str]) -> T | None:
    """What `read` returns; where that is damaged or gone None, and the words are noted."""
    try:
        return read()
    except OnyxError as error:
        unreadable.append(str(error))
        return None


# ---------------------------------------------------------------------------------------------------------- names in short


def _listed(some: Sequence[str], names: Sequence[str]) -> str:
    """`head.*`, `head.* and bias`, `a, b, c and 12 more`: some of the names, those by a star of which all are meant."""
    ours, theirs = ([name.split(".") for name in dict.fromkeys(each)] for each in (some, names))  # a name twice would have no end
    found = list(_stars(ours, theirs, 0))
    if len(found) > MOST_NAMES:
        return f"{', '.join(found[:MOST_NAMES])} and {len(found) - MOST_NAMES} more"
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))


def _stars(some: Sequence[Sequence[str]], names: Sequence[Sequence[str]], depth: int) -> Iterator[str]:
    """A name for each group of names that begin alike, if all of those are among `some`; else what is below it."""
    for key in dict.fromkeys(tuple(name[: depth + 1]) for name in some):
        ours, theirs = ([name for name in each if tuple(name[: depth + 1]) == key] for each in (some, names))
        if len(ours) == 1:
            yield ".".join(ours[0])
        elif len(ours) == len(theirs) and all(len(name) > depth + 1 for name in ours):
            yield f"{'.'.join(key)}.*"
        else:
            yield from _stars(ours, theirs, depth + 1)
