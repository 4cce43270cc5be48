"""Runs as a table: for pandas, and for notebooks.

A row for each run: what every run has, then each value of its configs by its path (`training.lr`), then the last value of each
metric, all under the names that a query knows them by. pandas is an extra. It, and what else only a table needs, is loaded when one
is asked for: whoever only lists runs need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex, overload

from onyxstore.store.run_rows import RunRow
from onyxstore.store.views import RunView

FIXED = ("name", "status", "group", "labels", "created", "step", "epoch")
"""The columns that every run has a value in."""


class Runs(list[RunView]):
    """Runs in the order that was asked for: a list, which also is a DataFrame or a notebook's table when one asks."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> RunView: ...
    @overload
    def __getitem__(self, index: slice, /) -> Runs: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> RunView | Runs:
        """A run; of a slice Runs again."""
        return Runs(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each run, as of now: what every run has, values of configs by their paths, metrics' last values.

        A config's value or a metric that is called as a column before it has `config/` or `metric/` in front. What a run does not
        have is missing there. MissingPackage without pandas.
        """
        from onyxstore.history.metrics.frames import load_pandas, moments  # noqa: PLC0415 - see above
        from onyxstore.history.metrics.wide import free_names  # noqa: PLC0415 - see above

        pandas = load_pandas()
        rows = self._rows()
        columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in FIXED}
        columns["created"] = moments(pandas, [row.created / 1e9 for row in rows])
        for part, values in (("config", [_config_values(row) for row in rows]), ("metric", [_metric_values(row) for row in rows])):
            for name, title in free_names(_names(values), columns, part).items():
                columns[title] = _column(pandas, [each.get(name) for each in values])
        for name in ("step", "epoch"):
            columns[name] = _column(pandas, columns[name])
        return pandas.DataFrame(columns)

    def _repr_html_(self) -> str:
        """For a notebook: the configs' values only where they differ among the runs."""
        from onyxstore.history import notebook  # noqa: PLC0415 - see above

        rows = self._rows()
        configs = [_config_values(row) for row in rows]
        metrics = [_metric_values(row) for row in rows]
        differing = [name for name in _names(configs) if len({repr(each.get(name)) for each in configs}) > 1]
        titles = ["run", "status", "step", *differing, *_names(metrics)]
        lines = [
            [row.name, row.status, notebook.shown(row.step)]
            + [notebook.shown(config.get(name)) for name in differing]
            + [notebook.shown(values.get(name)) for name in _names(metrics)]
            for row, config, values in zip(rows, configs, metrics, strict=True)
        ]
        return notebook.page(notebook.table(titles, lines))

    def _rows(self) -> list[RunRow]:
        """The runs as a table shows them."""
        from onyxstore.store.run_reading import read_run  # noqa: PLC0415 - see above

        return [read_run(view._doors, view._name).row for view in self]  # noqa: SLF001 - a view is the store's own


def _config_values(row: RunRow) -> dict[str, Any]:
    return {f"{config}.{path}" if path else config: value for config, leaves in row.configs.items() for path, value in leaves.items()}


def _metric_values(row: RunRow) -> dict[str, Any]:
    return {name: figures.last for name, figures in (*row.curves.items(), *row.values.items())}


def _names(values: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every name, in the order in which the rows have them."""
    return list(dict.fromkeys(name for each in values for name in each))


def _column(pandas: Any, values: list[Any]) -> Any:
    """Values of whole numbers alone stay whole where some are missing; all else is as pandas takes it."""
    given = [value for value in values if value is not None]
    if given and all(type(value) is int and -(2**63) <= value < 2**63 for value in given):
        return pandas.array(values, "Int64" if len(given) < len(values) else "int64")
    return values
