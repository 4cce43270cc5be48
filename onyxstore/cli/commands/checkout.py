"""`onyx checkout`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from onyxstore.cli import screen
from onyxstore.cli.heading import first_line
from onyxstore.cli.json_shapes import file_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Line, Painted
from onyxstore.cli.verb import dry_run_option, json_option, verb
from onyxstore.store.checkout import CheckoutOptions, CheckoutPlan

PARTS = ["configs", "checkpoint", "model"]
"""What `--only` takes: those of `store/checkout.py`."""

_STYLES = {"new": "good", "same": "faint", "changed": "odd", "lost": "bad", "purged": "faint"}


@verb(
    "checkout",
    ("onyx checkout bert-base@best", "configs and checkpoint, where they came from"),
    ("onyx checkout best --to restored", "all of it into a folder; HEAD stays"),
    ("onyx checkout best --only model --to .", "just the weights, as one .safetensors file"),
    ("onyx checkout v1 --no-checkpoint -n", "what would happen to the config files"),
)
@click.argument("revision")
@click.option("--to", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Write all below DIR; HEAD does not move.")
@click.option("--only", metavar="PART", type=click.Choice(PARTS), help="Write one part only: configs, checkpoint or model.")
@click.option("--checkpoint/--no-checkpoint", default=True, help="Whether the checkpoint is written too.")
@click.option("--force", is_flag=True, help="Overwrite files with changes that are in no commit.")
@dry_run_option
@json_option
def command(revision: str, to: Path | None, only: str | None, checkpoint: bool, force: bool, dry_run: bool, as_json: bool) -> None:
    """Write a commit's configs and checkpoint as plain files.

    Config files go to where they were committed from. The checkpoint becomes NAME.safetensors, the model under its own names, which
    any tool loads, with the rest in NAME.state.safetensors and NAME.json; NAME is the revision. A .safetensors file that was
    committed comes back byte for byte. Code is never touched, and changed files are not overwritten without --force.

    Each file is listed as 'new', 'same' (as it was already), 'changed' (the old content is in the store), 'lost' (it is not), or
    'purged': the store lacks it on purpose, and what lies there stays.
    """
    plan = open_store().plan_checkout(revision, CheckoutOptions(to=to, only=only, checkpoint=checkpoint, force=force))
    if not dry_run:
        with working("writing"):
            plan.execute()
    if as_json:
        write_json("files", [file_row(file, is_dry=dry_run) for file in plan.files])
        return
    screen.write(_lines(plan))
    if dry_run:
        screen.say(f"dry run: nothing was written{_refusal(plan)}")
    elif plan.head is not None:
        screen.say(f"HEAD is now at {plan.commit.short} of {plan.commit.run}: {first_line(plan.commit)}")


def _lines(plan: CheckoutPlan) -> Iterator[Line]:
    for file in plan.files:
        yield [Painted(f"{file.state:7}", _STYLES[file.state]), f"  {_shown(file.path)}"]


def _refusal(plan: CheckoutPlan) -> str:
    lost = [file for file in plan.files if file.state == "lost"]
    return "; without --force a checkout would refuse to overwrite what is in no commit" if lost and not plan.force else ""


def _shown(path: Path) -> str:
    """The path from the working directory, as long as that is the shorter way to say it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative
