"""How the verbs get at the library: the store that the global options name, and the library's warnings as words on stderr."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from onyxstore.cli import screen
from onyxstore.errors import StoreNotFound
from onyxstore.store.doors import open_doors
from onyxstore.store.store import Store


class _Words(logging.Handler):
    """Says each warning in a line, as errors are said."""

    def emit(self, record: logging.LogRecord) -> None:
        screen.say(f"onyx: {record.getMessage()}")


def hear_warnings() -> None:
    """From now on the library's warnings are said on stderr."""
    log = logging.getLogger("onyxstore")
    if not any(isinstance(handler, _Words) for handler in log.handlers):
        log.addHandler(_Words(logging.WARNING))
        log.propagate = False


def open_store() -> Store:
    """The store that `--store` or `-C` names, else the one that the library finds; StoreNotFound and what else opening raises."""
    hear_warnings()
    options = click.get_current_context().find_root().params
    if options["store"] is not None:
        try:
            return Store(open_doors(Path(options["store"])))
        except StoreNotFound:
            raise StoreNotFound(options["store"]) from None
    # `-C` has made its folder the working directory; a store above it is not the one that was named.
    return Store.open("." if options["folder"] is not None else None)
