"""git for machine-learning experiments.

A store is a `.onyx/` directory with hashed config snapshots, append-only metric logs and compressed, verified checkpoints; each
saved state is a commit that can be listed, compared, checked out, forked and resumed. The names below are all that is public;
each is loaded when it is first used, so that `import onyxstore` loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onyxstore.configs.manager import ConfigManager
    from onyxstore.configs.types import (
        ConfigType,
        DataConfig,
        DeploymentConfig,
        ExperimentConfig,
        ModelConfig,
        OptimizationConfig,
        TrainingConfig,
    )
    from onyxstore.errors import OnyxError
    from onyxstore.history.metrics.series import Curves, Series
    from onyxstore.store.adding import Addition
    from onyxstore.store.checkout import CheckoutOptions
    from onyxstore.store.checkpoints import Checkpoint
    from onyxstore.store.frames import Runs
    from onyxstore.store.gc import GcReport
    from onyxstore.store.run import Run
    from onyxstore.store.save import SaveHandle
    from onyxstore.store.store import Store, start_run
    from onyxstore.store.views import Commit, RunView
    from onyxstore.tracking.backends.base import TrackingBackendBase
    from onyxstore.tracking.backends.table import MLFLOW_AVAILABLE, WANDB_AVAILABLE, register_backend
    from onyxstore.tracking.checkpoints import CheckpointManager
    from onyxstore.tracking.metadata import ExperimentMetadata
    from onyxstore.tracking.tracker import ExperimentTracker, create_experiment_tracker, experiment_context

__version__ = "0.1.0"

__all__ = [
    "MLFLOW_AVAILABLE",
    "WANDB_AVAILABLE",
    "Addition",
    "CheckoutOptions",
    "Checkpoint",
    "CheckpointManager",
    "Commit",
    "ConfigManager",
    "ConfigType",
    "Curves",
    "DataConfig",
    "DeploymentConfig",
    "ExperimentConfig",
    "ExperimentMetadata",
    "ExperimentTracker",
    "GcReport",
    "ModelConfig",
    "OnyxError",
    "OptimizationConfig",
    "Run",
    "RunView",
    "Runs",
    "SaveHandle",
    "Series",
    "Store",
    "TrackingBackendBase",
    "TrainingConfig",
    "create_experiment_tracker",
    "experiment_context",
    "register_backend",
    "start_run",
]

_HOMES = {
    "Addition": "onyxstore.store.adding",
    "CheckoutOptions": "onyxstore.store.checkout",
    "Checkpoint": "onyxstore.store.checkpoints",
    "CheckpointManager": "onyxstore.tracking.checkpoints",
    "Commit": "onyxstore.store.views",
    "ConfigManager": "onyxstore.configs.manager",
    "ConfigType": "onyxstore.configs.types",
    "Curves": "onyxstore.history.metrics.series",
    "DataConfig": "onyxstore.configs.types",
    "DeploymentConfig": "onyxstore.configs.types",
    "ExperimentConfig": "onyxstore.configs.types",
    "ExperimentMetadata": "onyxstore.tracking.metadata",
    "ExperimentTracker": "onyxstore.tracking.tracker",
    "GcReport": "onyxstore.store.gc",
    "MLFLOW_AVAILABLE": "onyxstore.tracking.backends.table",
    "ModelConfig": "onyxstore.configs.types",
    "OnyxError": "onyxstore.errors",
    "OptimizationConfig": "onyxstore.configs.types",
    "Run": "onyxstore.store.run",
    "RunView": "onyxstore.store.views",
    "Runs": "onyxstore.store.frames",
    "SaveHandle": "onyxstore.store.save",
    "Series": "onyxstore.history.metrics.series",
    "Store": "onyxstore.store.store",
    "TrackingBackendBase": "onyxstore.tracking.backends.base",
    "TrainingConfig": "onyxstore.configs.types",
    "WANDB_AVAILABLE": "onyxstore.tracking.backends.table",
    "create_experiment_tracker": "onyxstore.tracking.tracker",
    "experiment_context": "onyxstore.tracking.tracker",
    "register_backend": "onyxstore.tracking.backends.table",
    "start_run": "onyxstore.store.store",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'onyxstore' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
