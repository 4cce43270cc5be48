"""`onyx init`."""

from __future__ import annotations

from pathlib import Path

import click

from onyxstore.cli import screen
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import hear_warnings
from onyxstore.cli.verb import json_option, verb
from onyxstore.errors import StoreNotFound
from onyxstore.store.store import Store


@verb(
    "init",
    ("onyx init", "here, beside the code"),
    ("onyx init ~/trainings", "in a folder of its own, which is made if need be"),
)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Make a store in a folder.

    The store is DIR/.onyx, with its settings in DIR/.onyx/settings.yaml. Git does not see it. A store that is there already is
    left as it is. Training code makes one by itself when it finds none, so this is only needed to choose the place.
    """
    hear_warnings()
    is_new = _is_new(folder)
    store = Store.init(folder)
    if as_json:
        write_json("stores", [{"folder": str(store.folder), "created": is_new}])
    elif is_new:
        screen.say(f"made a store in {store.folder}")


def _is_new(folder: Path) -> bool:
    try:
        Store.open(folder)
    except StoreNotFound:
        return True
    return False
