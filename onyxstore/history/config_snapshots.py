"""Config snapshots: the exact bytes of a config file, and the value that they say.

The bytes are kept for checkout, comments and layout included; the value, as canonical JSON, is what configs are compared and told
apart by. Secrets are masked in both before anything else sees them: in a file only the bytes of the scalar, comment or key that
holds one change. The way back is `unmask`: where a file with values of its own is checked out over, those stay.

Files are YAML or JSON of up to 4 MiB (see `yaml12`). A value that was handed in has no path; its bytes are canonical YAML, which
checkout writes to `NAME.yaml`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onyxstore.errors import BadConfig
from onyxstore.history.config_values import plain_value
from onyxstore.history.secrets import MASK, dotted, mask_string, mask_text, mask_value
from onyxstore.names import check_relative_path
from onyxstore.yaml12 import MAX_BYTES, Key, Scalar, YamlValue, encode_scalar, read_yaml, write_yaml


@dataclass(frozen=True)
class ConfigSnapshot:
    """A config as it was: its file relative to the store's folder (None: handed in), its masked bytes and value.

    `masked` names what was masked by key path (`database.password`) or line (`line 12`); `notes` say what YAML 1.1 would have read
    otherwise.
    """

    name: str
    path: str | None
    data: bytes
    value: Any
    masked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def snapshot_file(name: str, file: Path, root: Path) -> ConfigSnapshot:
    """A snapshot of a file as it is now; `root` is the store's folder. A file outside it is checked out by its bare name.

    BadConfig when it is missing, a link, no regular file, too large, or no YAML or JSON; BadName when it has a name that checkout
    would not write to.
    """
    check_relative_path("config", name)
    path = check_relative_path("config", _path_from(root, file))
    data = _read_file(file)
    yaml = read_yaml(data, str(file))
    masked, spared, where = _mask_file(data, yaml, str(file))
    return ConfigSnapshot(name, path, masked, spared, where, yaml.notes)


def snapshot_value(name: str, value: object) -> ConfigSnapshot:
    """A snapshot of a value: a dict, dataclass, Namespace, or what `plain_value` takes; CannotEncode for anything else."""
    check_relative_path("config", name)
    masked, where = mask_value(plain_value(value))
    return ConfigSnapshot(name, None, write_yaml(masked), masked, where)


def unmask(snapshot: bytes, existing: bytes, file: str) -> bytes:
    """A snapshot's bytes with the values of `existing`, the file that it is checked out over, wherever the snapshot has a mask.

    A masked value that `existing` lacks stays masked: `masked_paths` of the result says which. BadConfig, with `file` for its name,
    when `existing` cannot be read: its values must not be lost.
    """
    if MASK.encode() not in snapshot:
        return snapshot
    theirs = read_yaml(existing, file)
    if _mask_file(existing, theirs, file)[0] == snapshot:
        return existing
    own = {scalar.path: scalar.value for scalar in theirs.scalars}
    edits = {
        (scalar.start, scalar.end): _respell(snapshot, scalar, own[scalar.path])
        for scalar in read_yaml(snapshot, file).scalars
        if _holds_mask(scalar.value) and scalar.path in own
    }
    return _edited(snapshot, edits)


def masked_paths(data: bytes, file: str) -> tuple[str, ...]:
    """The key paths of a config file's values that are or hold a mask."""
    return tuple(dotted(scalar.path) for scalar in read_yaml(data, file).scalars if _holds_mask(scalar.value))


# -------------------------------------------------------------------------------------------------------------- reading


def _read_file(file: Path) -> bytes:
    """The bytes of a regular file; nothing here may hang on a FIFO or read a disk into memory."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = {errno.ENOENT: "there is no such file", errno.ELOOP: "it is a symbolic link; name the file that it leads to"}
        raise BadConfig(str(file), why.get(error.errno or 0, os.strerror(error.errno or 0))) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadConfig(str(file), "it is no regular file")
    with os.fdopen(fd, "rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _path_from(root: Path, file: Path) -> str:
    """Where a file lies below the root; folders on the way may be links, so both are resolved."""
    folder, top = file.parent.resolve(), root.resolve()
    return (folder / file.name).relative_to(top).as_posix() if folder.is_relative_to(top) else file.name


# -------------------------------------------------------------------------------------------------------------- masking

Span = tuple[int, int]


def _mask_file(data: bytes, yaml: YamlValue, file: str) -> tuple[bytes, Any, tuple[str, ...]]:
    """The bytes and value of a file with its secrets masked, and where they were."""
    values: dict[Span, str] = {}
    edits: dict[Span, bytes] = {}
    where: dict[str, None] = {}
    for scalar in yaml.scalars:
        if type(scalar.value) is str and (masked := mask_string(scalar.path, scalar.value)) != scalar.value:
            values[scalar.start, scalar.end] = masked
            edits[scalar.start, scalar.end] = _masked_bytes(data, scalar, masked)
            where[dotted(scalar.path)] = None
    for start, end in _gaps(len(data), yaml.scalars):
        gap = data[start:end].decode()
        masked, found = mask_text(gap)
        if found:
            edits[start, end] = masked.encode()
            where[f"line {_line_of_difference(data, start, gap, masked)}"] = None
    if not edits:
        return data, yaml.value, ()
    spared = _edited(data, edits)
    after = read_yaml(spared, file)
    _check_rest([values.get((each.start, each.end), each.value) for each in yaml.scalars], after, file)
    return spared, after.value, tuple(where)


def _check_rest(expected: list[Key], after: YamlValue, file: str) -> None:
    """An edit that changed more than it should is never stored, and neither is what it should have masked."""
    if list(map(repr, expected)) != [repr(scalar.value) for scalar in after.scalars]:
        raise BadConfig(file, "its secrets cannot be masked without changing its other values; keep them in a file of their own")


def _masked_bytes(data: bytes, scalar: Scalar, masked: str) -> bytes:
    """The scalar's bytes with its value masked: in their own style where they spell the value letter by letter."""
    raw = data[scalar.start : scalar.end].decode()
    for quote in ("", '"', "'"):
        if raw == f"{quote}{scalar.value}{quote}":
            return f"{quote}{masked}{quote}".encode()
    return _respell(data, scalar, masked)


def _respell(data: bytes, scalar: Scalar, value: Key) -> bytes:
    """Another value for a scalar's bytes: in its own double quotes if it has them, without the line breaks that end a block."""
    raw = data[scalar.start : scalar.end]
    return encode_scalar(value, quoted=raw.startswith(b'"')).encode() + raw[len(raw.rstrip()) :]


def _gaps(size: int, scalars: Iterable[Scalar]) -> list[Span]:
    """What lies between the scalar values: keys, comments, punctuation."""
    spans = sorted({(scalar.start, scalar.end) for scalar in scalars})
    starts = [0, *(end for _, end in spans)]
    ends = [*(start for start, _ in spans), size]
    return list(zip(starts, ends, strict=True))


def _edited(data: bytes, edits: Mapping[Span, bytes]) -> bytes:
    parts = []
    last = 0
    for (start, end), replacement in sorted(edits.items()):
        parts += [data[last:start], replacement]
        last = end
    return b"".join([*parts, data[last:]])


def _line_of_difference(data: bytes, start: int, before: str, after: str) -> int:
    same = next((index for index, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    return data.count(b"\n", 0, start) + before.count("\n", 0, same) + 1


def _holds_mask(value: Key) -> bool:
    return type(value) is str and MASK in value
