"""`onyx config`: the guide's typed configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.config_input import differences, look_at, problem_row, read_side
from onyxstore.cli.figures import literal, plural
from onyxstore.cli.json_shapes import Row, write_json
from onyxstore.cli.library import hear_warnings
from onyxstore.cli.screen import Cell, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import VerbGroup, json_option, verb
from onyxstore.configs.manager import ConfigManager
from onyxstore.configs.naming import projects_in
from onyxstore.configs.types import ConfigType

TYPES = [str(each) for each in ConfigType]
_SIGNS = {"added": Painted("+", "good"), "removed": Painted("-", "bad"), "changed": Painted("~", "odd")}

folder_option = click.option(
    "--dir", "folder", default="configs", show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Where configs lie."
)


@verb("create", ("onyx config create ads", "configs/ads_model_config.yaml and five more"))
@click.argument("project")
@folder_option
@json_option
def create(project: str, folder: Path, as_json: bool) -> None:
    """Write the six config files of a project, with every key explained.

    A file that is there already is left as it is, and that is said.
    """
    hear_warnings()
    made = ConfigManager(folder).create_default_configs(project)
    if as_json:
        write_json("files", [{"type": type_, "path": str(path)} for type_, path in made.items()])
    else:
        screen.write([str(path) for path in made.values()])


@verb(
    "show",
    ("onyx config show ads --overlay prod", "the six configs, and where each value comes from"),
    ("onyx config show configs/ads_data_config.yaml", "one file"),
    ("onyx config show ads --set training.epochs=3", "what an override would do"),
)
@click.argument("name", metavar="PROJECT|FILE")
@click.option("--overlay", metavar="NAME", help="The overlay that lies over the project's files.")
@click.option("--set", "overrides", metavar="TYPE.KEY=VALUE", multiple=True, help="A value that wins over all files.")
@folder_option
@json_option
def show(name: str, overlay: str | None, overrides: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """Show the values of configs, defaults included, and where each comes from.

    What is wrong with them is said too; then the exit status is 1.
    """
    hear_warnings()
    looked = look_at(ConfigManager(folder), name, overlay, overrides)
    rows = looked.rows()
    if as_json:
        write_json("values", rows, problems=[problem_row(problem) for problem in looked.problems])
    else:
        cells: list[list[Cell]] = [
            [f"{row['type']}.{row['key']}", literal(row["value"]), Painted(_shown_origin(row), "faint")] for row in rows
        ]
        pager.page(lay_out([Column(cut=20, middle=True), Column(cut=12), Column(cut=12, middle=True)], cells, terminal_width()).lines)
        for problem in looked.problems:
            screen.say(f"onyx: {problem}")
    return 1 if looked.problems else 0


@verb(
    "validate",
    ("onyx config validate", "all projects of ./configs"),
    ("onyx config validate ads --overlay prod", "a project as it would be loaded"),
    ("onyx config validate my_training_config.yaml", "a file"),
)
@click.argument("names", metavar="[PROJECT|FILE]...", nargs=-1)
@click.option("--overlay", metavar="NAME", help="The overlay that lies over the projects' files.")
@folder_option
@json_option
def validate(names: tuple[str, ...], overlay: str | None, folder: Path, as_json: bool) -> int:
    """Say all that is wrong with config files, each with file, line and key.

    The exit status is 1 if anything is.
    """
    hear_warnings()
    manager = ConfigManager(folder)
    wanted = names or projects_in(folder)
    if not wanted:
        raise click.UsageError(f"there are no configs in {folder}; name a project or files", click.get_current_context())
    problems = [problem for name in wanted for problem in look_at(manager, name, overlay).problems]
    if as_json:
        write_json("problems", [problem_row(problem) for problem in problems], is_valid=not problems)
    else:
        screen.write([str(problem) for problem in problems])
        screen.say(f"{', '.join(wanted)}: {plural(len(problems), 'problem') if problems else 'all is well'}")
    return 1 if problems else 0


@verb(
    "diff",
    ("onyx config diff ads bert@best", "the project's files against what a run was started with"),
    ("onyx config diff old_training_config.yaml new_training_config.yaml", "two files"),
)
@click.argument("old")
@click.argument("new")
@folder_option
@click.option("--exit-code", "with_exit_code", is_flag=True, help="Exit with 1 if anything differs.")
@json_option
def diff(old: str, new: str, folder: Path, with_exit_code: bool, as_json: bool) -> int:
    """Show what differs between configs: of files, projects or revisions.

    Configs of the six types are compared with their defaults; what only one side has is left out.
    """
    hear_warnings()
    manager = ConfigManager(folder)
    found = list(differences(read_side(manager, old), read_side(manager, new)))
    if as_json:
        rows = [{"config": name, "path": each.name, "kind": each.kind, "old": each.old, "new": each.new} for name, each in found]
        write_json("differences", rows, old=old, new=new)
    else:
        cells: list[list[Cell]] = [[_SIGNS[each.kind], f"{name}.{each.name}", *_sides(each)] for name, each in found]
        layout = [Column(), Column(cut=16, middle=True), Column(cut=10), Column(), Column(cut=10)]
        pager.page(lay_out(layout, cells, terminal_width()).lines)
    return 1 if found and with_exit_code else 0


@verb(
    "schema",
    ("onyx config schema training", "for one type, on stdout"),
    ("onyx config schema --to schemas", "for all six, as files that an editor can be pointed to"),
)
@click.argument("config_type", metavar="[TYPE]", required=False, type=click.Choice(TYPES))
@click.option("--to", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Write DIR/TYPE.schema.json.")
@json_option
def schema(config_type: str | None, to: Path | None, as_json: bool) -> None:
    """Print the JSON Schema of a config, for editors.

    In YAML files an editor finds it by a first line such as `# yaml-language-server: $schema=schemas/training.schema.json`.
    """
    manager = ConfigManager(".")
    made = {name: manager.json_schema(ConfigType(name)) for name in ([config_type] if config_type else TYPES)}
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        for name, each in made.items():
            (to / f"{name}.schema.json").write_text(_spelt(each))
    if as_json:
        write_json("schemas", made.values())
    elif to is not None:
        screen.write([str(to / f"{name}.schema.json") for name in made])
    elif config_type is None:
        raise click.UsageError(f"which type? One of {', '.join(TYPES)}; or --to DIR for all", click.get_current_context())
    else:
        screen.write_text(_spelt(made[config_type]))


command = VerbGroup(
    "config",
    (create, show, validate, diff, schema),
    help="""Write, show, check and compare typed configs.

    Six YAML files a project: its model, training, data, tracking, optimization and deployment. The page docs/configuration.md has
    every key.
    """,
)


def _shown_origin(row: Row) -> str:
    if row["source"] in {"default", "override"}:
        return str(row["source"])
    name = Path(row["file"]).name
    return f"{name}:{row['line']}" if row["line"] else name


def _sides(change: Any) -> list[Cell]:
    old = "" if change.kind == "added" else literal(change.old)
    return [old, "->" if change.kind == "changed" else "", "" if change.kind == "removed" else literal(change.new)]


def _spelt(value: Row) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
