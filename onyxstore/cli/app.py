"""The command `onyx`: its global options, and the table of its verbs.

A verb's module is imported when the verb is used, since `onyx --version` must not wait for numpy. So the table holds the line that
`onyx --help` shows of each; a test keeps it equal to the first line of the verb's own help.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys

# Before click is imported: what imports make stays, and to look through it for garbage again and again takes 8 ms of every command.
gc.set_threshold(100_000)

import click  # noqa: E402 - see above

from onyxstore import __version__  # noqa: E402
from onyxstore.cli import failures  # noqa: E402

SECTIONS = {
    "begin": {
        "init": "Make a store in a folder.",
    },
    "record": {
        "commit": "Record configs, metrics, a checkpoint and files as a commit.",
        "note": "Attach words or metrics to a commit, or show its notes.",
        "tag": "Name a commit for good, list such names, or take one away.",
    },
    "look": {
        "status": "Show where HEAD is, which configs changed, and which runs are live.",
        "log": "Show commits, newest first.",
        "show": "Show all that one commit holds.",
        "runs": "List the runs, and compare them.",
        "metrics": "Show the values of a run's metrics, as a table or as curves.",
        "diff": "Show what differs between two commits, or between one and the config files here.",
        "reflog": "Show where refs have been, newest first.",
        "whence": "Say which run and commit a file of weights comes from.",
    },
    "take out": {
        "checkout": "Write a commit's configs and checkpoint as plain files.",
        "cat": "Print anything that the store holds.",
    },
    "put right": {
        "undo": "Take back the last command that moved refs, or a ref's last move.",
        "best": "Elect a run's best commit anew, and say which it is.",
        "rm": "Set runs aside in the trash.",
        "restore": "Bring a removed run back from the trash, or list what lies there.",
        "purge": "Remove runs, objects or the trash for good, without a grace.",
    },
    "set up": {
        "settings": "Show the store's settings, or change one.",
        "config": "Write, show, check and compare typed configs.",
    },
    "take care": {
        "gc": "Free the space of what is no longer kept.",
        "du": "Show what the store's bytes are for.",
        "fsck": "Read every byte of the store and report damage.",
    },
}

VERBS = {verb: summary for verbs in SECTIONS.values() for verb, summary in verbs.items()}


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Verbs(click.Group):
    """The group of all verbs, each imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"onyxstore.cli.commands.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            # Imported here, since only a mistake needs it.
            meant = importlib.import_module("onyxstore.names").near(args[0], VERBS)
            raise click.UsageError(f"'{args[0]}' is no verb" + (f", did you mean '{meant[0]}'?" if meant else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        widest = max(map(len, VERBS))
        for title, verbs in SECTIONS.items():
            with formatter.section(title.capitalize()):
                formatter.write_dl([(f"{verb:{widest}}", summary) for verb, summary in verbs.items()])


@click.group(cls=_Verbs, subcommand_metavar="VERB [ARGS]...", context_settings=_CONTEXT)
@click.option("-C", "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False), help="Work in DIR, which holds the store.")
@click.option("--store", metavar="PATH", type=click.Path(), help="The store itself: an '.onyx' folder of any name.")
@click.version_option(__version__, message=f"onyx {__version__}", help="Show the release and exit.")
@click.pass_context
def onyx(ctx: click.Context, folder: str | None, store: str | None) -> None:  # noqa: ARG001 - `library.open_store` reads it
    """Onyx is git for machine-learning experiments.

    A store is the folder '.onyx' beside the code, found from the working directory upwards. A revision is a run, a tag, 'latest',
    'best', 'RUN@best', 'RUN@step:1000', 'REV~2', or the first digits of an address. 'onyx VERB --help' has examples.
    """
    if folder is not None:
        ctx.with_resource(contextlib.chdir(folder))


def run(arguments: list[str]) -> int:
    """Carries out a command line; the exit status."""
    return failures.guard(lambda: onyx.main(arguments, prog_name="onyx", standalone_mode=False))


def main() -> None:
    """The entry point of the script `onyx`."""
    sys.exit(run(sys.argv[1:]))
