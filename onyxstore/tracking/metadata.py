"""What is known of a run before it begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class ExperimentMetadata:
    """A run's identity; what is left None is filled in when it starts.

    `experiment_id` names the run (characters that no run's name may have become `-`); `tags` become its labels.
    """

    experiment_id: str
    experiment_name: str
    project_name: str
    created_at: datetime = field(default_factory=datetime.now)
    tags: list[str] = field(default_factory=list)
    description: str = ""
    git_commit: str | None = None
    python_version: str | None = None
