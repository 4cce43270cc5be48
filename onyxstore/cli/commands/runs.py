"""`onyx runs`."""

from __future__ import annotations

import re

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.json_shapes import group_row, run_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.run_table import group_lines, run_lines
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.query.groups import fold_groups
from onyxstore.store.query.run import find_trait
from onyxstore.store.query.traits import logged

_ONE = re.compile(r"(?:\"[^\"]*\"|'[^']*'|[^,\"'])+")
"""A name between commas; quotes may hold one."""


@verb(
    "runs",
    ("onyx runs", "the newest first, with what they differ in"),
    ("onyx runs --where 'val_loss < 0.4 and optimizer == \"adamw\"'", "those for which it holds"),
    ("onyx runs --where \"status == 'running' or created > '2d'\"", "what is live, or was started in the last two days"),
    ("onyx runs --sort val_loss", "the smallest last value first; --sort=-accuracy: the largest"),
    ("onyx runs --columns loss.min,training.learning_rate", "metrics and values of configs of your choice"),
    ("onyx runs --group --columns accuracy", "a line for the seeds of one thing: mean ± deviation"),
)
@click.option("--where", metavar="QUERY", help="Only the runs for which this holds; docs/queries.md has the language.")
@click.option("--sort", metavar="NAME", help="Sort by a metric, a config key or a field, the smallest first; with - before it the largest.")
@click.option("--columns", "chosen", metavar="A,B", help="What to show instead of the config keys in which the runs differ.")
@click.option("--group", "is_folded", is_flag=True, help="Fold the runs of each group into a line.")
@json_option
def command(where: str | None, sort: str | None, chosen: str | None, is_folded: bool, as_json: bool) -> int:
    """List the runs, and compare them.

    For each run: its status, its age, its step, the best value of the metric that it follows and the step of that, and the keys of its
    configs in which the runs differ. Of a live run the steps a second too. A query and a column name metrics (loss, loss.min, loss.max,
    loss.best, loss.at_best, "val/loss"), keys of configs (training.lr, or lr), and name, status, group, labels, created, ended, step,
    epoch. On a terminal what does not fit is left out, and that is said. Exits with 1 if a run is damaged; the others are listed.
    """
    with working("reading the runs"):
        runs = open_store().runs(where, sort=sort)
    names = [name.strip() for name in _ONE.findall(chosen or "") if name.strip()]
    traits = None if chosen is None else [find_trait(runs.traits, name) for name in names]
    groups = fold_groups(runs.rows) if is_folded else []
    if as_json and is_folded:
        write_json("groups", [group_row(group, traits or logged(group.rows)) for group in groups], damaged=runs.damaged)
    elif as_json:
        write_json("runs", map(run_row, runs.rows), damaged=runs.damaged)
    elif not runs:
        screen.say("there are no runs yet" if where is None else "no run is like that")
    else:
        pager.page(group_lines(runs, groups, traits) if is_folded else run_lines(runs, traits))
    return 1 if runs.damaged else 0
