"""Long output through a pager, as git does it: only on a terminal, and `less` goes away by itself when all fits on the screen."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from onyxstore.cli import screen
from onyxstore.cli.screen import Line

if TYPE_CHECKING:
    import subprocess

LESS = "FRX"
"""Quit if it fits, show colours, leave the text on the screen: git's choice, for who has set none."""


def page(lines: Iterable[Line]) -> None:
    """Data, a line each; on a terminal by way of PAGER, `less` without one, none when it is empty or `cat`."""
    command = _command() if screen.is_watched() else []
    pager = _start(command) if command else None
    if pager is None:
        screen.write(lines)
        return
    try:
        _feed(pager, lines)
    finally:
        _wait(pager)


def _command() -> list[str]:
    import shlex  # noqa: PLC0415 - 4 ms with subprocess, for who has no terminal in vain

    words = shlex.split(os.environ.get("PAGER", "less"))
    return [] if words == ["cat"] or os.environ.get("TERM") == "dumb" else words


def _start(command: list[str]) -> subprocess.Popen[str] | None:
    """The pager, or None when there is no such program."""
    import subprocess  # noqa: PLC0415 - see above

    environment = {"LESS": LESS, "LV": "-c", **os.environ}
    screen.flush()
    try:
        return subprocess.Popen(  # noqa: S603 - the program that the user chose
            command, stdin=subprocess.PIPE, env=environment, encoding=sys.stdout.encoding, errors="backslashreplace"
        )
    except OSError:
        return None


def _feed(pager: subprocess.Popen[str], lines: Iterable[Line]) -> None:
    """Writes until all is written, or the pager was quit."""
    render = screen.coloured if screen.has_colour() else screen.plain
    if pager.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            pager.stdin.write(f"{render(line)}\n")


def _wait(pager: subprocess.Popen[str]) -> None:
    """Until the pager was quit. It has the terminal: Ctrl-C is its own to answer."""
    with contextlib.suppress(BrokenPipeError):
        if pager.stdin is not None:
            pager.stdin.close()
    while True:
        try:
            pager.wait()
        except KeyboardInterrupt:
            continue
        return
