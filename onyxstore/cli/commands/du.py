"""`onyx du`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.figures import size
from onyxstore.cli.json_shapes import Row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Cell, Line, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.usage import Share, Shares, Usage


@verb(
    "du",
    ("onyx du", "by run, by part, and on the disk"),
    ("onyx du --by run", "only the runs"),
)
@click.option("--by", type=click.Choice(["run", "part"]), help="Show only the table of runs, or only that of parts.")
@json_option
def command(by: str | None, as_json: bool) -> int:
    """Show what the store's bytes are for.

    RAW is what the tensors of the kept checkpoints have in all, STORED what is on the disk for them and everything else that a run
    needs. Bytes that several need are stored once: they are SHARED. UNIQUE is what would be freed if one of them went alone. What only
    pruned checkpoints need is garbage, which 'onyx gc' frees where that is worth it. Sizes are those of the files, in powers of 1000.
    """
    store = open_store()
    with working("adding up"):
        usage = store.usage()
    if as_json:
        write_json("shares", _rows(usage, by), **_totals(usage))
    else:
        pager.page(_page(usage, by))
    for words in usage.unreadable:
        screen.say(f"onyx: {words}")
    return 1 if usage.unreadable else 0


def _page(usage: Usage, by: str | None) -> Iterator[Line]:
    if by != "part":
        yield from _table("RUN", usage.runs)
    if by is None:
        yield ""
    if by != "run":
        yield from _table("PART", usage.parts)
    if by is None:
        yield ""
        yield from _disk(usage)


def _table(title: str, shares: Shares) -> Iterator[Line]:
    layout = [Column(title, cut=16, middle=True), Column("CHECKPOINTS", right=True, optional=True)]
    layout += [Column(name, right=True) for name in ("RAW", "STORED", "SHARED", "UNIQUE")]
    rows = [_cells(share) for share in shares.rows]
    total = [f"{shares.checkpoints:,}", *map(size, (shares.raw, shares.stored, shares.shared, shares.unique))]
    yield from lay_out(layout, [*rows, [Painted("in all", "title"), *total]], terminal_width()).lines


def _cells(share: Share) -> list[Cell]:
    checkpoints = f"{share.checkpoints:,}" if share.checkpoints else "-"
    raw = "-" if share.raw is None else size(share.raw)
    return [share.name, checkpoints, raw, *map(size, (share.stored, share.shared, share.unique))]


def _disk(usage: Usage) -> Iterator[Line]:
    """What the files are, and what of it is for nothing."""
    rows: list[list[Cell]] = [
        ["packs", size(usage.packs), f"{size(usage.overhead)} of it headers and indexes"],
        ["objects", size(usage.objects), ""],
        ["logs", size(usage.logs), "the live parts of runs"],
        ["other", size(usage.other), "refs, reflogs, settings"],
        ["trash", size(usage.trash), ""],
        [Painted("in all", "title"), size(usage.total), f"{size(usage.garbage)} of it garbage"],
    ]
    layout = [Column("ON DISK"), Column("BYTES", right=True), Column(optional=True)]
    yield from lay_out(layout, [[name, count, Painted(str(words), "faint")] for name, count, words in rows], terminal_width()).lines


def _rows(usage: Usage, by: str | None) -> list[Row]:
    tables = [(kind, shares) for kind, shares in (("run", usage.runs), ("part", usage.parts)) if by in {None, kind}]
    return [{"by": kind, **vars(share), "shared": share.shared} for kind, shares in tables for share in shares.rows]


def _totals(usage: Usage) -> Row:
    names = ("packs", "objects", "logs", "other", "trash", "garbage", "overhead", "unreadable", "total")
    return {name: getattr(usage, name) for name in names}
