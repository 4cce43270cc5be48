"""A word on what takes long, on stderr, where somebody looks on."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from onyxstore.cli.figures import age

PATIENCE = 0.5
"""Seconds before anything is said: what is done by then needs no word."""


@contextlib.contextmanager
def working(words: str) -> Iterator[None]:
    """Says on a terminal what is being done, and for how long, until it is done; then the line is gone."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(words, done), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(words: str, done: threading.Event) -> None:
    began = time.monotonic()
    told = ""
    while not done.wait(PATIENCE):
        told = f"\r{words} … {age(time.monotonic() - began)}"
        sys.stderr.write(told)
        sys.stderr.flush()
    if told:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
