"""What a verb is: a click command with examples in its help, and the options that verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Verb(click.Command):
    """A command whose help ends with examples: command lines, each with what it does."""

    def __init__(self, *, examples: Sequence[tuple[str, str]], **options: Any) -> None:
        super().__init__(**options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Writes the examples."""
        with formatter.section("Examples"):
            formatter.write_dl(self.examples, col_max=48)


class VerbGroup(click.Group):
    """A verb of verbs: `onyx config show`."""

    def __init__(self, name: str, verbs: Sequence[Verb], **options: Any) -> None:
        super().__init__(name, {each.name: each for each in verbs if each.name}, subcommand_metavar="VERB [ARGS]...", **options)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the order in which they were handed in."""
        return list(self.commands)


def verb(name: str, *examples: tuple[str, str]) -> Callable[[Callable[..., Any]], Verb]:
    """Makes a function the command of a verb; its docstring is the help."""
    return click.command(name, cls=Verb, examples=examples)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

yes_option = click.option("--yes", "yes", is_flag=True, help="Do it without asking.")

dry_run_option = click.option("-n", "--dry-run", "dry_run", is_flag=True, help="Only print what would be done.")
