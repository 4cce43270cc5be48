"""`onyx restore`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import click

from onyxstore.cli import screen
from onyxstore.cli.figures import age, plural, since, size
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.ref_rows import change_cells, change_row, entry_row
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.trash_entries import TrashEntry


@verb(
    "restore",
    ("onyx restore", "what lies in the trash, with its bytes and the days that it stays"),
    ("onyx restore bert-base-2", "bring that run back, all of it"),
)
@click.argument("name", metavar="[RUN]", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Bring a removed run back from the trash, or list what lies there.

    A run comes back with its commits, metrics, notes and refs; latest and best follow it again where their rules say so. If several
    removed runs had the name it is the one that was removed last. What a gc set aside comes back by its number in the list.
    """
    store = open_store()
    with working("looking through the trash"):
        entries = store.trash.list()
    plan = store.trash.plan_restore(name) if name is not None else None
    changes = plan.execute() if plan is not None else ()
    time = plan.batch.time / 1e9 if plan is not None else None
    chosen = [entry for entry in entries if plan is None or entry.time == time]
    if as_json:
        rows = [entry_row(entry, is_restored=plan is not None) for entry in chosen]
        write_json("entries", rows, moves=[change_row(change) for change in changes])
    elif plan is None:
        _list(entries)
    else:
        screen.write(lay_out([Column()] * 4, change_cells(changes)).lines)
        screen.say(f"{plan.name} is back")


def _list(entries: Sequence[TrashEntry]) -> None:
    if not entries:
        screen.say("the trash is empty")
    rows: list[list[Cell]] = [
        [
            entry.name,
            "run" if entry.run is not None else "objects that nothing named",
            size(entry.bytes),
            Painted(f"removed {age(since(entry.time))} ago", "faint"),
            _left(entry.days_left),
        ]
        for entry in entries
    ]
    layout = [Column(cut=20, middle=True), Column(cut=7), Column(right=True), Column(right=True, optional=True), Column()]
    screen.write(lay_out(layout, rows, terminal_width()).lines)


def _left(days: float) -> str:
    return "goes with the next gc" if days == 0 else f"stays {plural(math.ceil(days), 'day')}"
