"""Checkout: a commit's configs and checkpoint as plain files.

Config files go where they were committed from, relative to the store's folder. The checkpoint becomes `NAME.safetensors` (the
model under its own names: any tool loads it) with the rest in `NAME.state.safetensors` and `NAME.json`; NAME is the revision with
`@ : ~ { } /` as `-`. A `.safetensors` file that was committed comes back byte for byte under its own name. Code is never touched.

A plan says of each file whether it is new, the same already, or would change, and whether that would lose something. A config is
lost when the store does not hold its bytes; a checkpoint's file, which is never looked for in the store, whenever it differs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from onyxstore.disk import files
from onyxstore.disk.refs import HEAD, Reason, Ref, new_call, to
from onyxstore.errors import BadConfig, BadInput, ObjectMissing, PlanSpent, UnknownName, WouldOverwrite
from onyxstore.hashing import Buffer, address_of
from onyxstore.history.config_snapshots import masked_paths, snapshot_file, unmask
from onyxstore.history.purged import read_purged_addresses
from onyxstore.history.secrets import MASK
from onyxstore.names import check_relative_path
from onyxstore.store.doors import Doors
from onyxstore.store.plain_files import checkpoint_files
from onyxstore.store.revisions import find_ref
from onyxstore.store.views import Commit

_log = logging.getLogger("onyxstore")

FileState = Literal["new", "same", "changed", "lost", "purged"]
"""`changed`: overwritten, and in the store; `lost`: overwritten, and nowhere else; `purged`: left alone, the store lacks it."""

PARTS = ("configs", "checkpoint", "model")


@dataclass(frozen=True, kw_only=True)
class CheckoutOptions:
    """Where to (None: where it came from), which part only, whether the checkpoint goes along, whether changes may be lost."""

    to: Path | None = None
    only: str | None = None
    checkpoint: bool = True
    force: bool = False


@dataclass(frozen=True)
class PlannedFile:
    """A file that a checkout writes: its content in blocks, what that does to what lies there, and its values that stay masked."""

    path: Path
    blocks: Callable[[], Iterable[Buffer]] = field(repr=False)
    state: FileState
    masked: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckoutReport:
    """The files that were written, and those that were the same already."""

    commit: Commit
    written: tuple[Path, ...]
    same: tuple[Path, ...]


@dataclass
class CheckoutPlan:
    """What a checkout would do; it prints itself, and `execute` does it, once."""

    commit: Commit
    files: tuple[PlannedFile, ...]
    head: Ref | None
    force: bool
    _doors: Doors = field(repr=False)
    _spent: bool = field(default=False, repr=False)

    def execute(self) -> CheckoutReport:
        """Writes each file beside its place and renames it there, then moves HEAD. WouldOverwrite before anything is written."""
        if self._spent:
            raise PlanSpent("checkout")
        lost = tuple(str(file.path) for file in self.files if file.state == "lost")
        if lost and not self.force:
            raise WouldOverwrite(lost)
        self._spent = True
        written = [file for file in self.files if file.state not in {"same", "purged"}]
        for file in written:
            files.make_folder(file.path.parent)
            with files.stage(file.path.parent) as staged:
                for block in file.blocks():
                    staged.write(block)
                staged.replace(file.path)
            if file.masked:
                _log.warning("masked in %s: %s; the store never had these values, put them back by hand", file.path, ", ".join(file.masked))
        if self.head is not None:
            self._doors.refs.update({HEAD: to(self.head)}, Reason(f"checkout {self.commit.short}", new_call()))
        return CheckoutReport(
            self.commit, tuple(file.path for file in written), tuple(file.path for file in self.files if file.state == "same")
        )

    def __str__(self) -> str:
        return "\n".join(f"{file.state:8}{file.path}" for file in self.files)


def plan_checkout(doors: Doors, commit: Commit, revision: str, options: CheckoutOptions) -> CheckoutPlan:
    """What a checkout of `commit` would write; `revision` is how it was asked for, and names the checkpoint's files."""
    if options.only is not None and options.only not in PARTS:
        raise UnknownName("part", options.only, "a checkout", PARTS)
    folder = Path(options.to).absolute() if options.to is not None else doors.layout.folder
    planned = list(_configs(doors, commit, folder)) if options.only in {None, "configs"} else []
    checkpoint = commit.checkpoint if options.checkpoint and options.only != "configs" else None
    if checkpoint is not None:
        checkpoint.check_stored()  # now, not when half of the files are written
        name = re.sub(r"[@:~{}/]+", "-", revision).strip("-")
        for relative, blocks in checkpoint_files(doors, checkpoint, name, model_only=options.only == "model"):
            path = _inside(folder, relative)
            planned.append(PlannedFile(path, blocks, _state_of(path, blocks)))
    elif options.only in {"checkpoint", "model"}:
        raise BadInput(f"{commit.short} has no checkpoint to check out")
    moves_head = options.to is None and options.only is None
    return CheckoutPlan(commit, tuple(planned), _head(doors, commit, revision) if moves_head else None, options.force, doors)


def _configs(doors: Doors, commit: Commit, folder: Path) -> Iterator[PlannedFile]:
    for name, relative in _config_paths(commit).items():
        path = _inside(folder, relative)
        try:
            data = commit.config_bytes(name)
        except ObjectMissing as error:
            if error.address not in read_purged_addresses(doors.layout):
                raise
            yield PlannedFile(path, list, "purged")
            continue
        state, content = _over(doors, path, data)
        masked = masked_paths(content, str(path)) if MASK.encode() in content else ()
        yield PlannedFile(path, lambda content=content: [content], state, masked)  # type: ignore[misc]


def _over(doors: Doors, path: Path, content: bytes) -> tuple[FileState, bytes]:
    """What writing a config does to the file at `path`, and its bytes with the values of that file's own where they have masks."""
    if not files.exists(path):
        return "new", content
    try:
        there = snapshot_file(path.name, path, path.parent)
        own = unmask(content, path.read_bytes(), str(path))
        kept = {*masked_paths(content, str(path))} if there.masked else set()
    except BadConfig:
        # Half-written, say: no config that the store could have, and no values to keep.
        return "lost", content
    if there.data == content:
        return "same", own
    # A secret is in no snapshot: one whose key goes would be lost though the store has the rest.
    return ("changed" if kept.issuperset(there.masked) and doors.objects.has(address_of(there.data)) else "lost"), own


def _config_paths(commit: Commit) -> dict[str, str]:
    """Where each config of a commit goes, by name. Two files from outside the store's folder may have had one name; they don't get one."""
    paths: dict[str, str] = {}
    for name, entry in commit.config_entries.items():
        wanted = entry.path or f"{name}.yaml"
        paths[name] = f"{name}.yaml" if wanted in paths.values() else wanted
    if len(set(paths.values())) < len(paths):
        raise BadInput(f"two configs of {commit.short} would be written to one file")
    return paths


def _head(doors: Doors, commit: Commit, revision: str) -> Ref:
    """What HEAD names afterwards: an open run when that was asked for by its name, else the one commit; after HEAD the same."""
    name = find_ref(doors, revision)
    head = doors.refs.read(HEAD)
    if name == HEAD and head is not None:
        return head
    is_run = name is not None and name.startswith("runs/") and "@" not in revision
    return {"run": commit.run} if is_run and doors.state(commit.run).status == "open" else {"commit": commit.address}


def _inside(folder: Path, relative: str) -> Path:
    """The path below the folder; BadName or BadInput when a name from the store, or a link on the way, would lead out of it."""
    path = folder / check_relative_path("file", relative)
    if not path.parent.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise BadInput(f"{path} leads out of {folder} by a link; remove the link, or use --to DIR")
    return path


def _state_of(path: Path, blocks: Callable[[], Iterable[Buffer]]) -> FileState:
    if not files.exists(path):
        return "new"
    fd = files.open_read(path)
    try:
        offset = 0
        for block in blocks():
            size = memoryview(block).nbytes
            if files.read_at(fd, offset, size) != block:
                return "lost"
            offset += size
        return "same" if files.size_of(fd) == offset else "lost"
    finally:
        files.close(fd)
