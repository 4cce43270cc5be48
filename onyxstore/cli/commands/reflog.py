"""`onyx reflog`."""

from __future__ import annotations

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.figures import age, since
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.ref_rows import held, move_row, ref_style
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb


@verb(
    "reflog",
    ("onyx reflog", "every move of every ref, the newest first"),
    ("onyx reflog best", "where best has been"),
    ("onyx reflog paper -n 1", "the last move of a tag, also of one that was taken away"),
)
@click.argument("ref", metavar="[REF]", required=False)
@click.option("-n", "--max-count", "count", metavar="N", type=click.IntRange(min=0), help="Show at most N moves.")
@json_option
def command(ref: str | None, count: int | None, as_json: bool) -> None:
    """Show where refs have been, newest first.

    For each move: a revision that names where it led, the commit, how long ago, and what moved it. REF is HEAD, latest, best, a tag, a
    run (its latest) or RUN@best. 'onyx checkout best@{1}' goes to where best was before, 'onyx tag paper paper@{1}' brings back a tag
    that was taken away, and 'onyx undo' takes back what a command moved.
    """
    moves = open_store().reflog(ref)[:count]
    if as_json:
        write_json("moves", map(move_row, moves))
        return
    if not moves:
        screen.say("no ref has moved yet")
    rows: list[list[Cell]] = [
        [
            Painted(move.name, ref_style(move.ref if "/" not in move.ref else move.name.rpartition("@{")[0])),
            held(move.new),
            age(since(move.time)),
            move.by.partition("\n")[0] + (f" (run {move.run})" if move.run else ""),
        ]
        for move in moves
    ]
    pager.page(lay_out([Column(cut=16, middle=True), Column(), Column(right=True), Column(cut=20)], rows, terminal_width()).lines)
