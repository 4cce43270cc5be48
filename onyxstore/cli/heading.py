"""How a commit is announced: its address, the refs that name it, its run, its date, its message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from onyxstore.cli.figures import age, date, figure, since
from onyxstore.cli.screen import Cell, Line, Painted, line
from onyxstore.errors import NotHere
from onyxstore.hashing import Address, short

if TYPE_CHECKING:
    from onyxstore.history.notes import Note
    from onyxstore.store.store import Store
    from onyxstore.store.views import Commit

Refs = Mapping[Address, list[str]]
"""The refs that name a commit, by its address."""

_FIXED = ("HEAD", "latest", "best")

_FEW = 50
"""Runs of which each is looked at for its refs: of more, all of the store are listed."""


def refs_of(store: Store, commits: Iterable[Commit] | None = None) -> Refs:
    """The refs as one types them: HEAD, latest and best, then tags, then those of the runs; of a few `commits` those of their runs."""
    found: dict[Address, list[str]] = {}
    for name in _FIXED:
        try:
            found.setdefault(store.commit(name).address, []).append(name)
        except NotHere:
            continue
    for name, commit in store.tags().items():
        found.setdefault(commit.address, []).append(name)
    for name, address in _named_by_runs(store, commits):
        found.setdefault(address, []).append(name)
    return found


def _named_by_runs(store: Store, commits: Iterable[Commit] | None) -> Iterator[tuple[str, Address]]:
    names = dict.fromkeys(commit.run for commit in commits or ())
    if commits is None or len(names) > _FEW:
        for row in store.runs().rows:
            addresses = (("latest", row.latest), ("best", row.best and row.best.address))
            yield from ((f"{row.name}@{which}", address) for which, address in addresses if address is not None)
        return
    for name in names:
        with contextlib.suppress(NotHere):
            run = store.run(name)
            yield from ((f"{run.name}@{which}", found.address) for which, found in (("latest", run.latest), ("best", run.best)) if found)


def heading(commit: Commit, refs: Refs, *, with_parents: bool = False) -> Iterator[Line]:
    """A commit in a paragraph, as git shows one."""
    yield [Painted(f"commit {commit.short}", "address"), *decoration(refs.get(commit.address, []))]
    if with_parents and commit.record.parents:
        yield line("Parent:  ", Painted(", ".join(map(short, commit.record.parents)), "address"))
    yield f"Run:     {commit.run}"
    yield f"Date:    {date(commit.time)} ({age(since(commit.time))} ago)"
    if commit.step is not None:
        yield f"Step:    {commit.step}" + ("" if commit.epoch is None else f", epoch {figure(commit.epoch)}")
    if commit.values:
        yield f"With:    {', '.join(f'{name} {figure(value)}' for name, value in commit.values.items())}"
    for note in commit.notes:
        words = note_words(note) if with_parents else note_words(note)[:1]
        yield from (f"{'' if number else 'Note:':9}{each}" for number, each in enumerate(words))
    yield ""
    yield from (f"    {each}".rstrip() for each in commit.message.split("\n"))


def note_words(note: Note) -> list[str]:
    """A note in lines: its metrics, and its words behind them."""
    metrics = ", ".join(f"{name} {figure(value)}" for name, value in note.metrics.items())
    return ": ".join(filter(None, (metrics, note.words))).split("\n")


def decoration(names: Sequence[str]) -> list[Cell]:
    """` (HEAD, v1, gpt@best)` in colour; nothing without names."""
    cells: list[Cell] = []
    for name in names:
        cells += [", " if cells else " (", Painted(name, _style(name))]
    return [*cells, ")"] if cells else []


def first_line(commit: Commit) -> str:
    """The first line of its message."""
    return commit.message.partition("\n")[0]


def _style(name: str) -> str:
    return "head" if name == "HEAD" else "ref" if "@" in name or name in _FIXED else "tag"
