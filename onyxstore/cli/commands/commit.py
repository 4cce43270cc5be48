"""`onyx commit`."""

from __future__ import annotations

from pathlib import Path

import click

from onyxstore.cli import screen
from onyxstore.cli.figures import plural, size
from onyxstore.cli.heading import first_line, refs_of
from onyxstore.cli.json_shapes import commit_row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.progress import working
from onyxstore.cli.screen import Painted
from onyxstore.cli.verb import json_option, verb
from onyxstore.store.adding import Addition
from onyxstore.store.views import Commit

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@verb(
    "commit",
    ("onyx commit -m 'first try' --config training.yaml", "a config, called 'training'"),
    ("onyx commit -m tuned --metrics eval.json", "metrics; the configs are read again"),
    ("onyx commit -m weights --checkpoint model.safetensors", "a file of tensors"),
    ("onyx commit -m plots --artifact loss.png --artifact lr.png", "any other files"),
)
@click.option("-m", "--message", required=True, help="What this commit is.")
@click.option("--config", "configs", metavar="[NAME=]FILE", multiple=True, help="A YAML or JSON file; NAME is its stem if not given.")
@click.option("--metrics", metavar="FILE.json", type=FILE, help="Numbers by name.")
@click.option("--checkpoint", metavar="FILE", type=FILE, help="A .safetensors file, which will come back byte for byte, or a .pt file.")
@click.option("--artifact", "artifacts", metavar="FILE", type=FILE, multiple=True, help="A file to keep with the commit.")
@json_option
def command(
    message: str, configs: tuple[str, ...], metrics: Path | None, checkpoint: Path | None, artifacts: tuple[Path, ...], as_json: bool
) -> None:
    """Record configs, metrics, a checkpoint and files as a commit.

    The commit goes on from HEAD: the run 'main' at first, a new run after a checkout of something else. The config files of HEAD's
    commit are read again; --config adds others. The state of the code and the environment are recorded too.
    """
    store = open_store()
    addition = Addition(message=message, configs=_named(configs), metrics=metrics, checkpoint=checkpoint, artifacts=artifacts)
    with working("storing"):
        commit = store.add_commit(addition)
    if as_json:
        write_json("commits", [commit_row(commit, refs_of(store))])
        return
    screen.write([[f"[{commit.run} ", Painted(commit.short, "address"), f"] {first_line(commit)}"]])
    held = _held(commit, with_checkpoint=checkpoint is not None)
    if held:
        screen.write([f" {held}"])


def _named(configs: tuple[str, ...]) -> dict[str, Path]:
    """The config files by name; a usage error for one that is not there, or two of one name."""
    named: dict[str, Path] = {}
    for text in configs:
        name, equals, file = text.partition("=")
        path = Path(file if equals and not Path(text).exists() else text)
        name = name if path != Path(text) else path.stem
        if not path.is_file():
            raise click.BadParameter(f"there is no file '{path}'", param_hint="--config")
        if name in named:
            raise click.BadParameter(f"two are called '{name}'; give one another name with NAME={path}", param_hint="--config")
        named[name] = path
    return named


def _held(commit: Commit, *, with_checkpoint: bool) -> str:
    """What the commit consists of, in a line."""
    parts = [plural(len(commit.config_entries), "config")] if commit.config_entries else []
    parts += [plural(len(commit.values), "metric")] if commit.values else []
    if with_checkpoint:
        raw, stored = (int(commit.cost[name]) for name in ("raw_bytes", "checkpoint_bytes"))
        parts.append(f"a checkpoint of {size(raw)}, which took {size(stored)}")
    parts += [plural(len(commit.record.artifacts), "artifact")] if commit.record.artifacts else []
    return ", ".join(parts)
