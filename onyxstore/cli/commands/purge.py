"""`onyx purge`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from onyxstore.cli import screen
from onyxstore.cli.asking import is_agreed
from onyxstore.cli.figures import plural, size
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.ref_rows import change_cells, change_row, object_row
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import dry_run_option, json_option, verb, yes_option
from onyxstore.hashing import short
from onyxstore.store.purging import PurgePlan

NO = 1
"""The exit status when the answer was no."""


@verb(
    "purge",
    ("onyx purge -n 3f9a1c07", "which objects would go, and what would lack them"),
    ("onyx purge 3f9a1c07", "ask, then remove that object: a config with a secret in it, say"),
    ("onyx purge bert-base-2", "a run with all that only it needs, here or in the trash"),
    ("onyx purge --trash", "everything in the trash"),
)
@click.argument("names", metavar="[RUN|ADDRESS]...", nargs=-1)
@click.option("--trash", "with_trash", is_flag=True, help="Everything that lies in the trash.")
@yes_option
@dry_run_option
@json_option
def command(names: Sequence[str], with_trash: bool, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Remove runs, objects or the trash for good, without a grace.

    Afterwards no file of the store holds those bytes: packs are written anew without them, and the trash, leftovers of crashes and
    the cache are gone through. An object is named by its address ('onyx show --json' has them); commits that name it lack it from
    then on, and 'onyx fsck' knows that this was meant. A config's bytes and its value go together. Commits, checkpoints' trees and
    metrics go with their run only. Copies of the store elsewhere are not reached.
    """
    if not names and not with_trash:
        raise click.UsageError("what? Name runs or addresses, or say --trash", click.get_current_context())
    store = open_store()
    with working("looking for what names these"):
        plan = store.trash.plan_purge(*names, trash=with_trash)
    total = plan.bytes
    if dry_run or not yes:
        _show(plan, as_json=as_json)
    if not dry_run and not is_agreed(f"remove {size(total)} for good?", yes=yes):
        screen.say("nothing was purged")
        return NO
    report = None
    if not dry_run:
        with working("purging"):
            report = plan.execute()
    moves = report.moves if report is not None else ()
    if as_json:
        runs = [*plan.runs, *plan.removed]
        beside = {"dry_run": dry_run, "runs": runs, "batches": len(plan.batches), "staying": plan.staying}
        freed = report.freed if report is not None else total
        write_json("objects", map(object_row, plan.objects), **beside, bytes=freed, moves=[change_row(each) for each in moves])
    elif report is None:
        screen.say(f"dry run: would remove {size(total)} for good")
    else:
        screen.write(lay_out([Column()] * 4, change_cells(moves)).lines)
        screen.say(f"purged {plural(report.objects, 'object')}, {size(report.freed)}")
    return 0


def _show(plan: PurgePlan, *, as_json: bool) -> None:
    if not as_json:
        layout = [Column(), Column(), Column(right=True), Column(cut=24)]
        screen.write(lay_out(layout, list(_rows(plan)), terminal_width()).lines)
        if plan.staying:
            screen.say(f"{plural(plan.staying, 'object')} of these runs stay, since others need them too")


def _rows(plan: PurgePlan) -> Iterator[list[Cell]]:
    for each in plan.objects:
        first, *others = each.lacked_by or ("nothing names it",)
        yield [each.kind, Painted(short(each.address), "address"), size(each.bytes), first]
        for other in others:
            yield ["", "", "", other]
    for run in plan.removal.runs if plan.removal else ():
        yield ["run", run.name, "", plural(run.commits, "commit")]
        for words in run.needed_by:
            yield ["", "", "", f"{words}: what that needs stays"]
    for name in plan.removed:
        yield ["run", name, "", "in the trash"]
    if plan.unique:
        yield ["", "", size(plan.unique), "what only these runs need"]
    if len(plan.batches) > len(plan.removed):
        yield ["trash", plural(len(plan.batches) - len(plan.removed), "batch").replace("batchs", "batches"), "", "what gc set aside"]
