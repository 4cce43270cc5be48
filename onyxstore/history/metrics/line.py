"""One record as text: the payload of a checked line.

A record is a JSON object. Its `position` is its number in the log: a reader that finds a line damaged knows by the next one how many
records it lost, and a record that stands in two files of the log counts once. The last key names the kind, its value is the content:

    {"position": 7, "step": 3, "epoch": 1, "time": ns, "points": {"loss": 0.5, "train/acc": 0.25}}
    {"position": 8, "step": 3, "epoch": 1, "time": ns, "rewind": {}}
    {"position": 9, "step": 3, "epoch": 1, "time": ns, "artifact": {"name": text, "address": hex, "size": bytes, "kind": text}}
    {"position": 10, "time": ns, "summary": {"test_acc": 0.91}}

`epoch` is left out where none was given, `step` where an artifact has none. A float has a point or an exponent and is the shortest
decimal that reads back to the same bits; an int has neither, and any number of digits; `NaN`, `Infinity` and `-Infinity` stand
for themselves, which is the one thing here that JSON does not know.

orjson writes 5 floats in 0.5 µs where the standard library takes 5, but writes NaN as null, reads an int of more than 64 bits as a
float, and lets a key stand twice. So it writes finite points only, and its reading is taken only if written again it gives the same
bytes; everything else goes through the standard library, strictly.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from onyxstore.hashing import is_address
from onyxstore.history.metrics.records import Artifact, Epoch, Points, Record, Rewind, Summary, Value, is_epoch, is_int64, is_value
from onyxstore.names import check_metric_name

_check_name = functools.lru_cache(maxsize=1 << 16)(check_metric_name)


def encode_points(position: int, step: int, epoch: Epoch, time: int, values: Mapping[str, Value]) -> bytes:
    """The payload of a `Points` record, without making one: this is the path that every `log` takes."""
    if epoch is None:
        fields: dict[str, Any] = {"position": position, "step": step, "time": time, "points": values}
    else:
        fields = {"position": position, "step": step, "epoch": epoch, "time": time, "points": values}
    try:
        # A sum is finite only if all of it is: half the price of looking for `null` in the text.
        if math.isfinite(sum(values.values())):
            return orjson.dumps(fields)
    except (TypeError, OverflowError):  # an int of more than 64 bits, a sum of ints beyond all floats
        pass
    return _dump(fields)


def encode_record(position: int, record: Record) -> bytes:
    """The payload of any record at its position."""
    if isinstance(record, Points):
        return encode_points(position, record.step, record.epoch, record.time, dict(record.values))
    fields: dict[str, Any] = {"position": position}
    if not isinstance(record, Summary):
        fields |= {key: value for key in ("step", "epoch") if (value := getattr(record, key)) is not None}
    fields["time"] = record.time
    if isinstance(record, Rewind):
        fields["rewind"] = {}
    elif isinstance(record, Artifact):
        fields["artifact"] = {"name": record.name, "address": record.address, "size": record.size, "kind": record.kind}
    else:
        fields["summary"] = dict(record.values)
    return _dump(fields)


def decode_record(payload: bytes) -> tuple[int, Record]:
    """A record and its position; ValueError for anything that `encode_record` does not write."""
    fields = _load(payload)
    if type(fields) is not dict or len(fields) < 3:
        raise ValueError("a record is a JSON object")
    kind, content = fields.popitem()
    position, time = fields.pop("position", None), fields.pop("time", None)
    step, epoch = fields.pop("step", None), fields.pop("epoch", None)
    if fields or not is_int64(position) or position < 0 or not is_int64(time) or type(content) is not dict:
        raise ValueError("a record has a position, a time and a content")
    if not is_epoch(epoch) or not (is_int64(step) or step is None):
        raise ValueError("a record's step is an int of 64 bits, its epoch a finite number")
    return position, _build(kind, content, step, epoch, time)


def _build(kind: str, content: dict[str, Any], step: int | None, epoch: Epoch, time: int) -> Record:
    if kind == "points" and step is not None:
        return Points(step, epoch, time, _values(content))
    if kind == "rewind" and step is not None and not content:
        return Rewind(step, epoch, time)
    if kind == "summary" and step is None and epoch is None:
        return Summary(_values(content), time)
    if kind == "artifact":
        return artifact_of(content, step, epoch, time)
    raise ValueError(f"there is no record {kind[:40]!r} with these fields")


def artifact_of(content: dict[str, Any], step: int | None, epoch: Epoch, time: int) -> Artifact:
    """The artifact of its four own fields; ValueError when they are not those, or not of their types."""
    if content.keys() != {"name", "address", "size", "kind"}:
        raise ValueError("an artifact has a name, an address, a size and a kind")
    name, address, size, kind = content["name"], content["address"], content["size"], content["kind"]
    if type(name) is not str or type(kind) is not str or not is_address(address) or not is_int64(size) or size < 0:
        raise ValueError("an artifact's fields have the wrong types")
    return Artifact(name, address, size, kind, step, epoch, time)


def _values(content: dict[str, Any]) -> dict[str, Value]:
    for name, value in content.items():
        _check_name(name)
        if not is_value(value):
            raise ValueError(f"{name} has a value that is no number")
    return content


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _load(payload: bytes) -> Any:
    try:
        fields = orjson.loads(payload)
        if orjson.dumps(fields) == payload:
            return fields
    except (orjson.JSONDecodeError, TypeError):
        pass
    try:
        return json.loads(payload.decode(), object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made
