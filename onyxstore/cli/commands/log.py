"""`onyx log`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.figures import age, since
from onyxstore.cli.heading import Refs, decoration, first_line, heading, refs_of
from onyxstore.cli.json_shapes import commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Cell, Line, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.store import Store
from onyxstore.store.views import Commit

_AUTOMATIC = re.compile(r"start|finish|checkpoint(?: at step -?\d+)?")
"""Messages that a run gives its commits by itself."""

Entry = Sequence[Commit]
"""Commits of one run that are shown together, newest first."""


@verb(
    "log",
    ("onyx log", "all runs, the newest first"),
    ("onyx log bert-base -n 5", "the last five commits of a run, and what it came from"),
    ("onyx log --oneline --all", "every commit of every run, a line each"),
)
@click.argument("revision", metavar="[REV]", required=False)
@click.option("--all", "show_all", is_flag=True, help="Show automatic commits one by one on a terminal too.")
@click.option("-n", "--max-count", "count", metavar="N", type=click.IntRange(min=0), help="Show at most N entries.")
@click.option("--oneline", is_flag=True, help="Show each commit on a line of its own.")
@json_option
def command(revision: str | None, show_all: bool, count: int | None, oneline: bool, as_json: bool) -> None:
    """Show commits, newest first.

    With a revision: the commit and all that it comes from. Without one: those of all runs; on a terminal the commits that a run
    made by itself, one after another, are one line then, unless --all says otherwise.
    """
    store = open_store()
    folds = not as_json and revision is None and not show_all and screen.is_watched()
    entries = _folded_entries(store, count) if folds else [[commit] for commit in store.commits(revision, count=count)]
    refs = refs_of(store, [commit for entry in entries for commit in entry])
    if as_json:
        write_json("commits", [commit_row(commit, refs) for (commit,) in entries])
        return
    if not entries and count != 0:
        screen.say("nothing was committed yet")
    pager.page(_lines(entries, refs) if oneline else _paragraphs(entries, refs, folds=folds))


def _folded_entries(store: Store, count: int | None) -> list[list[Commit]]:
    """The first `count` entries, all without it; of many commits no more are read than they are likely to take."""
    wanted = None if count is None else 4 * count + 16
    commits = store.commits(count=wanted)
    entries = _folded(commits)
    if count is None or wanted is None or len(commits) < wanted:
        return entries[:count]
    return [_to_its_end(entry) for entry in entries[:count]] if len(entries) >= count else _folded(store.commits())[:count]


def _to_its_end(entry: list[Commit]) -> list[Commit]:
    """An entry with those of its commits that were not read yet."""
    while _is_automatic(entry[-1]) and (parents := entry[-1].parents[:1]) and parents[0].run == entry[0].run and _is_automatic(parents[0]):
        entry.append(parents[0])
    return entry


def _folded(commits: Sequence[Commit]) -> list[list[Commit]]:
    """The commits with those that a run made by itself, one after another on its line, together where the newest of them stands."""
    lines: dict[str, list[list[Commit]]] = {}
    for commit in commits:
        line = lines.setdefault(commit.run, [])
        if line and _is_automatic(commit) and _is_automatic(line[-1][-1]):
            line[-1].append(commit)
        else:
            line.append([commit])
    first = {entry[0].address: entry for line in lines.values() for entry in line}
    return [first[commit.address] for commit in commits if commit.address in first]


def _is_automatic(commit: Commit) -> bool:
    return _AUTOMATIC.fullmatch(commit.message) is not None


# ----------------------------------------------------------------------------------------------------------- private: pages


def _lines(entries: Sequence[Entry], refs: Refs) -> Iterator[Line]:
    """A line for each entry: address, run, how long ago, message, refs."""
    rows: list[list[Cell]] = [[_span(entry), entry[0].run, age(since(entry[0].time)), _title(entry)] for entry in entries]
    layout = [Column(), Column(cut=20, middle=True), Column(right=True, optional=True), Column(cut=24)]
    for laid_out, entry in zip(lay_out(layout, rows, terminal_width()).lines, entries, strict=True):
        names = [name for commit in entry for name in refs.get(commit.address, []) if not name.endswith("@latest")]
        # The run stands in the same line, and its newest commit above all others of it.
        marks: list[Cell] = [Painted(" [noted]", "odd")] if any(commit.notes for commit in entry) else []
        yield [*laid_out, *marks, *decoration([name.removeprefix(entry[0].run) if "@" in name else name for name in names])]


def _paragraphs(entries: Sequence[Entry], refs: Refs, *, folds: bool) -> Iterator[Line]:
    """A paragraph for each commit that somebody made; where those that runs made are folded, a line for them."""
    as_line = [folds and _is_automatic(entry[0]) for entry in entries]
    lines = _lines([entry for entry, is_line in zip(entries, as_line, strict=True) if is_line], refs)
    for number, (entry, is_line) in enumerate(zip(entries, as_line, strict=True)):
        if number and not (is_line and as_line[number - 1]):
            yield ""
        if is_line:
            yield next(lines)
        else:
            yield from heading(entry[0], refs)


def _span(entry: Entry) -> Painted:
    """The address of a commit, or those of the first and the last of several."""
    newest = entry[0].short
    return Painted(newest if len(entry) == 1 else f"{entry[-1].short}..{newest}", "address")


def _title(entry: Entry) -> str:
    """The first line of a message, or what several commits were made for."""
    if len(entry) == 1:
        return first_line(entry[0])
    checkpoints = [commit for commit in entry if commit.message.startswith("checkpoint")]
    if not checkpoints:
        return f"{entry[-1].message}, {entry[0].message}"
    to_step = "" if checkpoints[0].step is None else f" to step {checkpoints[0].step}"
    words = checkpoints[0].message if len(checkpoints) == 1 else f"{len(checkpoints):,} checkpoints{to_step}"
    return f"{words}, finish" if entry[0].message == "finish" else words
