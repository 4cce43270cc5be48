"""`onyx diff`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.figures import figure, literal, plural
from onyxstore.cli.heading import first_line
from onyxstore.cli.json_shapes import Row, difference_rows, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
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
    ("onyx diff", "the config files as they lie here against HEAD's commit"),
    ("onyx diff bert-base", "the same against another commit"),
    ("onyx diff bert@step:1000 bert@best --tensors", "how far each tensor moved, the farthest first"),
    ("onyx diff best latest --exit-code", "for scripts: 1 if anything differs"),
)
@click.argument("old", metavar="[REV]", required=False)
@click.argument("new", metavar="[REV]", required=False)
@click.option("--tensors", is_flag=True, help="Compare the tensors of both checkpoints, too.")
@click.option("--only", "part", metavar="PART", help="Compare the tensors of one part: model, optimizer …, or rng.")
@click.option("--exit-code", "with_exit_code", is_flag=True, help="Exit with 1 if anything differs.")
@json_option
def command(old: str | None, new: str | None, tensors: bool, part: str | None, with_exit_code: bool, as_json: bool) -> int:
    """Show what differs between two commits, or between one and the config files here.

    Configs are compared as values, key by key: comments, quotes and the order of keys are no difference. Of metrics the last values
    up to each commit are compared; then come code and environment. What is equal is left out. With one revision, or none, which is
    HEAD, its configs are compared with the files that lie where they came from, as git compares with the working tree.

    --tensors lists every tensor that differs: NORM is the norm of the difference as a part of the old one's, COSINE that of the angle
    between both, CHANGED the part of the values that changed. Those with the same address are only counted. NaN and infinite values are
    counted, and left out of the figures.
    """
    store = open_store()
    with working("comparing"):
        found = store.diff(old if old is not None else "HEAD", new, tensors=part or tensors)
    rows = difference_rows(found)
    if as_json:
        same = found.tensors.same if found.tensors else None
        write_json("differences", rows, old=found.old.address, new=found.new and found.new.address, same_tensors=same)
    elif rows or found.tensors is not None:
        pager.page(_lines(found, rows))
    for path in found.respelt:
        screen.say(f"{path}: other words, the same values")
    return 1 if rows and with_exit_code else 0


def _lines(found: Difference, rows: Sequence[Row]) -> Iterator[Line]:
    for sign, style, side in (("---", "bad", found.old), ("+++", "good", found.new)):
        words: list[Cell] = [" the config files here"]
        if side is not None:
            words = [" ", Painted(side.short, "address"), f" {side.run}: {first_line(side)}"]
        yield [Painted(sign, style), *words]
    for name in found.configs:
        yield from _section(f"config {name}", [_cells(row) for row in rows if row["config"] == name])
    yield from _section("metrics", [_metric_cells(row) for row in rows if row["part"] == "metric"], right=True)
    yield from _section("code", [_cells(row) for row in rows if row["part"] == "code"])
    yield from _section("environment", [_cells(row) for row in rows if row["part"] == "environment"])
    if found.tensors is not None:
        yield from _tensors([row for row in rows if row["part"] == "tensor"], found.tensors.same)


def _section(title: str, cells: Sequence[Sequence[Cell]], *, right: bool = False) -> Iterator[Line]:
    if cells:
        yield ""
        yield Painted(title, "title")
        value = Column(right=right, cut=10, middle=True)
        layout = [Column(), Column(cut=16, middle=True), value, Column(), value, Column(right=True, optional=True)]
        yield from lay_out(layout, cells, terminal_width(), indent=2).lines


def _tensors(rows: Sequence[Row], same: int) -> Iterator[Line]:
    yield ""
    yield Painted("tensors", "title")
    layout = [Column(), Column("TENSOR", cut=16, middle=True), Column("SHAPE"), Column("DTYPE", optional=True)]
    layout += [Column(title, right=True) for title in ("NORM", "COSINE", "CHANGED")]
    layout += [Column("NAN", optional=True), Column("INF", optional=True)]
    kept = len(layout) if any(any(row["nan"] or ()) or any(row["inf"] or ()) for row in rows) else 7
    cells = [_tensor_cells(row)[:kept] for row in rows]
    if rows:
        yield from lay_out(layout[:kept], cells, terminal_width(), indent=2).lines
    yield Painted(f"  {plural(same, 'tensor')} {'is' if same == 1 else 'are'} the same", "faint")


def _tensor_cells(row: Row) -> list[Cell]:
    """A sign, the path, what it is on both sides, and how far these are apart."""
    sides = [side for side in (row["old"], row["new"]) if side is not None]
    shape, dtype = (" -> ".join(dict.fromkeys(literal(side[key]) for side in sides)) for key in ("shape", "dtype"))
    if row["changed"] is None:
        return [_SIGNS[row["kind"]], row["path"], shape, dtype, "", "", "", "", ""]
    cosine = "-" if row["cosine"] is None else f"{row['cosine']:.6f}"
    odd: list[Cell] = [" -> ".join(map(str, dict.fromkeys(row[key]))) if any(row[key]) else "" for key in ("nan", "inf")]
    return [_SIGNS[row["kind"]], row["path"], shape, dtype, figure(row["norm"]), cosine, f"{100 * row['changed']:.3g} %", *odd]


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
