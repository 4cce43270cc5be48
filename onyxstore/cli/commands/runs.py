"""`onyx runs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.figures import age, figure, plural, since
from onyxstore.cli.json_shapes import Row, run_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, fit, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.errors import UnknownName
from onyxstore.history.config_difference import config_difference
from onyxstore.names import near

_STATUS_STYLES = {"running": "live", "finished": "good", "open": "faint", "failed": "bad", "crashed": "bad", "killed": "odd"}


@verb(
    "runs",
    ("onyx runs", "the newest first"),
    ("onyx runs --sort val_loss", "the smallest last value first; --sort=-accuracy: the largest"),
    ("onyx runs --columns loss,training.learning_rate", "metrics and values of configs of your choice"),
)
@click.option("--sort", metavar="METRIC", help="Sort by the last value of a metric, the smallest first; with - before it the largest.")
@click.option("--columns", "chosen", metavar="A,B", help="Metrics, and values of configs by their path, to show instead of all metrics.")
@json_option
def command(sort: str | None, chosen: str | None, as_json: bool) -> None:
    """List the runs, with their metrics.

    For each run: its status, its age, its last step, the best value of the metric that it follows and the step of that, and the last
    value of each metric. On a terminal what does not fit is left out, and that is said.
    """
    store = open_store()
    runs = store.runs(sort=sort)
    rows = [run_row(run, store.settings.best_metric) for run in runs]
    _check_sort(rows, sort)
    if as_json:
        write_json("runs", rows)
    elif not rows:
        screen.say("there are no runs yet")
    elif chosen is None:
        _show(rows, _metrics(rows))
    else:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
        _show([row | {"values": _leaves(run.config) | row["values"]} for run, row in zip(runs, rows, strict=True)], names)


def _check_sort(rows: Sequence[Row], sort: str | None) -> None:
    """UnknownName for a metric that no run has: the order would say nothing."""
    known = dict.fromkeys(name for row in rows for name in row["values"])
    if rows and sort is not None and sort.removeprefix("-") not in known:
        raise UnknownName("metric", sort.removeprefix("-"), "the store", near(sort.removeprefix("-"), known))


def _metrics(rows: Sequence[Row]) -> list[str]:
    """Every metric, those that most runs have first."""
    count = Counter(name for row in rows for name in row["values"])
    return sorted(count, key=lambda name: -count[name])


def _leaves(config: Mapping[str, Any]) -> Row:
    """The values of a run's configs by their paths, which begin with the config's name."""
    return {change.name: change.new for change in config_difference({}, dict(config))}


def _show(rows: Sequence[Row], names: Sequence[str]) -> None:
    followed = sorted({str(row["best"]["metric"]) for row in rows if row["best"] and row["best"]["metric"]})
    best = f"best {followed[0]}" if len(followed) == 1 else "BEST"
    layout = [Column("RUN", cut=20, middle=True), Column("STATUS"), *(Column(title, right=True) for title in ("AGE", "STEP", best))]
    layout += [Column(name, right=True, optional=True) for name in names]
    cells = [[*_fixed(row, is_alone=len(followed) == 1), *(figure(row["values"].get(name)) for name in names)] for row in rows]
    lines, left_out = lay_out(layout, cells, terminal_width())
    if left_out:
        words = f"no room for {plural(len(left_out), 'column')}: {', '.join(left_out)}"
        lines = [*lines, [Painted(fit(words, terminal_width() or len(words)), "faint")]]
    pager.page(lines)


def _fixed(row: Row, *, is_alone: bool) -> list[Cell]:
    """The cells that every run has; the best value without its metric's name where that is the column's title."""
    best = row["best"]
    value = "-" if best is None or best["value"] is None else figure(best["value"])
    value += "" if best is None or best["step"] is None else f" @{best['step']}"
    name = "" if is_alone or best is None or best["metric"] is None else f"{best['metric']} "
    status = Painted(row["status"], _STATUS_STYLES[row["status"]])
    return [row["name"], status, age(since(row["created"])), "-" if row["step"] is None else str(row["step"]), name + value]
