"""`onyx whence`."""

from __future__ import annotations

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.json_shapes import Row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Painted, line
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.whence import Origin


@verb(
    "whence",
    ("onyx whence model.safetensors", "the commit that holds most of its tensors, and those that come after it"),
    ("onyx whence model.safetensors -n 1", "only that"),
)
@click.argument("file", metavar="FILE.safetensors", type=click.Path())
@click.option("-n", "--max-count", "count", metavar="N", type=click.IntRange(min=1), default=5, help="Name at most N commits (5).")
@json_option
def command(file: str, count: int, as_json: bool) -> int:
    """Say which run and commit a file of weights comes from.

    Its tensors are looked for by their content: they are found when they were renamed, and when others were left out or put to them.
    The commit that holds most of them comes first, then the one with most bytes, then the oldest. What is tiny, all one value, or as
    regular as positions and masks decides nothing. A checkpoint that was pruned is still known. Exits with 1 if nothing is found.
    """
    store = open_store()
    with working("comparing addresses"):
        found = store.whence(file)
    if as_json:
        write_json("origins", [_row(each) for each in found.origins[:count]], file=found.file, tensors=found.tensors, telling=found.telling)
    else:
        pager.page([line(Painted(each.revision, "address"), f"{each.where}, {each.words}") for each in found.origins[:count]])
    if not found:
        screen.say(f"onyx: {found}")
    for words in found.unreadable:
        screen.say(f"onyx: {words}")
    return 0 if found else 1


def _row(origin: Origin) -> Row:
    names = {"matched": origin.matched, "differ": origin.differ, "lacks": origin.lacks}
    commit = {"revision": origin.revision, "commit": origin.commit.address, "run": origin.commit.run, "step": origin.commit.step}
    return {**commit, "pruned": origin.is_pruned, "bytes": origin.size, **names}
