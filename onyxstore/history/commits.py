"""Commits: what one saved state consists of, by address.

A commit is one canonical JSON object. It holds the whole state as of then: what a commit did not change, it carries over from its
first parent. Everything in it but numbers and words is the address of another object, or a prefix of the run's metric log.

    {"onyx": "commit", "run": name, "parents": [address…], "message": text, "time": ns, "step": int|null, "epoch": number|null,
     "metrics": {name: number…},                                 values handed in with the commit, no points of the log
     "configs": {name: {"path": text|null, "snapshot": address, "value": address}},
     "log": null | {"id": hex, "position": records, "hash": hex},
     "checkpoint": null | {"manifest": address, "step", "epoch", "metrics"},
     "artifacts": [{"name", "address", "size", "kind", "step"}…],
     "code": address|null, "environment": address|null, "cost": {name: number…}}

This module is pure: bytes to values and back. Decoding checks every field, so that what comes after can rely on the types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.hashing import Address, is_address
from onyxstore.history.metrics.prefix import LogPrefix
from onyxstore.names import check_run_name

Number = float | int | bool


@dataclass(frozen=True)
class ConfigEntry:
    """A config snapshot: where its file lies relative to the store's folder (None: it was handed in as a value), its bytes, its value."""

    path: str | None
    snapshot: Address
    value: Address


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint as a commit names it: its manifest, when it was saved, the metrics that were handed in with it."""

    manifest: Address
    step: int | None
    epoch: float | int | None
    metrics: Mapping[str, Number]


@dataclass(frozen=True)
class ArtifactEntry:
    """A file kept with a commit: its name, address, bytes, kind (`image`, `text`, `file` …), and step if it has one."""

    name: str
    address: Address
    size: int
    kind: str
    step: int | None


@dataclass(frozen=True)
class CommitRecord:
    """The fields of a commit; times are nanoseconds since 1970 UTC."""

    run: str
    parents: tuple[Address, ...]
    message: str
    time: int
    step: int | None = None
    epoch: float | int | None = None
    metrics: Mapping[str, Number] = field(default_factory=dict)
    configs: Mapping[str, ConfigEntry] = field(default_factory=dict)
    log: LogPrefix | None = None
    checkpoint: CheckpointEntry | None = None
    artifacts: tuple[ArtifactEntry, ...] = ()
    code: Address | None = None
    environment: Address | None = None
    cost: Mapping[str, Number] = field(default_factory=dict)


def encode_commit(record: CommitRecord) -> bytes:
    """The commit's object; ValueError or TypeError for a record that could not be read back: refs would move to nothing."""
    data = canonical_bytes({"onyx": "commit", **_listed(asdict(record))})
    decode_commit(data)
    return data


def decode_commit(data: bytes) -> CommitRecord:
    """The commit of an object; ValueError when it is none."""
    value = read_canonical(data)
    _check(type(value) is dict and value.get("onyx") == "commit", "it is no commit")
    _check(set(value) == _FIELDS, "its fields are not those of a commit")
    _check(type(value["run"]) is str and type(value["message"]) is str and type(value["time"]) is int, "run, message or time")
    check_run_name(value["run"])
    _check(type(value["parents"]) is list and all(map(is_address, value["parents"])), "parents")
    _check_moment(value)
    _check(all(value[name] is None or is_address(value[name]) for name in ("code", "environment")), "code or environment")
    return CommitRecord(
        run=value["run"],
        parents=tuple(value["parents"]),
        message=value["message"],
        time=value["time"],
        step=value["step"],
        epoch=value["epoch"],
        metrics=_numbers(value["metrics"]),
        configs={name: _config(entry) for name, entry in _mapping(value["configs"]).items()},
        log=_log(value["log"]),
        checkpoint=_checkpoint(value["checkpoint"]),
        artifacts=tuple(_artifact(entry) for entry in _sequence(value["artifacts"])),
        code=value["code"],
        environment=value["environment"],
        cost=_numbers(value["cost"]),
    )


_FIELDS = {"onyx", *CommitRecord.__dataclass_fields__}


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (tuple, list)) else value


def _config(entry: Any) -> ConfigEntry:
    entry = _exactly(entry, "path", "snapshot", "value")
    _check(entry["path"] is None or type(entry["path"]) is str, "a config's path")
    _check(is_address(entry["snapshot"]) and is_address(entry["value"]), "a config's addresses")
    return ConfigEntry(**entry)


def _log(entry: Any) -> LogPrefix | None:
    if entry is None:
        return None
    entry = _exactly(entry, "id", "position", "hash")
    _check(type(entry["id"]) is str and type(entry["position"]) is int and entry["position"] >= 0 and is_address(entry["hash"]), "log")
    return LogPrefix(**entry)


def _checkpoint(entry: Any) -> CheckpointEntry | None:
    if entry is None:
        return None
    entry = _exactly(entry, "manifest", "step", "epoch", "metrics")
    _check(is_address(entry["manifest"]), "checkpoint")
    _check_moment(entry)
    return CheckpointEntry(entry["manifest"], entry["step"], entry["epoch"], _numbers(entry["metrics"]))


def _artifact(entry: Any) -> ArtifactEntry:
    entry = _exactly(entry, "name", "address", "size", "kind", "step")
    _check(type(entry["name"]) is str and type(entry["kind"]) is str and is_address(entry["address"]), "an artifact")
    _check(type(entry["size"]) is int and entry["size"] >= 0 and type(entry["step"]) in {int, type(None)}, "an artifact's size or step")
    return ArtifactEntry(**entry)


def _check_moment(value: Mapping[str, Any]) -> None:
    _check(type(value["step"]) in {int, type(None)} and type(value["epoch"]) in {int, float, type(None)}, "step or epoch")


def _numbers(value: Any) -> dict[str, Number]:
    numbers = _mapping(value)
    _check(all(type(item) in {int, float, bool} for item in numbers.values()), "a value that is no number")
    return numbers


def _mapping(value: Any) -> dict[str, Any]:
    _check(type(value) is dict and all(type(key) is str for key in value), "a mapping")
    made: dict[str, Any] = value
    return made


def _sequence(value: Any) -> list[Any]:
    _check(type(value) is list, "a list")
    made: list[Any] = value
    return made


def _exactly(value: Any, *names: str) -> dict[str, Any]:
    entry = _mapping(value)
    _check(set(entry) == set(names), f"an entry that should have {', '.join(names)}")
    return entry


def _check(holds: bool, what: str) -> None:  # noqa: FBT001 - an assertion with words
    if not holds:
        message = f"not a commit: {what}"
        raise ValueError(message)
