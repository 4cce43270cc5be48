"""`onyx best`."""

from __future__ import annotations

import click

from onyxstore.cli import screen
from onyxstore.cli.figures import figure, plural
from onyxstore.cli.heading import first_line, refs_of
from onyxstore.cli.json_shapes import commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Painted
from onyxstore.cli.verb import json_option, verb
from onyxstore.hashing import short


@verb(
    "best",
    ("onyx best bert-base --by val_f1 --mode max", "the commit with the highest val_f1 is RUN@best from now on"),
    ("onyx best bert-base", "elect again by what the run follows, say after notes were added"),
)
@click.argument("run")
@click.option("--by", "metric", metavar="METRIC", help="The metric; without it the one that the run follows.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether min or max of it is better; needed for another metric.")
@json_option
def command(run: str, metric: str | None, mode: str | None, as_json: bool) -> None:
    """Elect a run's best commit anew, and say which it is.

    Among all commits of the run, by the value that was handed in with the commit, else the one that was logged at its step, else one
    of its notes. RUN@best moves there, and best if it follows that metric. Later commits of the run compete by the metric too, unless
    the run is live: that goes on as it was started. A checkpoint that was pruned and is gone is passed over.
    """
    store = open_store()
    elected = store.run(run).elect_best(metric, mode)
    commit = store.commit(elected.commit)
    if as_json:
        beside = {"metric": elected.metric, "mode": elected.mode, "value": elected.value, "is_followed": elected.is_followed}
        write_json("commits", [commit_row(commit, refs_of(store))], **beside, passed_over=elected.passed_over)
        return
    value = f"{elected.metric} {figure(elected.value)}"
    screen.write([[Painted(f"{elected.run}@best", "ref"), "  ", Painted(commit.short, "address"), f"  {value}  {first_line(commit)}"]])
    if elected.passed_over:
        names = ", ".join(map(short, elected.passed_over))
        screen.say(f"passed over {plural(len(elected.passed_over), 'better commit')} whose checkpoints were pruned: {names}")
    if not elected.is_followed:
        screen.say(f"run '{elected.run}' is live: its next checkpoint competes by its own metric again")
