"""What a tracker's calls record, as plain values: no tensor of the caller's is in them, so they may wait in a queue.

Each is made in the caller's thread, as of the call (`media`, `gradients`, `architecture`), kept in the store and handed to every backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Image:
    """A picture: uint8 values of shape (height, width, channels), 1 (grey), 3 (RGB) or 4 (RGBA) channels."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Histogram:
    """Counts between edges: n counts, n + 1 edges; the non-finite values that are in no bin are counted apart."""

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    nonfinite: int = 0


@dataclass(frozen=True)
class Gradients:
    """The gradients of a model's parameters, by name: L2 norms and histograms; `total` is the norm of all together."""

    total: float
    norms: Mapping[str, float]
    histograms: Mapping[str, Histogram]


@dataclass(frozen=True)
class Module:
    """A module of a model: its dotted name, its class, how many parameters it has itself, and how many of those are trained."""

    name: str
    kind: str
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Architecture:
    """A model: what it prints as, its modules, and how many parameters it has in all (shared ones counted once)."""

    name: str
    summary: str
    modules: tuple[Module, ...]
    parameters: int
    trainable: int

    @property
    def frozen(self) -> int:
        """The parameters that are not trained."""
        return self.parameters - self.trainable


@dataclass(frozen=True)
class CheckpointReference:
    """A checkpoint that the store holds: what a backend is told of it, since the bytes stay in the store."""

    checkpoint_id: str
    run: str
    step: int | None
    epoch: float | int | None
    metrics: Mapping[str, float]
    is_best: bool | None
    path: str
