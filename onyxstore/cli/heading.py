"""How a commit is announced: its address, the refs that name it, its run, its date, its message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from onyxstore.cli.figures import age, date, figure, since
from onyxstore.cli.screen import Cell, Line, Painted, line
from onyxstore.errors import NotHere
from onyxstore.hashing import Address, short
from onyxstore.store.store import Store
from onyxstore.store.views import Commit

Refs = Mapping[Address, list[str]]
"""The refs that name a commit, by its address."""

_FIXED = ("HEAD", "latest", "best")


def refs_of(store: Store) -> Refs:
    """The refs as one types them: HEAD, latest and best, then tags, then those of the runs."""
    found: dict[Address, list[str]] = {}
    for name in _FIXED:
        try:
            found.setdefault(store.commit(name).address, []).append(name)
        except NotHere:
            continue
    for name, commit in store.tags().items():
        found.setdefault(commit.address, []).append(name)
    for run in store.runs():
        for which, named in (("latest", run.latest), ("best", run.best)):
            if named is not None:
                found.setdefault(named.address, []).append(f"{run.name}@{which}")
    return found


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
    yield ""
    yield from (f"    {each}".rstrip() for each in commit.message.split("\n"))


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
