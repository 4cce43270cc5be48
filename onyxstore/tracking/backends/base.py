"""The contract of a tracking backend.

A backend gets every call of a run in order, from one thread of its own: it may block or raise without holding up training
or the other backends. `step` is a global step that never goes back, whatever the loop's own steps do; `epoch` is the loop's.
A subclass overrides what its library can keep; what it leaves alone is kept by the store alone. It may leave out the parameters
`epoch` and `status`: it is then called without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.metadata import ExperimentMetadata
from onyxstore.tracking.recorded import Architecture, CheckpointReference, Gradients, Image


class TrackingBackendBase:
    """A backend that keeps nothing: the parent of all others, one object a run."""

    name: ClassVar[str] = ""
    """What `tracking_backend` calls it."""
    known_params: ClassVar[frozenset[str]] = frozenset()
    """The keys of `tracking_params` that it takes."""

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config

    def start_experiment(self, metadata: ExperimentMetadata) -> None:
        """The run begins; comes before everything else."""

    def log_metrics(self, metrics: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Numbers by name, at a global step."""

    def log_hyperparameters(self, hyperparameters: Mapping[str, Any]) -> None:
        """Plain values by name, nested as they were handed in."""

    def log_model_architecture(self, architecture: Architecture) -> None:
        """What the model is."""

    def log_gradients(self, gradients: Gradients, step: int) -> None:
        """Norms and histograms of the gradients."""

    def log_images(self, images: Mapping[str, Sequence[Image]], step: int) -> None:
        """Pictures by name: a list each, of one or more."""

    def log_text(self, texts: Mapping[str, str], step: int) -> None:
        """Texts by name."""

    def log_artifact(self, name: str, content: bytes) -> None:
        """A file that was kept under `name`."""

    def log_checkpoint(self, checkpoint: CheckpointReference, step: int) -> None:
        """A checkpoint that is durable in the store by now."""

    def flush(self) -> None:
        """Everything so far is to be where the backend's readers find it."""

    def end_experiment(self, status: str = "finished") -> None:
        """The run has ended: finished, failed, killed or crashed. The last call."""
