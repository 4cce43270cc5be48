"""`onyx settings`."""

from __future__ import annotations

import json
from typing import Any

import click

from onyxstore.cli import screen
from onyxstore.cli.json_shapes import write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out
from onyxstore.cli.verb import json_option, verb
from onyxstore.errors import UnknownName
from onyxstore.names import near
from onyxstore.store.change_setting import change_setting
from onyxstore.store.settings import SETTINGS, Settings


@verb(
    "settings",
    ("onyx settings", "all of them"),
    ("onyx settings max_checkpoints", "one of them"),
    ("onyx settings max_checkpoints 10", "set it"),
    ("onyx settings max_checkpoints null", "keep every checkpoint"),
)
@click.argument("name", required=False)
@click.argument("value", required=False)
@json_option
def command(name: str | None, value: str | None, as_json: bool) -> None:
    """Show the store's settings, or change one.

    They stand in settings.yaml in the store, with what each of them means; that can be edited by hand too. A change leaves comments
    and everything else in the file as it was. Processes that have the store open go on with what they read when they opened it.
    """
    settings = open_store().settings
    if name is not None and name not in SETTINGS:
        raise UnknownName("setting", name, "the store", near(name, SETTINGS))
    if name is not None and value is not None:
        settings = change_setting(settings, name, value)
    shown = {each: held for each, held in settings.by_name().items() if name in {None, each}}
    if as_json:
        defaults = Settings().by_name()
        write_json("settings", ({"name": each, "value": held, "default": defaults[each]} for each, held in shown.items()))
    elif name is None:
        screen.write(lay_out([Column(), Column(), Column()], [_cells(each, held) for each, held in shown.items()]).lines)
    elif value is None:
        screen.write([_spelt(shown[name])])
    else:
        screen.say(f"{name} is {_spelt(shown[name])} now")


def _cells(name: str, value: Any) -> list[Cell]:
    default = Settings().by_name()[name]
    return [name, _spelt(value), "" if value == default else Painted(f"default {_spelt(default)}", "faint")]


def _spelt(value: Any) -> str:
    """As the file has it."""
    return value if isinstance(value, str) else json.dumps(value)
