"""What the words after `onyx config` mean: files, projects, revisions; and their configs as rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onyxstore.cli.json_shapes import Row
from onyxstore.cli.library import open_store
from onyxstore.configs.manager import ConfigManager
from onyxstore.configs.naming import projects_in
from onyxstore.configs.problems import Problem
from onyxstore.configs.resolved import Resolved
from onyxstore.configs.types import ConfigType
from onyxstore.errors import BadInput
from onyxstore.history.config_difference import Change, config_difference


@dataclass(frozen=True)
class Looked:
    """The configs of a file or a project, and all that is wrong with them."""

    configs: Sequence[Resolved]
    problems: Sequence[Problem]

    def rows(self) -> list[Row]:
        """Rows of `config show`."""
        return [
            {"type": str(each.config_type), "key": entry.key, "value": entry.value, **dataclasses.asdict(entry.origin)}
            for each in self.configs
            for entry in each.entries()
        ]


@dataclass(frozen=True)
class Side:
    """One of two things to compare: what it was called, and its configs by name."""

    name: str
    configs: Mapping[str, Any]


def look_at(manager: ConfigManager, name: str, overlay: str | None = None, overrides: Sequence[str] = ()) -> Looked:
    """The configs of the file of that name, else of the project. MissingConfigs, BadInput."""
    if not Path(name).is_file():
        project = manager.resolve_all(name, overlay, overrides)
        return Looked(list(project.resolved.values()), project.problems)
    if overlay is not None or overrides:
        raise BadInput(f"{name} is a file; overlays and overrides go with a project")
    resolved = manager.resolve_file(name)
    return Looked([resolved], resolved.problems)


def read_side(manager: ConfigManager, name: str) -> Side:
    """The configs that a name means: those of a file, else of a project with files here, else of a revision.

    InvalidConfig, BadInput for a file whose name says no type; UnknownRevision.
    """
    if Path(name).is_file() or name in projects_in(manager.config_dir):
        return Side(name, {str(each.config_type): dataclasses.asdict(each.config) for each in look_at(manager, name).configs})
    config = open_store().commit(name).config
    return Side(name, {each: _whole(each, value) for each, value in config.items()})


def differences(old: Side, new: Side) -> Iterator[tuple[str, Change]]:
    """What differs in the configs that both have, each with the config's name; BadInput when they have none in common."""
    common = [name for name in old.configs if name in new.configs]
    if not common:
        raise BadInput(f"{old.name} has {_listed(old)} and {new.name} {_listed(new)}: there is nothing to compare")
    for name in common:
        yield from ((name, change) for change in config_difference(old.configs[name], new.configs[name]))


def problem_row(problem: Problem) -> Row:
    """A row of `config validate`."""
    return {"file": problem.file, "line": problem.line, "column": problem.column, "key": problem.key, "why": problem.why}


def _whole(name: str, value: Any) -> Any:
    """A commit's config with the defaults of what it leaves out, where it is one of the six."""
    if name not in set(ConfigType) or type(value) is not dict:
        return value
    return {key: field.default for key, field in ConfigType(name).fields.items()} | value


def _listed(side: Side) -> str:
    return f"the configs {', '.join(side.configs)}" if side.configs else "no config"
