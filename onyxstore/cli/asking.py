"""Asking before something goes: at a terminal; elsewhere nobody could answer, and the command line must say it."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from onyxstore.cli import screen

_YES = {"y", "yes"}


def is_agreed(question: str, *, yes: bool) -> bool:
    """Whether it shall be done: `--yes` was said, or somebody at the terminal says so. UsageError where nobody can be asked."""
    if yes:
        return True
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
        raise click.UsageError("there is nobody to ask here, so it takes --yes", click.get_current_context())
    screen.say(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in _YES


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
