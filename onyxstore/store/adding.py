"""A commit of files, without any Python of the user's: `onyx commit`.

It goes to the open run that HEAD names (`main` at first). After a checkout HEAD names one commit; then a new run begins there.
Config files that HEAD's commit has are read again from where they lie; one that is gone drops out, and that is said. Its checkpoint
and its artifacts are carried over, until others of the same names take their places.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from onyxstore.canonical import read_plain
from onyxstore.disk import files
from onyxstore.disk.locks import Lock, pinned
from onyxstore.disk.refs import HEAD, Reason, new_call
from onyxstore.errors import BadFile
from onyxstore.frameworks.torch_file import read_torch_file
from onyxstore.hashing import Address
from onyxstore.history import runs
from onyxstore.history.commits import ArtifactEntry, CheckpointEntry, CommitRecord, ConfigEntry
from onyxstore.history.metrics.plain import plain_metrics
from onyxstore.history.metrics.records import Value
from onyxstore.names import check_relative_path
from onyxstore.store.committing import Election, check_message, followed, write_commit
from onyxstore.store.doors import Doors
from onyxstore.store.gc import enforce_retention, with_room
from onyxstore.store.plain_files import open_foreign, read_safetensors
from onyxstore.store.retaining import revive
from onyxstore.store.surroundings import Surroundings, capture_surroundings, put_attempt, put_configs
from onyxstore.store.trees import Trees, write_trees

FIRST_RUN = "main"

_log = logging.getLogger("onyxstore")
_LARGEST_METRICS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What a commit is made of: files, and metrics as a mapping or a JSON file."""

    message: str
    configs: Mapping[str, Path] = field(default_factory=dict)
    metrics: Mapping[str, Any] | Path | None = None
    checkpoint: Path | None = None
    artifacts: Sequence[Path] = ()


@dataclass(frozen=True)
class _Draft:
    """An addition that was read and checked; nothing of it is in the store yet."""

    message: str
    metrics: dict[str, Value]
    trees: Trees | None
    artifacts: list[tuple[str, Path]]
    surroundings: Surroundings
    carried: dict[str, ConfigEntry]


def add_commit(doors: Doors, addition: Addition) -> Address:
    """Makes the commit; durable when this returns. Everything is read and checked before anything is written."""
    head = doors.refs.read(HEAD)
    draft = _read_addition(doors, addition, _before(doors, head))
    return with_room(doors, lambda: _add(doors, draft, head))


def _read_addition(doors: Doors, addition: Addition, before: Address | None) -> _Draft:
    message = check_message(addition.message)
    metrics = read_metrics(addition.metrics)
    trees = _checkpoint(doors, addition.checkpoint) if addition.checkpoint is not None else None
    artifacts = [(_artifact_name(path), path) for path in addition.artifacts]
    again, carried = _configs_again(doors, doors.commit(before) if before else None, set(addition.configs))
    return _Draft(message, metrics, trees, artifacts, capture_surroundings(doors, {**again, **addition.configs}), carried)


def _add(doors: Doors, draft: _Draft, head: Mapping[str, Any] | None) -> Address:
    state, lock = _open_run(doors, head)
    try:
        with pinned(doors.layout.locks):
            record = _put_record(doors, state, draft)
            metric, mode = followed(doors, state)
            election = Election(metric, mode, draft.metrics.get(metric) if metric else None)
            address = write_commit(doors, record, election, Reason(f"commit: {record.message}", new_call()), move_head=True)
        if draft.trees is not None:
            enforce_retention(doors, state, int(record.cost["raw_bytes"]))
    finally:
        lock.release()
    return address


def _put_record(doors: Doors, state: runs.RunState, draft: _Draft) -> CommitRecord:
    """What the commit holds, with everything that it names put into the store."""
    attempt = put_attempt(doors, draft.surroundings)
    address = doors.latest_of(state.name) or state.parent
    parent = doors.commit(address) if address else None
    checkpoint, cost = parent.checkpoint if parent else None, {}
    if draft.trees is not None:
        saved = write_trees(doors.objects, draft.trees)
        revive(doors, state.name, saved.manifest)
        checkpoint = CheckpointEntry(saved.manifest, None, None, draft.metrics)
        cost = {"checkpoint_bytes": saved.stored, "raw_bytes": saved.raw}
    kept = {artifact.name: artifact for artifact in (parent.artifacts if parent else ())}
    added = {name: ArtifactEntry(name, *doors.objects.put_file(path), "file", None) for name, path in draft.artifacts}
    return CommitRecord(
        run=state.name,
        parents=(address,) if address else (),
        message=draft.message,
        time=time.time_ns(),
        metrics=draft.metrics,
        configs={**draft.carried, **put_configs(doors, draft.surroundings.configs)},
        checkpoint=checkpoint,
        artifacts=tuple((kept | added).values()),
        code=attempt.code,
        environment=attempt.environment,
        cost=cost,
    )


def _before(doors: Doors, head: Mapping[str, Any] | None) -> Address | None:
    """The commit whose configs the new one goes on from."""
    if head is None:
        return doors.latest_of(FIRST_RUN)
    return doors.latest_of(head["run"]) if "run" in head else Address(head["commit"])


def _open_run(doors: Doors, head: Mapping[str, Any] | None) -> tuple[runs.RunState, Lock]:
    """The run that the commit goes to, locked: HEAD's, or a new one that begins at HEAD's commit."""
    name = FIRST_RUN if head is None else head.get("run")
    if name is not None and runs.run_exists(doors.layout, name):
        lock = runs.lock_run(doors.layout, name)
        state = doors.state(name)
        if state.status == "open":
            return state, lock
        lock.release()
    parent = Address(head["commit"]) if head is not None and "commit" in head else None
    free, lock = runs.claim_name(doors.layout, FIRST_RUN)
    state = replace(runs.new_state(free, created=time.time_ns(), status="open"), parent=parent)
    with contextlib.ExitStack() as undo:
        undo.callback(lock.release)
        runs.write_state(doors.layout, state)
        undo.pop_all()
    return state, lock


def _configs_again(doors: Doors, before: CommitRecord | None, given: set[str]) -> tuple[dict[str, Path], dict[str, ConfigEntry]]:
    """The config files that the commit before has, to be read again, and the configs of it that never were files."""
    entries = {name: entry for name, entry in (before.configs if before else {}).items() if name not in given}
    again: dict[str, Path] = {}
    for name, entry in entries.items():
        if entry.path is None:
            continue
        path = doors.layout.folder / entry.path
        if files.exists(path):
            again[name] = path
        else:
            _log.warning("config '%s' drops out: there is no %s", name, entry.path)
    return again, {name: entry for name, entry in entries.items() if entry.path is None}


def read_metrics(given: Mapping[str, Any] | Path | None) -> dict[str, Value]:
    """Metrics as they were handed in, or those of a JSON file; BadFile, BadMetric, BadName."""
    if not isinstance(given, Path):
        return dict(plain_metrics(given or {}))
    try:
        value = read_plain(_read(given))
    except ValueError as error:
        raise BadFile(str(given), "JSON file", str(error)) from None
    if type(value) is not dict:
        raise BadFile(str(given), "file of metrics", "it should hold one object of names and numbers")
    return dict(plain_metrics(value))


def _read(path: Path) -> bytes:
    fd = open_foreign(path, "file of metrics")
    try:
        if files.size_of(fd) > _LARGEST_METRICS:
            raise BadFile(str(path), "file of metrics", f"it has more than {_LARGEST_METRICS} bytes")
        return files.read_at(fd, 0, _LARGEST_METRICS)
    finally:
        files.close(fd)


def _checkpoint(doors: Doors, path: Path) -> Trees:
    if path.suffix == ".safetensors":
        return read_safetensors(doors, path)
    if path.suffix in {".pt", ".pth"}:
        return Trees(state=read_torch_file(path))
    raise BadFile(str(path), "checkpoint", "its name should end in .safetensors, .pt or .pth")


def _artifact_name(path: Path) -> str:
    """The name that a file is kept under; BadFile, BadName."""
    if not path.is_file():
        raise BadFile(str(path), "artifact", "it is no file" if path.exists() else "there is none")
    return check_relative_path("artifact", path.name)
