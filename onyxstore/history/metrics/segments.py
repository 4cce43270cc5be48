"""A sealed part of a metric log: records as columns in one object, which is itself a safetensors file.

    offset  size  type    field
    0       8     u64 LE  length of the header, a multiple of 8
    8       h     JSON    header, padded with spaces: one tensor a column, U8 [planes, length] (`planes` says what they hold),
                          and the metadata key `onyx`
    8+h     …     bytes   the columns one after another: shapes, times, steps, epochs.int, epochs.float, values.0 … (`columns`)

`onyx` is canonical JSON again, as text:

    {"format": 1, "log": id, "first": position of the first record,
     "shapes": [[kind of record, has a step, "none" | "int" | "float" (its epoch), [number of a metric…]]…],
     "metrics": [["points" | "summary", name, "float" | "int" | "bool"]…],
     "artifacts": [{"name", "address", "size", "kind"}…],
     "columns": {name of the tensor: [reading, [start…]]…}}

The same records at the same position of the same log give the same bytes. Reading is strict: whatever passes `decode_segment` can be
read to the end, and takes at most 8 times its own size in memory for what is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onyxstore.canonical import plain_bytes, read_plain
from onyxstore.hashing import Buffer
from onyxstore.history.metrics.columns import EPOCHS, KINDS, VALUES, Columns, Metric, Shape, columns_of
from onyxstore.history.metrics.line import artifact_of
from onyxstore.history.metrics.planes import Array, Planes, check_planes, decode_column, encode_column
from onyxstore.history.metrics.records import Record, is_int64
from onyxstore.names import check_metric_name

FORMAT = 1
_ARRAYS = ("shapes", "times", "steps", "epochs.int", "epochs.float")
_FIELDS = {"format", "log", "first", "shapes", "metrics", "artifacts", "columns"}


@dataclass(frozen=True)
class Segment:
    """Consecutive records of the log `log`, the first at position `first`."""

    log: str
    first: int
    columns: Columns


def encode_segment(log: str, first: int, records: Sequence[Record]) -> bytes:
    """One or more consecutive records as a segment."""
    columns = columns_of(records)
    coded = {name: encode_column(array) for name, array in columns.arrays.items()}
    header = _encode_header(_encode_metadata(log, first, columns, coded), coded)
    return b"".join((len(header).to_bytes(8, "little"), header, *(planes.data.tobytes() for planes in coded.values())))


def decode_segment(data: Buffer) -> Segment:
    """A segment whose columns are decoded when they are asked for; ValueError when `data` is none."""
    tensors, metadata = _decode_header(data)
    if type(metadata) is not dict or metadata.keys() != _FIELDS or metadata["format"] != FORMAT:
        raise ValueError("a segment has metadata of its own")
    log, first = metadata["log"], metadata["first"]
    if type(log) is not str or not is_int64(first) or first < 0:
        raise ValueError("a segment names its log and its first position")
    metrics = tuple(map(_metric, _list(metadata["metrics"])))
    shapes = tuple(_shape(row, metrics) for row in _list(metadata["shapes"]))
    coded = _planes(tensors, metadata["columns"])
    columns = Columns(shapes, metrics, tuple(map(_artifact, _list(metadata["artifacts"]))), _Arrays(coded))
    _check_readings(metrics, coded)
    _check_lengths(columns, {name: planes.data.shape[1] for name, planes in coded.items()})
    return Segment(log, first, columns)


# ----------------------------------------------------------------------------------------------------------------- encode


def _encode_metadata(log: str, first: int, columns: Columns, coded: Mapping[str, Planes]) -> str:
    return plain_bytes(
        {
            "format": FORMAT,
            "log": log,
            "first": first,
            "shapes": [[shape.record, shape.step, shape.epoch, shape.metrics] for shape in columns.shapes],
            "metrics": [[metric.record, metric.name, metric.kind] for metric in columns.metrics],
            "artifacts": columns.artifacts,
            "columns": {name: [planes.reading, planes.starts] for name, planes in coded.items()},
        }
    ).decode()


def _encode_header(metadata: str, coded: Mapping[str, Planes]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"onyx": metadata}}
    offset = 0
    for name, planes in coded.items():
        header[name] = {"dtype": "U8", "shape": planes.data.shape, "data_offsets": [offset, offset + planes.data.size]}
        offset += planes.data.size
    encoded = plain_bytes(header)
    return encoded + b" " * (-len(encoded) % 8)


# ----------------------------------------------------------------------------------------------------------------- decode


class _Arrays(Mapping[str, Array]):
    """Columns, each decoded once, when it is first asked for."""

    def __init__(self, coded: Mapping[str, Planes]) -> None:
        self._coded = coded
        self._decoded: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._decoded:
            self._decoded[name] = decode_column(self._coded[name])
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._coded)

    def __len__(self) -> int:
        return len(self._coded)


def _decode_header(data: Buffer) -> tuple[dict[str, Array], Any]:
    """The tensors, which must fill the rest of the file without a gap, and the metadata."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ValueError("a segment's header ends within it")
    header = read_plain(memoryview(data)[8 : 8 + length])
    if type(header) is not dict or type(header.get("__metadata__")) is not dict or header["__metadata__"].keys() != {"onyx"}:
        raise ValueError("a segment's header is an object with the metadata key onyx")
    text = header.pop("__metadata__")["onyx"]
    if type(text) is not str or not all(map(_is_tensor, header.values())):
        raise ValueError("a segment's header describes tensors of bytes")
    body = np.frombuffer(data, np.uint8, offset=8 + length)
    tensors, offset = {}, 0
    for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        (rows, columns), (begin, end) = tensor["shape"], tensor["data_offsets"]
        if begin != offset or end > len(body) or rows * columns != end - begin or not columns:
            raise ValueError(f"tensor {name[:40]!r} does not lie where its shape says")
        tensors[name] = body[begin:end].reshape(rows, columns)
        offset = end
    if offset != len(body):
        raise ValueError("a segment ends with its last tensor")
    return tensors, read_plain(text.encode())


def _is_tensor(tensor: Any) -> bool:
    if type(tensor) is not dict or tensor.keys() != {"dtype", "shape", "data_offsets"} or tensor["dtype"] != "U8":
        return False
    numbers = [tensor["shape"], tensor["data_offsets"]]
    return all(type(pair) is list and len(pair) == 2 and all(is_int64(number) and number >= 0 for number in pair) for pair in numbers)


def _planes(tensors: dict[str, Array], columns: Any) -> dict[str, Planes]:
    if type(columns) is not dict or columns.keys() != tensors.keys():
        raise ValueError("a segment says how each of its tensors is read")
    coded = {}
    for name, row in columns.items():
        if type(row) is not list or len(row) != 2 or type(row[0]) is not str or type(row[1]) is not list:
            raise ValueError(f"column {name[:40]!r} has no reading")
        coded[name] = Planes(row[0], tuple(row[1]), tensors[name])
        check_planes(coded[name])
    return coded


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ValueError("a segment's metadata holds lists")
    return value


def _metric(row: Any) -> Metric:
    match row:
        case ["points" | "summary" as record, str(name), str(kind)] if kind in VALUES.values():
            return Metric(record, check_metric_name(name), kind)
    raise ValueError("a metric is a kind of record, a name and a kind of value")


def _shape(row: Any, metrics: tuple[Metric, ...]) -> Shape:
    match row:
        case [str(record), bool(step), str(epoch), list(numbers)] if record in KINDS.values() and epoch in EPOCHS.values():
            pass
        case _:
            raise ValueError("a shape is a kind of record, a step, an epoch and metrics")
    if not all(type(number) is int and 0 <= number < len(metrics) and metrics[number].record == record for number in numbers):
        raise ValueError("a shape names metrics that are there")
    if len({metrics[number].name for number in numbers}) != len(numbers):
        raise ValueError("a shape names a metric once")
    if (not step and record in {"points", "rewind"}) or (record == "summary" and (step or epoch != "none")):
        raise ValueError(f"a shape of {record} has other fields")
    return Shape(record, step, epoch, tuple(numbers))


def _artifact(row: Any) -> Mapping[str, Any]:
    if type(row) is not dict:
        raise ValueError("an artifact is an object")
    artifact_of(row, None, None, 0)
    return row


def _check_readings(metrics: tuple[Metric, ...], coded: Mapping[str, Planes]) -> None:
    """Every column is one that may be there, and holds the kind of number that it should."""
    kinds = {**dict.fromkeys(_ARRAYS, "time"), "epochs.float": "float"}
    kinds |= {f"values.{number}": metric.kind for number, metric in enumerate(metrics)}
    for name, planes in coded.items():
        kind = kinds.get(name)
        whole = planes.reading == "int" or (planes.reading == "big" and kind == "int")
        if kind is None or whole == (kind == "float"):
            raise ValueError(f"column {name[:40]!r} does not belong in a segment, or is of another kind")


def _check_lengths(columns: Columns, lengths: Mapping[str, int]) -> None:
    """Every column is as long as the shapes of the records want it, and of the kind that its metric has."""
    if "shapes" not in lengths:
        raise ValueError("a segment has a column of shapes")
    numbers = columns.arrays["shapes"]
    if numbers.min() < 0 or numbers.max() >= len(columns.shapes):
        raise ValueError("a record has a shape that is not there")
    counts = np.bincount(numbers, minlength=len(columns.shapes)).tolist()
    wanted = dict.fromkeys((*_ARRAYS, *(f"values.{number}" for number in range(len(columns.metrics)))), 0)
    for shape, count in zip(columns.shapes, counts, strict=True):
        for name in _names_in(shape):
            wanted[name] += count
    if {name: length for name, length in wanted.items() if length} != lengths:
        raise ValueError("a column has another length than its records")
    if sum(count for shape, count in zip(columns.shapes, counts, strict=True) if shape.record == "artifact") != len(columns.artifacts):
        raise ValueError("a segment has another number of artifacts than its records")


def _names_in(shape: Shape) -> Iterator[str]:
    yield from ("shapes", "times")
    if shape.step:
        yield "steps"
    if shape.epoch != "none":
        yield f"epochs.{shape.epoch}"
    for number in shape.metrics:
        yield f"values.{number}"
