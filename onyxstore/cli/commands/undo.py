"""`onyx undo`."""

from __future__ import annotations

import click

from onyxstore.cli import screen
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.ref_rows import change_cells, change_row
from onyxstore.cli.table import Column, lay_out
from onyxstore.cli.verb import dry_run_option, json_option, verb


@verb(
    "undo",
    ("onyx undo", "take back the last command that moved refs"),
    ("onyx undo", "and again: take that back"),
    ("onyx undo -n", "what would be taken back"),
    ("onyx undo best", "the last move of one ref only"),
)
@click.argument("ref", metavar="[REF]", required=False)
@dry_run_option
@json_option
def command(ref: str | None, dry_run: bool, as_json: bool) -> None:
    """Take back the last command that moved refs, or a ref's last move.

    All refs that the command moved go back, or none when one has moved since. What a live run moved by itself is never taken back. An
    undo is a command as any other: the next undo takes it back. A removed run comes back from the trash, a restored one goes there.

    Only refs move: files that a checkout wrote stay, and what retention dropped meanwhile is gone.
    """
    plan = open_store().plan_undo(ref)
    changes, restored, removed = plan.moves, tuple(run.name for run in plan.restores), plan.removes
    if not dry_run:
        report = plan.execute()
        changes, restored, removed = report.moves, report.restored, report.removed
    if as_json:
        write_json("moves", map(change_row, changes), dry_run=dry_run, undone=plan.undone, restored=restored, removed=removed)
        return
    screen.write(lay_out([Column(), Column(), Column(), Column()], change_cells(changes)).lines)
    words = plan.undone.partition("\n")[0]
    screen.say(f"dry run: '{words}' would be taken back" if dry_run else f"took back '{words}'")
    for name in restored:
        screen.say(f"run '{name}' {'would come' if dry_run else 'came'} back from the trash")
    for name in removed:
        screen.say(f"run '{name}' {'would go' if dry_run else 'went'} to the trash")
