"""Anything that a store holds, by what one types for it.

    REV              the object of a commit
    PREFIX           any object, by 4 or more digits of its address; a chunk only where no other object has them
    REV:PATH         something that a commit holds, as git spells a file of a commit

PATH is the first of these that there is: a config by its file, `config/NAME`, `artifact/NAME`, `tensor/PATH`, and without their first
word a config, an artifact, a tensor by such a name. A tensor is named by its path, or by its name inside the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.disk import files
from onyxstore.errors import AmbiguousRevision, UnknownName, UnknownRevision
from onyxstore.hashing import Address, Buffer, is_address, short
from onyxstore.history.checkpoints.summary import Summary, summarize
from onyxstore.history.checkpoints.walk import print_path
from onyxstore.history.commits import ArtifactEntry
from onyxstore.names import near
from onyxstore.store.checkpoints import Tensors
from onyxstore.store.doors import Doors
from onyxstore.store.plain_files import MODEL
from onyxstore.store.revisions import find_ref, known_names, resolve
from onyxstore.store.store import Store
from onyxstore.store.views import Commit
from onyxstore.store.windows import Place

Kind = Literal["commit", "manifest", "tree", "code", "environment", "value", "config", "artifact", "tensor", "chunk", "bytes"]
"""What it is: `value` is other canonical JSON, `bytes` whatever else stands at an address."""

_SELF_NAMED: tuple[Kind, ...] = ("commit", "manifest", "tree", "code", "environment")
"""Objects that say under the key `onyx` what they are."""

_REVISION = re.compile(r"[^:]*@(step|epoch):[^:]*|[^:]*")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")

_LARGEST_VALUE = 64 << 20
"""Bytes of an object that is still looked at as JSON; the tree of a hundred thousand tensors has half of it."""

_MOST_CANDIDATES = 8


@dataclass(frozen=True)
class Content:
    """Something that a store holds: what it is called and is, and its bytes, which `blocks` reads, verified, a few MiB at a time.

    `value` is what canonical JSON says, `place` what a tensor is; `address` is None for a tensor, whose bytes have several.
    """

    name: str
    kind: Kind
    address: Address | None
    size: int
    blocks: Callable[[], Iterator[Buffer]] = field(repr=False)
    value: Any = None
    place: Place | None = None

    def summarize(self) -> Summary | None:
        """A tensor's range, mean, deviation and first values; None for anything else."""
        return summarize(self.place.dtype, self.blocks()) if self.place is not None else None


def find_content(store: Store, what: str) -> Content:
    """What `what` names; UnknownRevision, AmbiguousRevision, UnknownName with near matches, ObjectMissing, CorruptObject."""
    doors = store._doors  # noqa: SLF001 - a verb of the store
    revision, path = split_place(what)
    if path is not None:
        return _in_commit(doors, store.commit(revision), path)
    if find_ref(doors, what) is None and _PREFIX.fullmatch(what.lower()):
        return _read_object(doors, _by_prefix(doors, what.lower()))
    return _read_object(doors, resolve(doors, what))


def split_place(what: str) -> tuple[str, str | None]:
    """A revision, and the path behind the colon after it, if there is one: `RUN@step:5` has a colon of its own."""
    found = _REVISION.match(what)
    revision = found[0] if found else ""
    return (revision, what[len(revision) + 1 :]) if len(revision) < len(what) else (what, None)


# -------------------------------------------------------------------------------------------------------- by an address


def _by_prefix(doors: Doors, prefix: str) -> Address:
    names = files.list_folder(doors.layout.objects / prefix[:2])
    loose = [Address(prefix[:2] + name) for name in names if is_address(prefix[:2] + name)]
    # Chunks are many: among three hundred thousand of them four digits name five.
    found = _beginning(prefix, loose) or _beginning(prefix, doors.objects.stored_sizes())
    if not found:
        raise UnknownRevision(prefix, near(prefix, known_names(doors)), "no object's address begins with it")
    if len(found) > 1:
        raise AmbiguousRevision(prefix, tuple(map(short, sorted(found)[:_MOST_CANDIDATES])))
    return found[0]


def _beginning(prefix: str, addresses: Iterable[Address]) -> list[Address]:
    return [address for address in addresses if address.startswith(prefix)]


def _read_object(doors: Doors, address: Address) -> Content:
    if not doors.objects.has(address) and doors.objects.has_chunk(address):
        size = doors.objects.chunk_size(address)
        return Content(short(address), "chunk", address, size, lambda: iter([_read_chunk(doors, address, size)]))
    size = doors.objects.loose.raw_size(address)
    kind, value = _classify(doors.objects.get(address) if size <= _LARGEST_VALUE else b"")
    return Content(short(address), kind, address, size, lambda: doors.objects.loose.stream(address), value)


def _read_chunk(doors: Doors, address: Address, size: int) -> bytearray:
    chunk = bytearray(size)
    doors.objects.read_chunk(address, memoryview(chunk))
    return chunk


def _classify(data: bytes) -> tuple[Kind, Any]:
    """What an object is, with its value if it is canonical JSON that holds others; its tags are left as they are."""
    try:
        value = read_plain(data)
        if type(value) not in {dict, list} or plain_bytes(value) != data:
            return "bytes", None
    except ValueError:
        return "bytes", None
    named = value.get("onyx") if type(value) is dict else None
    return next((kind for kind in _SELF_NAMED if kind == named), "value"), value


# -------------------------------------------------------------------------------------------------------- of a commit


def _in_commit(doors: Doors, commit: Commit, path: str) -> Content:
    configs = {entry.path: name for name, entry in commit.config_entries.items() if entry.path is not None}
    artifacts = {artifact.name: artifact for artifact in commit.artifacts}
    tensors = commit.checkpoint.tensors if commit.checkpoint is not None else None
    word, _, name = path.partition("/")
    if path in configs:
        return _config(commit, configs[path])
    for kind, wanted in ((word, name), *((kind, path) for kind in ("config", "artifact", "tensor"))):
        if kind == "config" and wanted in commit.config_entries:
            return _config(commit, wanted)
        if kind == "artifact" and wanted in artifacts:
            return _artifact(doors, artifacts[wanted])
        if kind == "tensor" and tensors is not None and wanted in tensors:
            return _tensor(tensors, wanted)
    known = [*configs, *commit.config_entries, *artifacts, *(name.removeprefix(f"{MODEL}.") for name in tensors or ())]
    raise UnknownName("config, artifact or tensor", path, f"{commit.short} of {commit.run}", near(path, known) or near(name, known))


def _config(commit: Commit, name: str) -> Content:
    data = commit.config_bytes(name)
    return Content(f"config {name}", "config", commit.config_entries[name].snapshot, len(data), lambda: iter([data]))


def _artifact(doors: Doors, entry: ArtifactEntry) -> Content:
    return Content(f"artifact {entry.name}", "artifact", entry.address, entry.size, lambda: doors.objects.loose.stream(entry.address))


def _tensor(tensors: Tensors, name: str) -> Content:
    path, place = print_path(tensors.path(name)), tensors.place(name)
    return Content(f"tensor {path}", "tensor", None, place.size, lambda: tensors.blocks(name), place=place)
