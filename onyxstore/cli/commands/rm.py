"""`onyx rm`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from onyxstore.cli import screen
from onyxstore.cli.asking import is_agreed
from onyxstore.cli.figures import figure, plural, size
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.ref_rows import change_cells, change_row
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import dry_run_option, json_option, verb, yes_option
from onyxstore.store.removing import RefChange, RemovalPlan

NO = 1
"""The exit status when the answer was no."""


@verb(
    "rm",
    ("onyx rm bert-base-2", "ask, then set the run aside"),
    ("onyx rm -n trial-1 trial-2", "what would go, and who needs what of it"),
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@yes_option
@dry_run_option
@json_option
def command(runs: Sequence[str], yes: bool, dry_run: bool, as_json: bool) -> int:
    """Set runs aside in the trash.

    A removed run is gone from the store, with its refs, metrics and notes. 'onyx restore' brings it back for as long as the settings
    say (trash_days); after that, 'onyx gc' frees what only the run needed. What tags, forks and HEAD need of it stays for good.
    If latest or best named its commits, they fall to the next candidates, and that is printed.
    """
    store = open_store()
    with working("looking for what only these runs need"):
        plan = store.trash.plan_remove(*runs)
    if not dry_run and not is_agreed(_question(plan), yes=yes):
        screen.say("nothing was removed")
        return NO
    changes = () if dry_run else plan.execute()
    if as_json:
        rows = [{**vars(run), "needed_by": list(run.needed_by)} for run in plan.runs]
        write_json("runs", rows, dry_run=dry_run, bytes=plan.unique, moves=[change_row(change) for change in changes])
        return 0
    _show(plan, changes)
    what = f"{plural(len(plan.runs), 'run')}; {size(plan.unique)} that nothing else needs"
    days = f"{figure(store.settings.trash_days)} days"
    screen.say(f"dry run: would set aside {what}" if dry_run else f"set aside {what}, for {days}; 'onyx restore' lists the trash")
    return 0


def _question(plan: RemovalPlan) -> str:
    if len(plan.runs) == 1:
        return f"remove run '{plan.runs[0].name}' ({plural(plan.runs[0].commits, 'commit')})?"
    return f"remove {plural(len(plan.runs), 'run')} ({plural(sum(run.commits for run in plan.runs), 'commit')})?"


def _show(plan: RemovalPlan, changes: Sequence[RefChange]) -> None:
    width = terminal_width()
    rows: list[list[Cell]] = [[run.name, run.status, plural(run.commits, "commit")] for run in plan.runs]
    table = lay_out([Column(cut=20, middle=True), Column(), Column(right=True)], rows, width)
    for run, line in zip(plan.runs, table.lines, strict=True):
        screen.write([line, *(Painted(f"    {words}: what that needs stays", "faint") for words in run.needed_by)])
    screen.write(lay_out([Column()] * 4, change_cells(changes), width).lines)
