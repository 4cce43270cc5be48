"""`onyx fsck`."""

from __future__ import annotations

from collections.abc import Iterator

from onyxstore.cli import screen
from onyxstore.cli.figures import plural, size
from onyxstore.cli.json_shapes import finding_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Line, Painted, line
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.fsck import FsckReport


@verb(
    "fsck",
    ("onyx fsck", "exit status 1 if anything is damaged"),
    ("onyx fsck --json", "for a program that watches"),
)
@json_option
def command(as_json: bool) -> int:
    """Read every byte of the store and report damage.

    Every object and chunk is checked against its address, every name against what it leads to. Damage is named by run and tensor.
    What a crash leaves behind is a note: it is harmless.
    """
    store = open_store()
    with working("reading every byte"):
        report = store.fsck()
    if as_json:
        rows = [finding_row(finding) for finding in (*report.damage, *report.notes)]
        write_json("findings", rows, is_whole=report.is_whole, objects=report.objects, chunks=report.chunks, bytes=report.read)
    else:
        screen.write(_lines(report))
        screen.say(_summary(report))
    return 0 if report.is_whole else 1


def _lines(report: FsckReport) -> Iterator[Line]:
    yield from (line(Painted("damage", "bad"), f"  {finding}") for finding in report.damage)
    yield from (line(Painted("note", "odd"), f"    {finding}") for finding in report.notes)


def _summary(report: FsckReport) -> str:
    read = f"read {plural(report.objects, 'object')} and {plural(report.chunks, 'chunk')}, {size(report.read)}"
    return f"{read}: all is whole" if report.is_whole else f"{read}: {plural(len(report.damage), 'place')} damaged"
