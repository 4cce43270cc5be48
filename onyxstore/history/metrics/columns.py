"""Records as columns: the form in which many of them are kept, and read as arrays.

Records that have the same fields share a *shape*: their kind, whether they have a step, the type of their epoch, and their metrics
(names with the kind of each value, in order). A training run has two or three. One array says each record's shape; the other
arrays hold each field of all records that have it, in the records' order:

    shapes        int64     for every record, the number of its shape
    times         int64     for every record
    steps         int64     for every record whose shape has a step
    epochs.int    int64     for every record whose shape has an int epoch
    epochs.float  float64   …or a float epoch
    values.N      float64, int64, bool or (ints, when one is beyond 64 bits) object: for every record whose shape has metric N

An array that would be empty is left out. Artifacts' own fields stand in a list of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from onyxstore.history.metrics.planes import Array
from onyxstore.history.metrics.records import Artifact, Epoch, Points, Record, Rewind, Summary, Value, is_int64

Kind = Literal["points", "rewind", "artifact", "summary"]
KINDS: dict[type[Record], Kind] = {Points: "points", Rewind: "rewind", Artifact: "artifact", Summary: "summary"}
EPOCHS = {type(None): "none", int: "int", float: "float"}
VALUES: dict[type[Value], str] = {float: "float", int: "int", bool: "bool"}


@dataclass(frozen=True)
class Metric:
    """One column of values: which kind of record they stand in, under which name, of which kind they are."""

    record: str
    name: str
    kind: str


@dataclass(frozen=True)
class Shape:
    """What records of one shape have: `metrics` are numbers of metrics."""

    record: str
    step: bool
    epoch: str
    metrics: tuple[int, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Records without the objects; artifacts as (name, address, size, kind)."""

    shapes: tuple[Shape, ...]
    metrics: tuple[Metric, ...]
    artifacts: tuple[Mapping[str, Any], ...]
    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.arrays["shapes"])

    def rows_of(self, record: str) -> Array:
        """Which records are of this kind, as bools."""
        return self._rows([shape.record == record for shape in self.shapes])

    def rows_with(self, metric: int) -> Array:
        """The numbers of the records that have this metric: `values.N` holds theirs."""
        return np.flatnonzero(self._rows([metric in shape.metrics for shape in self.shapes]))

    @cached_property
    def steps(self) -> Array:
        """A step for every record, 0 where it has none."""
        return self._spread("steps", [shape.step for shape in self.shapes], np.zeros(len(self), np.int64))

    @cached_property
    def epochs(self) -> Array:
        """An epoch for every record as a float, NaN where it has none."""
        epochs = np.full(len(self), np.nan)
        for kind in ("int", "float"):
            epochs = self._spread(f"epochs.{kind}", [shape.epoch == kind for shape in self.shapes], epochs)
        return epochs

    def _rows(self, members: list[bool]) -> Array:
        return np.array(members, bool)[self.arrays["shapes"]]

    def _spread(self, name: str, members: list[bool], into: Array) -> Array:
        if any(members):
            into[self._rows(members)] = self.arrays[name]
        return into


def columns_of(records: Iterable[Record]) -> Columns:
    """One or more records as columns; the same columns for the same records."""
    table = _Table()
    for record in records:
        table.add(record)
    return table.columns()


def records_of(columns: Columns) -> Iterator[Record]:
    """The records again, exactly, one after another."""
    listed = {name: iter(columns.arrays[name].tolist()) for name in columns.arrays if name != "shapes"}
    artifacts = iter(columns.artifacts)
    # A shape once decided is a row of iterators; what is left for each record is to take from them.
    plans = [_Plan(shape, columns.metrics, listed) for shape in columns.shapes]
    for number in columns.arrays["shapes"].tolist():
        yield plans[number].take(artifacts)


class _Plan:
    """Where the fields of the records of one shape come from."""

    __slots__ = ("_epochs", "_names", "_record", "_steps", "_times", "_values")

    def __init__(self, shape: Shape, metrics: tuple[Metric, ...], listed: dict[str, Iterator[Any]]) -> None:
        self._record = shape.record
        self._times = listed["times"]
        self._steps = listed["steps"] if shape.step else None
        self._epochs = listed[f"epochs.{shape.epoch}"] if shape.epoch != "none" else None
        self._names = [metrics[number].name for number in shape.metrics]
        self._values = [(listed[f"values.{number}"], metrics[number].kind) for number in shape.metrics]

    def take(self, artifacts: Iterator[Mapping[str, Any]]) -> Record:
        time = next(self._times)
        step = next(self._steps) if self._steps else None
        epoch: Epoch = next(self._epochs) if self._epochs else None
        taken = [bool(next(source)) if kind == "bool" else next(source) for source, kind in self._values]
        values = dict(zip(self._names, taken, strict=True))
        if self._record == "summary":
            return Summary(values, time)
        if self._record == "artifact":
            return Artifact(**next(artifacts), step=step, epoch=epoch, time=time)
        if step is None:
            raise ValueError("a shape of points or rewinds has a step")
        return Rewind(step, epoch, time) if self._record == "rewind" else Points(step, epoch, time, values)


class _Table:
    """Columns in the making."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._shapes: list[Shape] = []
        self._metrics: dict[Metric, list[Value]] = {}
        self._into: list[list[list[Value]]] = []
        self._lists: dict[str, list[Any]] = {name: [] for name in ("shapes", "times", "steps", "epochs.int", "epochs.float")}
        self._artifacts: list[dict[str, Any]] = []

    def add(self, record: Record) -> None:
        values = record.values if isinstance(record, Points | Summary) else {}
        step, epoch = (None, None) if isinstance(record, Summary) else (record.step, record.epoch)
        key = (type(record), step is None, type(epoch), *values, *map(type, values.values()))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._new_shape(record, values, step, epoch)
        lists = self._lists
        lists["shapes"].append(number)
        lists["times"].append(record.time)
        if step is not None:
            lists["steps"].append(step)
        if epoch is not None:
            lists["epochs.float" if type(epoch) is float else "epochs.int"].append(epoch)
        for into, value in zip(self._into[number], values.values(), strict=True):
            into.append(value)
        if isinstance(record, Artifact):
            self._artifacts.append({"name": record.name, "address": record.address, "size": record.size, "kind": record.kind})

    def columns(self) -> Columns:
        arrays = {name: np.array(items, np.float64 if name == "epochs.float" else np.int64) for name, items in self._lists.items() if items}
        for number, (metric, items) in enumerate(self._metrics.items()):
            arrays[f"values.{number}"] = _array(metric.kind, items)
        return Columns(tuple(self._shapes), tuple(self._metrics), tuple(self._artifacts), arrays)

    def _new_shape(self, record: Record, values: Mapping[str, Value], step: int | None, epoch: Epoch) -> int:
        kind = KINDS[type(record)]
        metrics = [Metric(kind, name, VALUES[type(value)]) for name, value in values.items()]
        self._into.append([self._metrics.setdefault(metric, []) for metric in metrics])
        numbers = {metric: number for number, metric in enumerate(self._metrics)}
        self._shapes.append(Shape(kind, step is not None, EPOCHS[type(epoch)], tuple(numbers[metric] for metric in metrics)))
        return len(self._shapes) - 1


def _array(kind: str, items: list[Value]) -> Array:
    if kind == "int" and not all(map(is_int64, items)):
        return np.array(items, object)
    return np.array(items, {"float": np.float64, "int": np.int64, "bool": np.bool_}[kind])
