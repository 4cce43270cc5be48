"""The configs of a project as files in a folder: written, read, changed and checked."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onyxstore.configs import check, naming, schema
from onyxstore.configs.defaults import commented, default_file
from onyxstore.configs.document import decode_document
from onyxstore.configs.edit import edit
from onyxstore.configs.kinds import fits, fitted
from onyxstore.configs.overlay import Layer, Source, decode_overrides, file_layer
from onyxstore.configs.problems import InvalidConfig, MissingConfigs, Problem
from onyxstore.configs.resolved import Resolved, ResolvedProject, resolve, resolve_project
from onyxstore.configs.types import Config, ConfigType, ProjectConfigs
from onyxstore.configs.variables import escaped
from onyxstore.configs.writing import replace_file, write_new_file
from onyxstore.errors import BadConfig, BadInput, disk_error
from onyxstore.names import near
from onyxstore.yaml12 import MAX_BYTES

_log = logging.getLogger("onyxstore")
_WRITES_THEM = "create_default_configs('{0}') writes them, as does 'onyx config create {0}'"


class ConfigManager:
    """The configs in a folder: six files for each project, `PROJECT_TYPE_config.yaml`.

    Whatever loads configs says all that is wrong with them at once (InvalidConfig), and what a reader of YAML 1.1 would have read
    otherwise (a warning). Whatever writes a file writes it whole and durably, or not at all (DiskError).
    """

    def __init__(self, config_dir: str | os.PathLike[str]) -> None:
        self.config_dir = Path(config_dir)

    def path_of(self, project: str, config_type: ConfigType, overlay: str | None = None) -> Path:
        """Where a config's file is, or would be; BadName when it cannot be called so."""
        return self.config_dir / naming.file_name(project, config_type, overlay)

    def create_default_configs(self, project: str) -> dict[str, Path]:
        """Writes six commented files and says where, by type; a file that is there already is left as it is, with a warning."""
        paths = {str(each): self.path_of(project, each) for each in ConfigType}
        for config_type, path in zip(ConfigType, paths.values(), strict=True):
            if not write_new_file(path, default_file(project, config_type)):
                _log.warning("%s exists already; it is left as it is", path)
        return paths

    def load_config(self, path: str | os.PathLike[str], config_type: ConfigType | None = None) -> Config:
        """The config of a file (of an overlay, over its base); its name says the type where none is given. MissingConfigs, BadInput."""
        return self.resolve_file(path, config_type).config

    def load_all_configs(self, project: str, overlay: str | None = None, overrides: Iterable[str] = ()) -> ProjectConfigs:
        """The six configs of a project, by type; MissingConfigs, a FileNotFoundError, names all files that are not there.

        Of an overlay at least one file must be there; overrides, as `training.learning_rate=1e-4`, win over both.
        """
        return self.resolve_all(project, overlay, overrides).configs

    def save_config(self, config: Config, path: str | os.PathLike[str]) -> None:
        """Writes a config as a commented file, in place of what was there; InvalidConfig when it could not be loaded again."""
        config_type = _type_of_config(config)
        if problems := self.find_problems(config, config_type):
            raise InvalidConfig(problems)
        values = {name: escaped(fitted(getattr(config, name), known.kind)) for name, known in config_type.fields.items()}
        replace_file(Path(path), commented(f"A {config_type} config.", values, config_type))

    def update_config(self, path: str | os.PathLike[str], updates: Mapping[str, Any], config_type: ConfigType | None = None) -> None:
        """Changes values of a file, by dotted keys, and nothing else in it: comments, order and quotes stay.

        InvalidConfig when the file would not be valid then; it stays as it was. That the environment lacks a variable is no reason.
        BadConfig where a value cannot be changed without another, MissingConfigs, BadInput.
        """
        path = Path(path)
        config_type = config_type or naming.type_of(path)
        data = edit(_read(path), str(path), _fitted(updates, config_type))
        made = resolve([*_base_layers(path, config_type), _layer(data, path, "file", config_type)], config_type)
        if problems := [problem for problem in made.problems if problem not in made.unset]:
            raise InvalidConfig(tuple(problems))
        replace_file(path, data)

    def get_config_summary(self, configs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """All values of configs by type and key, as JSON takes them."""
        return {name: _jsonable(asdict(config)) for name, config in configs.items()}

    def validate_config(self, config: object, config_type: ConfigType) -> bool:
        """Whether a config can be used as one of a type; `find_problems` says why not."""
        return not self.find_problems(config, config_type)

    def find_problems(self, config: object, config_type: ConfigType) -> tuple[Problem, ...]:
        """All that keeps an object from being used as a config of a type; empty when nothing does."""
        return check.find_problems(config, config_type)

    def json_schema(self, config_type: ConfigType) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of a type of config, for editors."""
        return schema.json_schema(config_type)

    def resolve_file(self, path: str | os.PathLike[str], config_type: ConfigType | None = None) -> Resolved:
        """What a file says (an overlay's, over its base): each value with its origin, and all that is wrong. MissingConfigs, BadInput."""
        path = Path(path)
        config_type = config_type or naming.type_of(path)
        below = _base_layers(path, config_type)
        return resolve([*below, _layer(_read(path), path, "overlay" if below else "file", config_type)], config_type)

    def resolve_all(self, project: str, overlay: str | None = None, overrides: Iterable[str] = ()) -> ResolvedProject:
        """What `load_all_configs` loads: each value with its origin, and all that is wrong."""
        self._check_there(project, overlay)
        over, problems = decode_overrides(overrides)
        resolved = {}
        for config_type in ConfigType:
            path = self.path_of(project, config_type)
            layers = [_layer(_read(path), path, "file", config_type)]
            if overlay is not None and (above := self.path_of(project, config_type, overlay)).exists():
                layers.append(_layer(_read(above), above, "overlay", config_type))
            resolved[str(config_type)] = resolve([*layers, *over[config_type]], config_type)
        return resolve_project(resolved, problems)

    def _check_there(self, project: str, overlay: str | None) -> None:
        missing = [str(path) for each in ConfigType if not (path := self.path_of(project, each)).exists()]
        if missing:
            meant = near(project, set(naming.projects_in(self.config_dir)) - {project}) if len(missing) == len(ConfigType) else ()
            raise MissingConfigs(tuple(missing), f"did you mean '{meant[0]}'?" if meant else _WRITES_THEM.format(project))
        if overlay is not None and not any(self.path_of(project, each, overlay).exists() for each in ConfigType):
            pattern = self.path_of(project, ConfigType.TRAINING, overlay)
            raise MissingConfigs((str(pattern),), f"nor any other file of the overlay '{overlay}'; write at least one")


def _fitted(updates: Mapping[str, Any], config_type: ConfigType) -> dict[str, Any]:
    """Updates whose values are as plain as those of a file, where they fit their fields at all."""
    kinds = {key: known.kind for key, known in config_type.fields.items()}
    return {key: fitted(value, kinds[key]) if key in kinds and fits(value, kinds[key]) else value for key, value in updates.items()}


def _base_layers(path: Path, config_type: ConfigType) -> list[Layer]:
    """What an overlay's file lies over, if it is one and that is there."""
    base = naming.base_of(path)
    return [_layer(_read(base), base, "file", config_type)] if base is not None and base.exists() else []


def _layer(data: bytes, path: Path, source: Source, config_type: ConfigType) -> Layer:
    """The layer of a file. The one place where configs look at the environment."""
    try:
        document = decode_document(data, str(path))
    except BadConfig as error:
        return Layer(source, str(path), {}, problems=(Problem((), error.why, error.file, error.line, error.column),))
    for note in document.yaml.notes:
        _log.warning("%s", note)
    return file_layer(document, source, config_type, os.environ)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise MissingConfigs((str(path),), "'onyx config create PROJECT' writes new ones") from error
    except OSError as error:
        raise disk_error("reading", path, error) from error


def _type_of_config(config: object) -> ConfigType:
    for each in ConfigType:
        if isinstance(config, each.config_class):
            return each
    raise BadInput(f"a {type(config).__name__} is none of the six configs")


def _jsonable(value: Any) -> Any:
    """A value of a config as JSON takes it; what has no JSON form (NaN, or a dtype in a config made by hand) as its text."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    is_plain = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else str(value)
