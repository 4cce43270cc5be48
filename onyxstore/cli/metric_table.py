"""The values of metrics as text, CSV, JSON and Parquet: each from the same tables, one for each run.

The columns beside those of the metrics are `run` (where there are several), `epoch`, `step`, `time`; a metric that is called as one of
them is `metric/step`. What people read leaves the time out, and the epoch where no point has one.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from onyxstore.cli.figures import figure
from onyxstore.cli.json_shapes import Row
from onyxstore.cli.screen import Cell
from onyxstore.cli.table import Column, Table, lay_out
from onyxstore.errors import MissingPackage
from onyxstore.history.metrics.wide import Wide, column_names


class RunTable(NamedTuple):
    """The rows of one run, or of one up to a commit: then the label is the revision."""

    label: str
    wide: Wide


def text_table(tables: Sequence[RunTable], metrics: Sequence[str], width: int | None) -> Table:
    """Columns for people. Where a metric has no value, there is nothing."""
    has_epochs = any(not np.isnan(table.wide.epochs).all() for table in tables)
    layout = [Column("RUN", cut=20, middle=True)] * (len(tables) > 1) + [Column("EPOCH", right=True)] * has_epochs
    layout += [Column("STEP", right=True), *(Column(name, right=True, optional=True) for name in metrics)]
    rows: list[list[Cell]] = []
    for table in tables:
        for epoch, step, _, values in _rows(table.wide, metrics):
            labels = [table.label] * (len(tables) > 1) + [_shown(epoch)] * has_epochs
            rows.append([*labels, str(step), *map(_shown, values)])
    return lay_out(layout, rows, width)


def csv_lines(tables: Sequence[RunTable], metrics: Sequence[str]) -> Iterator[str]:
    """A line of titles, then the rows: floats in full, an empty field where there is no value."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="")
    has_run = len(tables) > 1
    names = column_names(metrics)
    rows = (
        [*([table.label] if has_run else []), epoch, step, time, *values]
        for table in tables
        for epoch, step, time, values in _rows(table.wide, metrics)
    )
    for row in ([*(["run"] if has_run else []), "epoch", "step", "time", *(names[name] for name in metrics)], *rows):
        line.seek(0)
        line.truncate()
        writer.writerow(row)
        yield line.getvalue()


def json_rows(tables: Sequence[RunTable], metrics: Sequence[str]) -> Iterator[Row]:
    """Rows of `metrics`."""
    for table in tables:
        for epoch, step, time, values in _rows(table.wide, metrics):
            there = {name: value for name, value in zip(metrics, values, strict=True) if value is not None}
            yield {"run": table.label, "epoch": epoch, "step": step, "time": time, "values": there}


def encode_parquet(tables: Sequence[RunTable], metrics: Sequence[str]) -> bytes:
    """The bytes of a Parquet file: null where there is no value, which NaN is not; whole numbers beyond 64 bits as floats."""
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        why = {} if getattr(error, "name", None) == "pyarrow" else {"why": str(error)}
        raise MissingPackage("--parquet", "pyarrow", "frames", **why) from None
    lengths = [len(table.wide) for table in tables]
    columns: dict[str, Any] = {}
    if len(tables) > 1:
        columns["run"] = arrow.array([table.label for table in tables for _ in range(len(table.wide))], arrow.string())
    epochs = np.concatenate([table.wide.epochs for table in tables])
    columns["epoch"] = arrow.array(epochs, mask=np.isnan(epochs))
    columns["step"] = arrow.array(np.concatenate([table.wide.steps for table in tables]))
    times = np.concatenate([table.wide.times for table in tables])
    columns["time"] = arrow.array(np.round(times * 1e6).astype(np.int64), arrow.timestamp("us", tz="UTC"))
    for name, title in column_names(metrics).items():
        columns[title] = arrow.array(*_column([table.wide for table in tables], name, sum(lengths)))
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def _shown(value: object) -> str:
    return "" if value is None else figure(value)


def _rows(wide: Wide, metrics: Sequence[str]) -> Iterator[tuple[int | float | None, int, float, tuple[Any, ...]]]:
    """Epoch, step, time and the metrics' values (None where there is none) of each row."""
    columns = [wide.listed(name) for name in metrics]
    values = zip(*columns, strict=True) if columns else iter([()] * len(wide))
    return zip(wide.listed_epochs(), wide.steps.tolist(), wide.times.tolist(), values, strict=True)


def _column(tables: Sequence[Wide], name: str, length: int) -> tuple[Any, None, Any]:
    """A metric's values over all rows, the type (none is said), and where there is none."""
    each = [wide.columns[name].values for wide in tables if name in wide.columns]
    is_whole = all(values.dtype.kind == "i" for values in each)
    values, is_missing = np.zeros(length, np.int64 if is_whole else np.float64), np.ones(length, bool)
    start = 0
    for wide in tables:
        if name in wide.columns:
            rows, found = wide.columns[name]
            values[start + rows], is_missing[start + rows] = found.astype(values.dtype), False
        start += len(wide)
    return values, None, is_missing
