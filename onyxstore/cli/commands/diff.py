"""`onyx diff`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from onyxstore.cli import pager
from onyxstore.cli.figures import figure, literal, plural
from onyxstore.cli.heading import first_line
from onyxstore.cli.json_shapes import Row, difference_rows, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Cell, Line, Painted
from onyxstore.cli.table import Column, fit, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.diff import Difference

_SIGNS = {"added": Painted("+", "good"), "removed": Painted("-", "bad"), "changed": Painted("~", "odd")}

LONGEST = 60
"""Characters of a value in a table; `--json` has it whole."""


@verb(
    "diff",
    ("onyx diff bert-base bert-large", "the newest commits of two runs"),
    ("onyx diff HEAD~1 HEAD", "what the last commit changed"),
    ("onyx diff best latest --exit-code", "for scripts: 1 if anything differs"),
)
@click.argument("old")
@click.argument("new")
@click.option("--exit-code", "with_exit_code", is_flag=True, help="Exit with 1 if anything differs.")
@json_option
def command(old: str, new: str, with_exit_code: bool, as_json: bool) -> int:
    """Show what differs between two commits.

    Configs are compared as values, key by key: comments, quotes and the order of keys are no difference. Of metrics the last values
    up to each commit are compared; then come code and environment. What is equal is left out.
    """
    found = open_store().diff(old, new)
    rows = difference_rows(found)
    if as_json:
        write_json("differences", rows, old=found.old.address, new=found.new.address)
    elif rows:
        pager.page(_lines(found, rows))
    return 1 if rows and with_exit_code else 0


def _lines(found: Difference, rows: Sequence[Row]) -> Iterator[Line]:
    for sign, style, side in (("---", "bad", found.old), ("+++", "good", found.new)):
        yield [Painted(f"{sign} ", style), Painted(side.short, "address"), f" {side.run}: {first_line(side)}"]
    for name in found.configs:
        yield from _section(f"config {name}", [_cells(row) for row in rows if row["config"] == name])
    yield from _section("metrics", [_metric_cells(row) for row in rows if row["part"] == "metric"], right=True)
    yield from _section("code", [_cells(row) for row in rows if row["part"] == "code"])
    yield from _section("environment", [_cells(row) for row in rows if row["part"] == "environment"])


def _section(title: str, cells: Sequence[Sequence[Cell]], *, right: bool = False) -> Iterator[Line]:
    if cells:
        yield ""
        yield Painted(title, "title")
        value = Column(right=right, cut=10, middle=True)
        layout = [Column(), Column(cut=16, middle=True), value, Column(), value, Column(right=True, optional=True)]
        yield from lay_out(layout, cells, terminal_width(), indent=2).lines


def _metric_cells(row: Row) -> list[Cell]:
    change = row["change"]
    shown = "" if change is None else f"{change:+.5g}" if isinstance(change, float) else f"{change:+d}"
    return [*_cells(row, figure)[:-1], Painted(shown, "faint")]


def _cells(row: Row, show: Callable[[Any], str] | None = None) -> list[Cell]:
    """A sign, what it is about, the old value, an arrow where there are both, the new one."""
    show = show or _shown
    old = "" if row["kind"] == "added" else show(row["old"])
    new = "" if row["kind"] == "removed" else show(row["new"])
    return [_SIGNS[row["kind"]], row["path"], old, "->" if row["kind"] == "changed" else "", new, ""]


def _shown(value: Any) -> str:
    """A value on one line; text of several lines by their number."""
    if isinstance(value, str) and value.count("\n") > 1:
        return plural(value.count("\n"), "line")
    return fit(literal(value), LONGEST, middle=True)
