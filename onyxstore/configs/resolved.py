"""A config as its layers make it: checked, with the origin of each of its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from onyxstore.configs.check import build_config, check_values, find_clashes
from onyxstore.configs.kinds import fits, fitted
from onyxstore.configs.overlay import Layer, Origin, merged
from onyxstore.configs.paths import Path, dotted, leaves
from onyxstore.configs.problems import InvalidConfig, Problem
from onyxstore.configs.types import Config, ConfigType, OptimizationConfig, ProjectConfigs, TrainingConfig


@dataclass(frozen=True)
class Entry:
    """A value of a config: the keys that lead to it, and where it comes from."""

    path: Path
    value: Any
    origin: Origin

    @property
    def key(self) -> str:
        """The keys joined with `.`."""
        return dotted(self.path)


@dataclass(frozen=True)
class Resolved:
    """A config of a type, by its layers (the later win); `problems` is empty when it can be used."""

    config_type: ConfigType
    layers: tuple[Layer, ...]
    problems: tuple[Problem, ...]

    @property
    def config(self) -> Config:
        """The config; InvalidConfig with all that is wrong."""
        if self.problems:
            raise InvalidConfig(self.problems)
        return build_config(merged(self.layers), self.config_type)

    @property
    def unset(self) -> tuple[Problem, ...]:
        """Those of the problems that are there because the environment lacks a variable."""
        return tuple(problem for layer in self.layers for problem in layer.unset)

    def entries(self) -> Iterator[Entry]:
        """Every value, the defaults too, in the order of the fields; what no field takes comes last."""
        values = merged(self.layers)
        fields = self.config_type.fields
        for name in [*fields, *(key for key in values if key not in fields)]:
            value = values[name] if name in values else fields[str(name)].default
            if name in fields and fits(value, fields[str(name)].kind):
                value = fitted(value, fields[str(name)].kind)
            yield from (Entry(path, each, self.origin(path)) for path, each in leaves(value, (name,)))

    def origin(self, path: Path) -> Origin:
        """Where the value that a path leads to comes from."""
        return next((layer.origin(path) for layer in reversed(self.layers) if layer.has(path)), Origin("default"))

    def placed(self, problem: Problem) -> Problem:
        """A problem with the place of the value that it is about."""
        origin = self.origin(problem.path)
        return replace(problem, file=origin.file, line=origin.line, column=origin.column)


@dataclass(frozen=True)
class ResolvedProject:
    """The configs of a project by the name of their type; `problems` has what is wrong with all of them, and between them."""

    resolved: Mapping[str, Resolved]
    problems: tuple[Problem, ...]

    @property
    def configs(self) -> ProjectConfigs:
        """The six configs; InvalidConfig with all that is wrong."""
        if self.problems:
            raise InvalidConfig(self.problems)
        return cast("ProjectConfigs", {name: each.config for name, each in self.resolved.items()})


def resolve(layers: Iterable[Layer], config_type: ConfigType) -> Resolved:
    """What layers make of a config, and all that is wrong with it, each problem with its place."""
    made = Resolved(config_type, tuple(layers), ())
    own = [problem for layer in made.layers for problem in (*layer.problems, *layer.unset)]
    seen = {problem.path for problem in own}
    found = [made.placed(problem) for problem in check_values(merged(made.layers), config_type) if problem.path not in seen]
    order = {layer.file: number for number, layer in enumerate(made.layers)}
    problems = sorted((*own, *found), key=lambda each: (order.get(each.file or "", -1), each.line or 0))
    return replace(made, problems=tuple(problems))


def resolve_project(resolved: Mapping[str, Resolved], problems: Iterable[Problem] = ()) -> ResolvedProject:
    """The configs of a project together; `problems` are those found on the way to them."""
    found = [*problems, *(problem for each in resolved.values() for problem in each.problems)]
    training, optimization = resolved[ConfigType.TRAINING], resolved[ConfigType.OPTIMIZATION]
    if not training.problems and not optimization.problems:
        found += _clashes(training, optimization)
    return ResolvedProject(resolved, tuple(found))


def _clashes(training: Resolved, optimization: Resolved) -> Iterator[Problem]:
    for clash in find_clashes(cast("TrainingConfig", training.config), cast("OptimizationConfig", optimization.config)):
        ours, theirs = training.origin((clash.training,)), optimization.origin((clash.optimization,))
        origin = theirs if ours.source == "default" else ours
        yield Problem((), clash.why, origin.file, origin.line, origin.column)
