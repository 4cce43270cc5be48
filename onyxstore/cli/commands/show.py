"""`onyx show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from onyxstore.cli import pager
from onyxstore.cli.circumstances import code_words, cost_words, environment_words
from onyxstore.cli.figures import figure, literal, size
from onyxstore.cli.heading import Refs, heading, refs_of
from onyxstore.cli.json_shapes import whole_commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Cell, Line, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.errors import UnknownRevision
from onyxstore.history.secrets import dotted
from onyxstore.store.checkpoints import Checkpoint
from onyxstore.store.store import Store
from onyxstore.store.views import Commit


@verb(
    "show",
    ("onyx show", "the commit that HEAD names"),
    ("onyx show bert-base@best", "the best commit of a run"),
    ("onyx show latest --json", "for a program: the packages and the uncommitted changes in full, too"),
)
@click.argument("revision", metavar="[REV]", required=False)
@json_option
def command(revision: str | None, as_json: bool) -> None:
    """Show all that one commit holds.

    Its refs and parents, the values of its configs, its metrics up to there, its checkpoint by parts with raw and stored bytes, its
    artifacts, the state of the code, the environment, and what logging and saving had cost by then. Without a revision it is the
    commit that HEAD names, or the latest as long as it names none.
    """
    store = open_store()
    commit = store.commit(revision) if revision is not None else _head_or_latest(store)
    refs = refs_of(store)
    if as_json:
        write_json("commits", [whole_commit_row(commit, refs)])
    else:
        pager.page(_page(commit, refs))


def _head_or_latest(store: Store) -> Commit:
    try:
        return store.commit("HEAD")
    except UnknownRevision:
        return store.commit("latest")


def _page(commit: Commit, refs: Refs) -> Iterator[Line]:
    yield from heading(commit, refs, with_parents=True)
    for name, value in commit.config.items():
        path = commit.config_entries[name].path
        yield from _section(f"config {name}" + (f" ({path})" if path else ""), _leaves(value))
    yield from _metrics(commit)
    if commit.checkpoint is not None:
        carried = any(parent.record.checkpoint == commit.record.checkpoint for parent in commit.parents)
        yield from _checkpoint(commit.checkpoint, is_carried=carried)
    yield from _artifacts(commit)
    yield from _section("code", code_words(commit.code or {}))
    yield from _section("environment", environment_words(commit.environment or {}))
    yield from _section("cost", cost_words(commit.cost))


def _section(title: str, pairs: Iterable[tuple[str, str]]) -> Iterator[Line]:
    """Names and values below a title; nothing without any."""
    rows: list[Sequence[Cell]] = [[name, value] for name, value in pairs]
    yield from _table(title, [Column(cut=24, middle=True), Column(cut=20)], rows)


def _table(title: str, layout: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterator[Line]:
    if rows:
        yield ""
        yield Painted(title, "title")
        yield from lay_out(layout, rows, terminal_width(), indent=2).lines


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, str]]:
    """A config's values by their key paths."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield dotted(path), literal(value)


def _metrics(commit: Commit) -> Iterator[Line]:
    layout = [Column(cut=20), *(Column(title, right=True) for title in ("LAST", "MIN", "MAX")), Column("POINTS", right=True, optional=True)]
    rows = [
        [name, figure(curve.last), figure(curve.min), figure(curve.max), f"{len(curve):,}"] for name, curve in commit.metrics.items()
    ]
    yield from _table("metrics", layout, rows)


def _checkpoint(checkpoint: Checkpoint, *, is_carried: bool) -> Iterator[Line]:
    words = ["checkpoint" if checkpoint.step is None else f"checkpoint at step {checkpoint.step}"]
    words += [f"{name} {figure(value)}" for name, value in checkpoint.metrics.items()]
    words += ["carried over from the commit before"] if is_carried else []
    words += ["pruned"] if checkpoint.is_pruned else []
    parts = checkpoint.parts
    rows = [[part.part, f"{part.tensors:,}", size(part.raw), _stored(part.stored)] for part in parts]
    known = [part.stored for part in parts if part.stored is not None]
    total = sum(known) if len(known) == len(parts) else None
    rows.append(["in all", f"{sum(part.tensors for part in parts):,}", size(sum(part.raw for part in parts)), _stored(total)])
    layout = [Column("PART", cut=16), *(Column(title, right=True) for title in ("TENSORS", "RAW", "STORED"))]
    yield from _table(", ".join(words), layout, rows)


def _stored(count: int | None) -> str:
    return "gone" if count is None else size(count)


def _artifacts(commit: Commit) -> Iterator[Line]:
    rows = [[each.name, each.kind, size(each.size), "" if each.step is None else f"step {each.step}"] for each in commit.artifacts]
    yield from _table("artifacts", [Column(cut=20), Column(), Column(right=True), Column()], rows)
