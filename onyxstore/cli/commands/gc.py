"""`onyx gc`."""

from __future__ import annotations

from collections.abc import Sequence

from onyxstore.cli import pager, screen
from onyxstore.cli.failures import FATAL
from onyxstore.cli.figures import plural, size
from onyxstore.cli.json_shapes import Row, gc_rows, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import dry_run_option, json_option, verb
from onyxstore.store.gc import GcPlan, GcReport


@verb(
    "gc",
    ("onyx gc -n", "what would go, with bytes and reasons"),
    ("onyx gc", "let it go"),
)
@dry_run_option
@json_option
def command(dry_run: bool, as_json: bool) -> int:
    """Free the space of what is no longer kept.

    Retention is carried out as the settings and the runs say; what only pruned checkpoints needed is freed at once, and what nothing
    refers to is set aside in the trash for its days of grace. Best, latest, tagged and forked-from checkpoints always stay. Nothing is
    asked, since nothing goes that was not declared; runs free space by themselves too, so this is rarely needed.
    """
    store = open_store()
    with working("looking for what is kept"):
        plan = store.plan_gc()
    rows = gc_rows(plan, store)
    report = None
    if not dry_run:
        with working("freeing space"):
            report = plan.execute()
    if as_json:
        write_json("actions", rows, **_totals(plan, report))
    else:
        _show(rows)
    unreadable = report.unreadable if report else plan.unreadable
    for words in unreadable:
        screen.say(f"onyx: nothing is swept, since {words}")
    if not as_json and not unreadable:
        screen.say(_summary(rows, report))
    return FATAL if unreadable else 0


def _show(rows: Sequence[Row]) -> None:
    cells: list[list[Cell]] = [[Painted(row["action"], "title"), _size(row), row["what"], Painted(row["reason"], "faint")] for row in rows]
    pager.page(lay_out([Column(), Column(right=True), Column(cut=24, middle=True), Column(cut=16)], cells, terminal_width()).lines)


def _size(row: Row) -> str:
    return "" if row["bytes"] is None else size(row["bytes"])


def _summary(rows: Sequence[Row], report: GcReport | None) -> str:
    if not rows:
        return "nothing to free"
    if report is None:
        return "dry run: nothing was freed"
    sums = (("freed {}", report.freed - report.to_trash), ("set aside {}", report.to_trash), ("emptied {} of trash", report.trash_emptied))
    done = [f"pruned {plural(report.pruned, 'checkpoint')}"] if report.pruned else []
    return ", ".join([*done, *(words.format(size(count)) for words, count in sums if count)]) or "nothing was freed"


def _totals(plan: GcPlan, report: GcReport | None) -> Row:
    """What stands beside the rows: what was done, or what would be."""
    if report is None:
        counts = {"freed": plan.sweep.freed, "to_trash": plan.sweep.to_trash, "trash_emptied": plan.trash}
        return {"dry_run": True, **counts, "unreadable": plan.unreadable}
    counts = {"freed": report.freed, "to_trash": report.to_trash, "trash_emptied": report.trash_emptied}
    return {"dry_run": False, **counts, "unreadable": report.unreadable}
