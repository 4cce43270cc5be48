"""`onyx status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onyxstore.cli import screen
from onyxstore.cli.figures import age, since
from onyxstore.cli.heading import first_line, refs_of
from onyxstore.cli.json_shapes import Row, commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Line, Painted, line
from onyxstore.cli.verb import json_option, verb
from onyxstore.errors import NotHere
from onyxstore.store.checkout import CheckoutOptions
from onyxstore.store.store import Store
from onyxstore.store.views import Commit
from onyxstore.store.working import working_configs

_STYLES = {"missing": "bad", "changed": "odd"}


@verb(
    "status",
    ("onyx status", "before a commit"),
    ("onyx status --json", "for a prompt or an editor"),
)
@json_option
def command(as_json: bool) -> None:
    """Show where HEAD is, which configs changed, and which runs are live.

    The config files of HEAD's commit are compared with those that lie beside the store; 'onyx commit' would read them again.
    """
    store = open_store()
    head = _head(store)
    files = _files(store) if head is not None else []
    running = [run.name for run in store.runs() if run.status == "running"]
    if as_json:
        write_json("files", files, head=head and commit_row(head, refs_of(store)), running=running)
    else:
        screen.write(_lines(head, files, running))


def _head(store: Store) -> Commit | None:
    try:
        return store.commit("HEAD")
    except NotHere:
        return None


def _files(store: Store) -> list[Row]:
    configs = working_configs(store.plan_checkout("HEAD", CheckoutOptions(only="configs")), store.folder)
    return [{"config": config.name, "path": config.path, "state": config.state} for config in configs]


def _lines(head: Commit | None, files: Sequence[Row], running: Sequence[str]) -> Iterator[Line]:
    if head is None:
        yield "HEAD names no commit yet: 'onyx commit' makes one, 'onyx checkout' takes one."
    else:
        yield ["HEAD is at ", Painted(head.short, "address"), f" of {head.run}, {age(since(head.time))} ago: {first_line(head)}"]
    changed = [file for file in files if file["state"] != "same"]
    if changed:
        yield from ["", "Configs that differ from it:"]
        yield from (line(Painted(f"  {file['state']:9}", _STYLES[file["state"]]), file["path"]) for file in changed)
    if running:
        yield from ["", "Runs that are live:"]
        yield from (Painted(f"  {name}", "live") for name in running)
