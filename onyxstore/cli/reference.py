"""The page `docs/cli.md`: the help of every verb, as the command gives it.

    python -m onyxstore.cli.reference > docs/cli.md
"""

from __future__ import annotations

import click

from onyxstore.cli.app import VERBS, onyx

WIDTH = 100
"""Characters of a line of help: what the page shows without a scroll bar."""

_HEAD = """# The command

What `onyx --help` and `onyx VERB --help` say. The page is made of them by `python -m onyxstore.cli.reference > docs/cli.md`.
"""


def page() -> str:
    """The whole page, as Markdown."""
    top = click.Context(onyx, info_name="onyx", terminal_width=WIDTH, **onyx.context_settings)
    sections = [_HEAD, _help(onyx, top)]
    for name in VERBS:
        command = onyx.get_command(top, name)
        if command is not None:
            sections += _sections(command, click.Context(command, top, name, terminal_width=WIDTH), depth=2)
    return "\n".join(sections)


def _sections(command: click.Command, context: click.Context, depth: int) -> list[str]:
    """A verb's section, and those of its own verbs below it."""
    sections = [f"{'#' * depth} {context.command_path}\n", _help(command, context)]
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        sections += _sections(inner, click.Context(inner, context, name, terminal_width=WIDTH), depth + 1)
    return sections


def _help(command: click.Command, context: click.Context) -> str:
    return f"```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    click.echo(page(), nl=False)
