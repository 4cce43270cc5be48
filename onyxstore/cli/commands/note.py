"""`onyx note`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from onyxstore.cli import screen
from onyxstore.cli.figures import age, since
from onyxstore.cli.heading import first_line, note_words, refs_of
from onyxstore.cli.json_shapes import commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Painted
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.adding import read_metrics
from onyxstore.store.views import Commit

_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?inf|nan", re.IGNORECASE)


@verb(
    "note",
    ("onyx note bert-base@step:4000 test_f1=0.91", "what an evaluation found later"),
    ('onyx note paper -m "fails on long inputs"', "words"),
    ("onyx note best --metrics eval.json", "metrics of a JSON file"),
    ("onyx note paper", "show its notes"),
)
@click.argument("revision", metavar="REV")
@click.argument("given", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("-m", "--message", "words", metavar="WORDS", help="What to say.")
@click.option("--metrics", "file", metavar="FILE", type=click.Path(path_type=Path), help="A JSON file of names and numbers.")
@json_option
def command(revision: str, given: Sequence[str], words: str | None, file: Path | None, as_json: bool) -> None:
    """Attach words or metrics to a commit, or show its notes.

    The commit and its address stay as they are; the note lies with its run. 'onyx show' and 'onyx log' show notes, and 'onyx best'
    counts their metrics. Nothing takes a note back: of two that name one metric the later one counts.
    """
    store = open_store()
    commit = store.commit(revision)
    metrics = {**(read_metrics(file) if file is not None else {}), **dict(map(_metric, given))}
    if words is not None or metrics or file is not None:
        commit.add_note(words, metrics)
        if not as_json:
            screen.say(f"noted of {commit.short} ({commit.run}: {first_line(commit)})")
            return
    if as_json:
        write_json("commits", [commit_row(commit, refs_of(store))])
    else:
        _show(commit)


def _metric(text: str) -> tuple[str, Any]:
    """NAME=VALUE as a name and a number."""
    name, is_pair, value = text.rpartition("=")
    spelt = value.strip().lower()
    if is_pair and spelt in {"true", "false"}:
        return name, spelt == "true"
    if is_pair and _INT.fullmatch(spelt) and len(spelt) < 300:
        return name, int(spelt)
    if is_pair and _FLOAT.fullmatch(spelt):
        return name, float(spelt)
    raise click.UsageError(f"a metric is NAME=VALUE, with a number for its value, not '{text}'", click.get_current_context())


def _show(commit: Commit) -> None:
    notes = commit.notes
    if not notes:
        screen.say(f"nothing was noted of {commit.short}")
    for note in notes:
        screen.write([Painted(f"{age(since(note.time / 1e9))} ago", "title"), *(f"    {line}".rstrip() for line in note_words(note))])
