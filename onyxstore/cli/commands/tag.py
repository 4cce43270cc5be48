"""`onyx tag`."""

from __future__ import annotations

import click

from onyxstore.cli import pager
from onyxstore.cli.heading import first_line, refs_of
from onyxstore.cli.json_shapes import commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.store import Store


@verb(
    "tag",
    ("onyx tag", "list the tags"),
    ("onyx tag paper bert-base@best", "name that commit; its checkpoint is never pruned"),
    ("onyx tag -d paper", "take the name away; the commit stays"),
)
@click.argument("name", required=False)
@click.argument("revision", required=False)
@click.option("-d", "--delete", "is_deletion", is_flag=True, help="Take the tag NAME away.")
@json_option
def command(name: str | None, revision: str | None, is_deletion: bool, as_json: bool) -> None:
    """Name a commit for good, list such names, or take one away.

    Without REVISION it is HEAD's commit that gets the name. What has a tag is kept whatever retention says.
    """
    if is_deletion and (name is None or revision is not None):
        raise click.UsageError("-d takes the name of one tag", click.get_current_context())
    store = open_store()
    if is_deletion and name is not None:
        store.delete_tag(name)
    elif name is not None:
        store.tag(name, revision or "HEAD")
    elif not as_json:
        _list(store)
    if as_json:
        refs = refs_of(store)
        write_json("tags", [{"name": each, "commit": commit_row(commit, refs)} for each, commit in store.tags().items()])


def _list(store: Store) -> None:
    rows: list[list[Cell]] = [
        [Painted(name, "tag"), Painted(commit.short, "address"), commit.run, first_line(commit)]
        for name, commit in store.tags().items()
    ]
    pager.page(lay_out([Column(), Column(), Column(cut=20, middle=True), Column(cut=20)], rows, terminal_width()).lines)
