"""What config files are called: `PROJECT_TYPE_config.yaml`, and `PROJECT_TYPE_config.OVERLAY.yaml` for an overlay.

The overlay's name stands behind the type's, so that the files of a config lie side by side, and the overlay `prod` of `ads` is not taken
for the project `ads_prod`.
"""

from __future__ import annotations

import re
from pathlib import Path

from onyxstore.configs.types import ConfigType
from onyxstore.errors import BadInput, BadName
from onyxstore.names import check_relative_path

_OVERLAY = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_FILE = re.compile(rf"(?:(?P<project>.*)_)?(?P<type>{'|'.join(ConfigType)})_config(?:\.(?P<overlay>{_OVERLAY}))?\.ya?ml")


def file_name(project: str, config_type: ConfigType, overlay: str | None = None) -> str:
    """The name of a config's file, below the folder of configs; BadName when there can be none."""
    if overlay is not None and not re.fullmatch(_OVERLAY, overlay):
        raise BadName("overlay", overlay, "letters, digits, '_' and '-' only, a letter or digit first, 64 at most")
    end = "yaml" if overlay is None else f"{overlay}.yaml"
    return check_relative_path("project", f"{check_relative_path('project', project)}_{config_type}_config.{end}")


def type_of(path: Path) -> ConfigType:
    """The type of config that a file's name says; BadInput when it says none."""
    if match := _FILE.fullmatch(path.name):
        return ConfigType(match["type"])
    raise BadInput(f"{path}: the name says no type of config; call it PROJECT_TYPE_config.yaml, or hand in the type")


def base_of(path: Path) -> Path | None:
    """The file that an overlay's file lies over; None when it is no overlay's."""
    match = _FILE.fullmatch(path.name)
    if match is None or match["overlay"] is None:
        return None
    return path.with_name(path.name.replace(f"_config.{match['overlay']}.", "_config."))


def projects_in(folder: Path) -> tuple[str, ...]:
    """The projects that have config files in a folder."""
    matches = [_FILE.fullmatch(path.name) for path in folder.glob("*_config.y*ml")] if folder.is_dir() else []
    return tuple(sorted({match["project"] for match in matches if match and match["project"]}))
