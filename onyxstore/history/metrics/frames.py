"""Curves as pandas has them. pandas is an extra (`onyxstore[frames]`), and is loaded when a frame is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onyxstore.errors import MissingPackage
from onyxstore.history.metrics.planes import Array
from onyxstore.history.metrics.wide import Cells, Curve, column_names, wide_of


def load_pandas() -> Any:
    """The package; MissingPackage names the extra."""
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        if getattr(error, "name", None) == "pandas":
            raise MissingPackage("to_pandas", "pandas", "frames") from None
        raise MissingPackage("to_pandas", "pandas", "frames", str(error)) from error


def frame_of(curves: Mapping[str, Curve]) -> Any:
    """A row for each (epoch, step), with the columns `epoch`, `step`, `time` and one for each metric."""
    pandas = load_pandas()
    wide = wide_of(curves)
    names = column_names(wide.columns)
    metrics = {names[name]: _column(pandas, cells, len(wide)) for name, cells in wide.columns.items()}
    return pandas.DataFrame({"epoch": wide.epochs, "step": wide.steps, "time": moments(pandas, wide.times), **metrics})


def frame_of_points(curve: Curve) -> Any:
    """A row for each point of one metric, in the order in which they were logged: `step`, `epoch`, `time`, `value`."""
    pandas = load_pandas()
    return pandas.DataFrame({"step": curve.steps, "epoch": curve.epochs, "time": moments(pandas, curve.times), "value": curve.values})


def moments(pandas: Any, times: Array | Sequence[float]) -> Any:
    """Seconds since 1970 UTC as a column of moments, to the microsecond: a float holds no more."""
    return pandas.Series(np.round(np.asarray(times, np.float64) * 1e6).astype("datetime64[us]")).dt.tz_localize("UTC")


def _column(pandas: Any, cells: Cells, length: int) -> Any:
    """A metric's values; where it has none NaN beside floats, NA beside whole numbers, None beside those beyond 64 bits."""
    if len(cells.values) == length:
        return cells.values
    if cells.values.dtype.kind == "i":
        values, is_missing = np.zeros(length, np.int64), np.ones(length, bool)
        values[cells.rows], is_missing[cells.rows] = cells.values, False
        return pandas.arrays.IntegerArray(values, is_missing)
    sparse = np.full(length, np.nan if cells.values.dtype.kind == "f" else None, cells.values.dtype)
    sparse[cells.rows] = cells.values
    return sparse
