"""`onyx gc`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.failures import FATAL
from onyxstore.cli.figures import plural, size
from onyxstore.cli.json_shapes import Row, gc_rows, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Cell, Line, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import dry_run_option, json_option, verb
from onyxstore.hashing import short
from onyxstore.store.explaining import Verdict
from onyxstore.store.gc import GcPlan, GcReport


@verb(
    "gc",
    ("onyx gc -n", "what would go, with bytes and reasons"),
    ("onyx gc -n --explain", "why each checkpoint is kept or not, and what it alone takes"),
    ("onyx gc", "let it go"),
)
@dry_run_option
@click.option("--explain", "with_reasons", is_flag=True, help="Say of each checkpoint why it is kept or dropped, and what it alone takes.")
@json_option
def command(dry_run: bool, with_reasons: bool, as_json: bool) -> int:
    """Free the space of what is no longer kept.

    Retention is carried out as the settings and the runs say; what only pruned checkpoints needed is freed at once, and what nothing
    refers to is set aside in the trash for its days of grace. Best, latest, tagged and forked-from checkpoints always stay. Nothing is
    asked, since nothing goes that was not declared; runs free space by themselves too, so this is rarely needed. With --explain,
    UNIQUE are the bytes that no other checkpoint needs: so much less there would be without this one.
    """
    store = open_store()
    with working("looking for what is kept"):
        plan = store.plan_gc()
        verdicts = plan.explain() if with_reasons else ()
    rows = gc_rows(plan, store)
    report = None
    if not dry_run:
        with working("freeing space"):
            report = plan.execute()
    if as_json:
        checkpoints = [_verdict_row(each) for each in verdicts] if with_reasons else None
        write_json("actions", rows, **_totals(plan, report), checkpoints=checkpoints)
    else:
        pager.page([*_explained(verdicts), *_actions(rows)])
    unreadable = report.unreadable if report else plan.unreadable
    for words in unreadable:
        screen.say(f"onyx: nothing is swept, since {words}")
    if not as_json and not unreadable:
        screen.say(_summary(rows, report))
    return FATAL if unreadable else 0


def _explained(verdicts: Sequence[Verdict]) -> Sequence[Line]:
    """A line for each checkpoint, and one that parts them from what is done."""
    if not verdicts:
        return []
    layout = [Column("RUN", cut=12, middle=True), Column("STEP", right=True), Column("COMMIT", optional=True)]
    layout += [Column("STORED", right=True), Column("UNIQUE", right=True), Column(), Column("REASON", cut=16)]
    return [*lay_out(layout, [_verdict_cells(each) for each in verdicts], terminal_width()).lines, ""]


def _verdict_cells(verdict: Verdict) -> list[Cell]:
    step = "-" if verdict.step is None else str(verdict.step)
    word = Painted("kept", "good") if verdict.is_kept else Painted("dropped", "bad")
    commit = Painted(short(verdict.commit), "address")
    return [verdict.run, step, commit, size(verdict.stored), size(verdict.unique), word, Painted(verdict.reason, "faint")]


def _verdict_row(verdict: Verdict) -> Row:
    row = dict(vars(verdict))
    return {"kept": row.pop("is_kept"), **row}


def _actions(rows: Sequence[Row]) -> Sequence[Line]:
    cells: list[list[Cell]] = [[Painted(row["action"], "title"), _size(row), row["what"], Painted(row["reason"], "faint")] for row in rows]
    return lay_out([Column(), Column(right=True), Column(cut=24, middle=True), Column(cut=16)], cells, terminal_width()).lines


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
