"""What is said of a config, layer upon layer: its file, an overlay, overrides. Later layers win.

Mappings are merged key by key, as deep as they go; everything else, lists too, is replaced. So a layer can give another value to a key,
but cannot take a key away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal

from onyxstore.configs.document import Document
from onyxstore.configs.kinds import kind_at
from onyxstore.configs.paths import Path, is_at, nested
from onyxstore.configs.problems import Problem
from onyxstore.configs.types import ConfigType
from onyxstore.configs.variables import expand, read_for
from onyxstore.errors import BadConfig
from onyxstore.names import near
from onyxstore.yaml12 import Key, read_yaml

Source = Literal["default", "file", "overlay", "override"]


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: the file and place, or the override as it was given, and the environment's variables in it."""

    source: Source
    file: str | None = None
    line: int | None = None
    column: int | None = None
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """The values of one file or override."""

    source: Source
    file: str
    values: dict[Key, Any]
    document: Document | None = None
    variables: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unset: tuple[Problem, ...] = ()
    """What is wrong only because the environment lacks a variable."""

    def origin(self, path: Path) -> Origin:
        """Where the value at a path comes from, if it comes from this layer."""
        line, column = (self.document and self.document.place(path)) or (None, None)
        inside = [name for each, names in self.variables.items() if each[: len(path)] == path for name in names]
        return Origin(self.source, self.file, line, column, tuple(dict.fromkeys(inside)))

    def has(self, path: Path) -> bool:
        """Whether this layer says something at a path."""
        return is_at(self.values, path)


def file_layer(document: Document, source: Source, config_type: ConfigType, environment: Mapping[str, str]) -> Layer:
    """The layer of a file, its variables replaced."""
    made = expand(document, config_type, environment)
    return Layer(source, document.file, made.values, document, made.names, tuple(made.problems), tuple(made.unset))


def decode_overrides(texts: Iterable[str]) -> tuple[dict[ConfigType, list[Layer]], tuple[Problem, ...]]:
    """The layers of texts like `training.learning_rate=1e-4`, by type of config, and what is wrong with those that are none.

    What stands behind `=` is read as YAML; it is plain text where the field takes text and YAML makes something else of it.
    """
    layers: dict[ConfigType, list[Layer]] = {each: [] for each in ConfigType}
    problems = []
    for text in texts:
        dotted, equals, value = text.partition("=")
        first, *path = dotted.strip().split(".")
        if not equals or not path or not all(path):
            problems.append(Problem((), "expected TYPE.KEY=VALUE, as training.learning_rate=1e-4", text))
        elif first not in list(ConfigType):
            meant = near(first, ConfigType)
            problems.append(Problem((first,), f"no such type of config{f'; did you mean {meant[0]}?' if meant else ''}", text))
        else:
            config_type = ConfigType(first)
            layers[config_type].append(_override_layer(text, config_type, tuple(path), value))
    return layers, tuple(problems)


def merged(layers: Iterable[Layer]) -> dict[Key, Any]:
    """The values of layers together."""
    return reduce(_merge, (layer.values for layer in layers), {})


def _override_layer(text: str, config_type: ConfigType, path: Path, spelt: str) -> Layer:
    known = config_type.fields.get(str(path[0]))
    kind = kind_at(known.kind, path[1:]) if known else Any
    try:
        value = read_yaml(spelt.encode("utf-8", "surrogateescape"), text).value
    except BadConfig as error:
        return Layer("override", text, {}, problems=(Problem(path, error.why, text),))
    if isinstance(value, (bool, int, float)):
        value = read_for(spelt.strip(), kind)
    return Layer("override", text, nested(path, value))


def _merge(below: Mapping[Key, Any], above: Mapping[Key, Any]) -> dict[Key, Any]:
    made = dict(below)
    for key, value in above.items():
        mergeable = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = _merge(made[key], value) if mergeable else value
    return made
