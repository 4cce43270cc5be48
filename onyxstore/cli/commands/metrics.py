"""`onyx metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from onyxstore.cli import pager, plot, screen
from onyxstore.cli.figures import figure, plural
from onyxstore.cli.json_shapes import write_json, write_json_line
from onyxstore.cli.library import open_store
from onyxstore.cli.metric_sources import choose_metrics, get_run, read_curves, say_what_is_missing
from onyxstore.cli.metric_table import RunTable, csv_lines, encode_parquet, json_rows, text_table
from onyxstore.cli.screen import Painted
from onyxstore.cli.table import fit, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.history.metrics.records import Rewind
from onyxstore.history.metrics.wide import wide_of
from onyxstore.store.store import Store

_FOLLOWED_FIRST = 10
"""Rows that `--follow` begins with, as `tail -f` does."""


@verb(
    "metrics",
    ("onyx metrics bert", "every metric of a run, a row for each step"),
    ("onyx metrics bert loss val_loss -n 20", "two of them, the last twenty rows"),
    ("onyx metrics bert@best --csv > bert.csv", "up to its best commit, for a spreadsheet"),
    ("onyx metrics bert gpt -m loss --plot", "with -m every argument is a run: the curves of two"),
    ("onyx metrics bert --follow", "what a live run logs, as it comes"),
)
@click.argument("run")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-m", "--metric", "metrics", metavar="NAME", multiple=True, help="A metric; may be repeated. The arguments are runs then.")
@click.option("-n", "count", metavar="N", type=click.IntRange(min=0), help="Only the last N rows of each run.")
@click.option("--plot", "as_plot", is_flag=True, help="Draw the curves.")
@click.option("-x", "axis", type=click.Choice(["step", "epoch"]), default="step", show_default=True, help="The x axis of a plot.")
@click.option("-f", "--follow", is_flag=True, help="Print what a live run logs, until it ends; first its last 10 rows, or N.")
@click.option("--superseded", is_flag=True, help="The points that resumed attempts took off the line, in place of those on it.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, floats in full.")
@json_option
@click.option("--parquet", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write FILE as Parquet.")
def command(
    run: str,
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    count: int | None,
    as_plot: bool,
    axis: str,
    follow: bool,
    superseded: bool,
    as_csv: bool,
    as_json: bool,
    parquet: Path | None,
) -> int:
    """Show the values of a run's metrics, as a table or as curves.

    RUN is a run, or a revision: then its run up to that commit. Without NAMEs it is every metric. There is a row for each epoch and
    step, in that order; a metric that has several values there has several rows, one that has none has nothing. The exit status is 1
    if part of the metric log cannot be read.
    """
    forms = [as_plot, as_csv, as_json, parquet is not None]
    if sum(forms) > 1:
        raise click.UsageError("of --plot, --csv, --json and --parquet take one", click.get_current_context())
    runs, wanted = ([run, *names], metrics) if metrics else ([run], names)
    store = open_store()
    if follow:
        if superseded or as_plot or as_csv or parquet is not None or len(runs) > 1:
            raise click.UsageError("--follow takes one run, and goes with -n and --json alone", click.get_current_context())
        _follow(store, run, wanted, _FOLLOWED_FIRST if count is None else count, as_json=as_json)
        return 0
    sources = dict(read_curves(store, each, superseded=superseded) for each in runs)
    chosen = choose_metrics(store, sources, wanted)
    tables = [RunTable(label, wide_of({name: curves[name] for name in chosen if name in curves})) for label, curves in sources.items()]
    if count is not None:
        tables = [RunTable(label, wide.last(count)) for label, wide in tables]
    if as_plot:
        _plot(tables, chosen, axis)
    elif as_csv:
        screen.write(csv_lines(tables, chosen))
    elif as_json:
        write_json("rows", json_rows(tables, chosen))
    elif parquet is not None:
        parquet.write_bytes(encode_parquet(tables, chosen))
    elif chosen:
        _show(tables, chosen)
    return int(say_what_is_missing(sources, superseded=superseded))


def _show(tables: Sequence[RunTable], chosen: Sequence[str]) -> None:
    width = terminal_width()
    lines, left_out = text_table(tables, chosen, width)
    if left_out:
        words = f"no room for {plural(len(left_out), 'column')}: {', '.join(left_out)}"
        lines = [*lines, [Painted(fit(words, width or len(words)), "faint")]]
    pager.page(lines)


def _plot(tables: Sequence[RunTable], chosen: Sequence[str], axis: str) -> None:
    for number, name in enumerate(chosen):
        drawn = plot.draw(name, plot.curves_of(tables, name, axis), axis, terminal_width() or plot.PLAIN_WIDTH)
        screen.write([*([""] if number else []), *drawn.lines])
        for label, count in drawn.left_out.items():
            screen.say(f"onyx: {plural(count, 'point')} of '{name}' in '{label}' left out: NaN or infinite, or without {axis}")
    if screen.is_watched() and not plot.has_plotille():
        screen.say("onyx: with plotille the curves are finer: pip install 'onyxstore[plot]'")


def _follow(store: Store, name: str, wanted: Sequence[str], count: int, *, as_json: bool) -> None:
    run = get_run(store, name)
    for each in (each for each in wanted if each not in run.metrics):
        screen.say(f"onyx: run '{run.name}' has no metric called '{each}' yet")
    for record in run.follow(*wanted, last=count):
        values = None if isinstance(record, Rewind) else record.values
        at = ("" if record.epoch is None else f"epoch {figure(record.epoch)}  ") + f"step {record.step}"
        if as_json:
            write_json_line({"run": run.name, "epoch": record.epoch, "step": record.step, "time": record.time / 1e9, "values": values})
        elif values is None:
            screen.say(f"onyx: '{run.name}' goes on from {at}: what was logged at or after it is superseded")
        else:
            screen.write(["  ".join([at, *(f"{metric} {figure(value)}" for metric, value in values.items())])])
        screen.flush()
