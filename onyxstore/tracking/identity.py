"""Who a run of the tracker is: what the guide calls its metadata, made of the config where nobody gave any, and filled in."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import replace
from datetime import datetime

from onyxstore.configs.types import ExperimentConfig
from onyxstore.errors import BadInput
from onyxstore.tracking.metadata import ExperimentMetadata

_SECONDS = 10.0
"""For git: it reads one file, but on a network that sleeps."""


def identify(config: ExperimentConfig, metadata: ExperimentMetadata | None) -> ExperimentMetadata:
    """The metadata to start with, whole; what was handed in is not changed. BadInput for an id that is no text.

    Without any the config says it, and where that has no id, it is the name and the time.
    """
    known = _from_config(config) if metadata is None else metadata
    if not (type(known.experiment_id) is str and known.experiment_id.strip() and known.experiment_id.isprintable()):
        raise BadInput(f"an experiment_id is a line of text, not {known.experiment_id!r}")
    return replace(
        known,
        git_commit=known.git_commit or _find_git_commit(),
        python_version=known.python_version or platform.python_version(),
    )


def _from_config(config: ExperimentConfig) -> ExperimentMetadata:
    now = datetime.now().astimezone()
    return ExperimentMetadata(
        experiment_id=config.experiment_id or f"{config.experiment_name}_{now:%Y%m%d_%H%M%S}",
        experiment_name=config.experiment_name,
        project_name=config.project_name,
        created_at=now,
        tags=list(config.tags),
    )


def _find_git_commit() -> str | None:
    """The commit of the repository that the working directory is in; None where there is none, or no git."""
    try:
        # `git` as the user has it on his path, and nothing of his in its arguments.
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() or None
